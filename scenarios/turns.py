"""trio: long work on the event loop in turns with others."""

from __future__ import annotations

import time
from collections.abc import Iterator

import trio

TURN_S = 0.001  # after which others have their turn


async def in_turns(steps: Iterator[None]) -> float:
    """Take steps, and let others have their turn between them; return the CPU time that the steps took, in seconds."""
    cpu_s, resumed_s = 0.0, time.thread_time()
    for _ in steps:
        took_s = time.thread_time() - resumed_s
        if took_s >= TURN_S:
            cpu_s += took_s
            await trio.lowlevel.checkpoint()
            resumed_s = time.thread_time()
    return cpu_s + time.thread_time() - resumed_s
