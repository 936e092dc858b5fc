"""trio: how late the event loop runs, measured by a timer that should ring every 10 ms.

Under virtual time there is no lag, and the meter is not run.

Source: DESIGN section 3 (a run whose lag exceeds 10 ms at the 99th percentile is void).
"""

from __future__ import annotations

import trio

from netem.clock import Clock
from netem.latency import LatencyHistogram

TICK_NS = 10_000_000


class LagMeter:
    """Measure event-loop lag into `histogram` while `run` runs.

    Invariant: a loop that hangs for t seconds adds the one late tick and then t / 10 ms more, so that quantiles are
    shares of time, not of ticks that happened.
    """

    def __init__(self, clock: Clock) -> None:
        self.histogram = LatencyHistogram()
        self._clock = clock
        self._running = False

    async def run(self) -> None:
        """Tick until cancelled."""
        self._running = True
        self._clock.call_at(self._clock.now_ns() + TICK_NS, self._tick, self._clock.now_ns() + TICK_NS)
        try:
            await trio.sleep_forever()
        finally:
            self._running = False

    def _tick(self, due_ns: int) -> None:
        # Ticks missed during a hang are each counted with their own lateness, as they are still due one by one.
        self.histogram.add(self._clock.now_ns() - due_ns)
        if self._running:
            self._clock.call_at(due_ns + TICK_NS, self._tick, due_ns + TICK_NS)
