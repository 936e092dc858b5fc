"""trio: what a run asks of its own process: open files, rare garbage collections, no interrupt while results are written."""

from __future__ import annotations

import contextlib
import gc
import resource
import signal
import sys
import threading
from collections.abc import Iterator

from netem.errors import ConfigError

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
FILES_PER_NODE = 3  # its UDP socket, and both ends of its connection with the tracker
FILES_BESIDES = 25


def allow_many_sockets(nodes: int = 0) -> None:
    """Raise the limit of open files as far as the system lets us.

    Raises:
        ConfigError: this process is to play so many nodes that they cannot have a socket each; they would wait for ever.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = max(0, (hard - FILES_BESIDES) // FILES_PER_NODE)
    if nodes > most and hard != resource.RLIM_INFINITY:
        raise ConfigError("nodes", nodes, f"at most {most}, as the system allows {hard} open files (`ulimit -Hn`)")


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Collect garbage rarely: a run's millions of tuples are no cycles, and looking for any costs and pauses it and its judging."""
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(1_000_000, 50, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextlib.contextmanager
def interrupts_as_before() -> Iterator[None]:
    """Answer Ctrl-C and SIGTERM in the end as in the beginning, whatever was said meanwhile (`ignore_interrupts`)."""
    before = {number: signal.getsignal(number) for number in INTERRUPTS}
    try:
        yield
    finally:
        if _hears_interrupts():
            for number, handler in before.items():
                signal.signal(number, handler)


def ignore_interrupts() -> None:
    """See the last second through: a Ctrl-C or SIGTERM while packets are counted and results written would lose them."""
    if _hears_interrupts():
        for number in INTERRUPTS:
            signal.signal(number, signal.SIG_IGN)


def _hears_interrupts() -> bool:
    """Tell whether this is the main thread: only it gets interrupts, and may say what they do."""
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def short_thread_turns() -> Iterator[None]:
    """Let threads take turns ten times as often as usual: one that works must not hold the event loop up for 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(before / 10)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
