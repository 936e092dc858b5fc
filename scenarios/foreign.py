"""trio: code that is not ours, in mid-run: what it raises is told by file and line, not by a traceback through our own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from netem.errors import OwnCodeError
from node.plugins import blame

T = TypeVar("T")


async def play_guarded(play: Callable[[], Awaitable[None]], files: Sequence[str]) -> None:
    """Play a run; what comes out of one of the experimenter's files is raised as `OwnCodeError`, all else as it is."""
    try:
        await play()
    except Exception as fault:
        _accuse(fault, files)
        raise


def judge_guarded(judge: Callable[[], T], files: Sequence[str]) -> T:
    """Judge a run; see `play_guarded`."""
    try:
        return judge()
    except Exception as fault:
        _accuse(fault, files)
        raise


def _accuse(fault: Exception, files: Sequence[str]) -> None:
    for leaf in _leaves(fault):
        trace = leaf.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename in files:
                raise OwnCodeError(blame(trace.tb_frame.f_code.co_filename, leaf)) from fault
            trace = trace.tb_next


def _leaves(fault: BaseException) -> Iterator[BaseException]:
    if isinstance(fault, BaseExceptionGroup):
        for part in fault.exceptions:
            yield from _leaves(part)
    else:
        yield fault
