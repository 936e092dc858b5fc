"""trio: long work on the event loop in turns with others."""

from __future__ import annotations

import time
from collections.abc import Iterator

import trio

TURN_S = 0.001  # after which others have their turn


async def in_turns(steps: Iterator[None]) -> None:
    """Take steps, and let others have their turn between them."""
    resumed_s = time.perf_counter()
    for _ in steps:
        if time.perf_counter() - resumed_s >= TURN_S:
            await trio.lowlevel.checkpoint()
            resumed_s = time.perf_counter()
