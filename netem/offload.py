"""trio: run blocking work beside the event loop, in a thread under real time and inline under virtual time.

A worker thread breaks a virtual clock (time would jump over its work), so this is the only place that starts one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from netem.clock import Clock

T = TypeVar("T")


async def offload(clock: Clock, work: Callable[[], T]) -> T:
    """Return `work()`; under real time it runs in a worker thread and is not abandoned on cancellation."""
    if clock.virtual:
        return work()
    return await trio.to_thread.run_sync(work)
