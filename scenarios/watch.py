"""trio: what can be watched of a run: its metrics, served while it goes on; of a simulated run, when it is over.

Source: DESIGN sections 5 and 6.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import trio

from netem.clock import Clock
from netem.errors import OwnCodeError
from netem.events import Event
from scenarios.claims import Claim
from scenarios.exposition import Exposition
from scenarios.metrics import families
from scenarios.metrics.claims import Claims
from scenarios.options import Options
from scenarios.serving import address_of, serve_metrics

JUDGE_S = 2.0  # between two judgements of the claims,
JUDGE_SHARE = 0.005  # which may take this share of the time: far less than would show in the 99th percentile of the lag

Judge = Callable[[], Awaitable[Sequence[Claim]]]


class Watch:
    """A run's metrics at an address.

    Args:
        listener: what to serve at.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._exposition: Exposition | None = None

    @property
    def address(self) -> str:
        """Return the URL."""
        return address_of(self._listener)

    @property
    def exposition(self) -> Exposition:
        """Return the metrics of the run that began."""
        assert self._exposition is not None
        return self._exposition

    def begin(self, name: str, *, options: Options, directory: Path, clock: Clock) -> None:
        """Make the metrics of a run of the scenario of that name."""
        info = {"run": directory.name, "scenario": name, "seed": str(options.seed), "time": options.time}
        self._exposition = Exposition(families(), info=info, now_ns=clock.now_ns)

    def fold(self, time_ns: int, event: Event) -> None:
        """Take an event of the run."""
        self.exposition.fold(time_ns, event)

    def attach(self, **parts: object) -> None:
        """Take parts of the testbed to read: network, events, bank, bed."""
        for name, part in parts.items():
            self.exposition.attach(name, part)

    async def run(self, judge: Judge) -> None:
        """Serve until cancelled, and judge the claims on the run so far again and again."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_metrics, self._listener, self.exposition)
            nursery.start_soon(self._judge, judge)

    def serve_end(self) -> None:
        """Serve what there was at the end of the run, until Ctrl-C."""
        trio.run(self._serve_until_interrupted)

    async def _serve_until_interrupted(self) -> None:
        # A KeyboardInterrupt would be raised anywhere, amid the server's own work too.
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve_metrics, self._listener, self.exposition)
                await anext(signals)
                nursery.cancel_scope.cancel()

    def show(self, claims: Sequence[Claim]) -> None:
        """Take the claims as judged."""
        family = self.exposition.families[Claims.name]
        assert isinstance(family, Claims)
        family.judged(claims)

    async def _judge(self, judge: Judge) -> None:
        while True:
            began_s = time.perf_counter()
            # Facts that a scenario has not noted yet are no mistake, and its author's mistakes are told at the end.
            with contextlib.suppress(OwnCodeError, LookupError):
                self.show(await judge())
            await trio.sleep(max(JUDGE_S, (time.perf_counter() - began_s) / JUDGE_SHARE))
