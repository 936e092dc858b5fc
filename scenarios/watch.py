"""trio: what can be watched of a run: the live page, its metrics, and the query API over their samples.

A real run is served while it goes on, a simulated one, sampled in its own time, when it is over.

Source: DESIGN sections 5 and 6.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import socket
from pathlib import Path

import trio
from starlette.routing import BaseRoute

from netem.clock import Clock, S
from netem.errors import ConfigError, OwnCodeError
from netem.events import Event
from netem.metrics.timeliness import Timeliness
from netem.network import Network
from scenarios.catalogue import Scenario
from scenarios.judging import Judge, Judgement
from scenarios.live import Live
from scenarios.live_controls import Answer, AnyControl
from scenarios.metrics.claims import Claims
from scenarios.options import Options
from scenarios.page.guard import Guard
from scenarios.page.routes import Do, Shown, page_routes
from scenarios.page.view import LiveView
from scenarios.parameters import Params
from scenarios.process import short_thread_turns
from scenarios.promql.store import SampleStore
from scenarios.query_api import query_routes
from scenarios.result import Result
from scenarios.sampling import Sampler
from scenarios.serving import HOST, address_of, metrics_route, serve_routes, serve_until_interrupted
from scenarios.testbed import Bed
from scenarios.turns import in_turns

SAMPLE_S = 1.0  # between two samples of a real run,
SAMPLE_SHARE = 0.05  # longer where they would take more than this share of the CPU: thousands of links have to be read
MOST_SAMPLES = 3_600  # of a simulated run, which may last for days
KEPT_BYTES = 128 * 2**20  # of samples: at one a second about four hours of 1,000 series, five minutes of 50,000
JUDGE_S = 2.0  # between two judgements of the claims,
JUDGE_SHARE = 0.005  # which may take this share of the CPU: far less than would show in the 99th percentile of the lag
JUDGEMENTS = 12  # of a simulated run
FAREWELL_S = 2.0  # in which a page that is open sees the verdict,
RECENT_S = 10.0  # open meaning that it asked within


class Watch:
    """What is served of one run at an address.

    Args:
        listener: what to serve at.
        hold: go on when the run is over.
    """

    def __init__(self, listener: socket.socket, *, hold: bool) -> None:
        self._listener = listener
        self._hold = hold
        self._bed: Bed | None = None
        self._live: Live | None = None
        self._judge_of: Judge | None = None
        self._view_ns = self._judge_ns = 0  # when it is time, in a simulated run

    @property
    def address(self) -> str:
        """Return the URL."""
        return address_of(self._listener)

    def begin(
        self, scenario: Scenario, params: Params, *, options: Options, directory: Path, clock: Clock, sampler: Sampler
    ) -> None:
        """Make the page of a run, whose metrics are all sampled."""
        self._clock = clock
        self._duration_s = params.duration_s
        self._sampler = sampler
        self._exposition = sampler.exposition
        timeliness = self._exposition.families[Timeliness.name]
        assert isinstance(timeliness, Timeliness)
        port = self._listener.getsockname()[1]
        self.store = SampleStore(limit_bytes=KEPT_BYTES)
        sampler.keep(self.store, instance=f"{HOST}:{port}", period_ns=self._period_ns)
        self._guard = Guard(port=port, token=secrets.token_urlsafe())
        self.view = LiveView(
            scenario,
            params,
            options=options,
            run=directory.name,
            clock=clock,
            timeliness=timeliness,
            sample_s=max(SAMPLE_S, params.duration_s / MOST_SAMPLES) if clock.virtual else SAMPLE_S,
        )

    def fold(self, time_ns: int, event: Event) -> None:
        """Take an event of the run."""
        self.view.fold(time_ns, event)
        if self._judge_of is not None:
            self._look(time_ns)

    def attach(self, *, network: Network | None = None, bed: Bed | None = None) -> None:
        """Take network and testbed, once there are any."""
        self.view.attach(network=network, bed=bed)
        self._bed = bed or self._bed

    async def run(self, judge: Judge) -> None:
        """Serve a real run until cancelled, and judge its claims again and again."""
        with short_thread_turns():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve_routes, self._listener, self._routes(self._control))
                nursery.start_soon(self._refresh)
                nursery.start_soon(self._judge, judge)

    async def take_controls(self, live: Live) -> None:
        """Do what the page's controls say, until cancelled."""
        self._live = live
        try:
            await trio.sleep_forever()
        finally:
            self._live = None

    def _control(self, control: AnyControl) -> Answer:
        if self._live is None:
            raise ConfigError(
                "control", "too early or too late", "changes from when the nodes join until the run is over"
            )
        return self._live.do(control)

    def follow(self, judge: Judge) -> None:
        """Judge the claims of a simulated run as its events come.

        A task or a timer more would change the order of others, and with it the run.
        """
        self._judge_of = judge
        self._view_ns = self._judge_ns = self._clock.now_ns()

    def finish(self, result: Result) -> None:
        """Take the verdict and the last sample."""
        self._judge_of = None
        self._show(Judgement(result.claims))
        self.view.finish(result)
        self._sampler.sample(self._clock.now_ns())

    def serve_end(self) -> None:
        """Serve what there was at the end of the run: until Ctrl-C, or until an open page has seen the verdict."""
        if self._hold:
            trio.run(serve_until_interrupted, self._listener, self._routes())
        elif self.view.asked_ns and self._clock.now_ns() - self.view.asked_ns < RECENT_S * S:
            trio.run(self._say_farewell)

    async def _say_farewell(self) -> None:
        with trio.move_on_after(FAREWELL_S):
            await serve_routes(self._listener, self._routes())

    def _routes(self, do: Do | None = None) -> list[BaseRoute]:
        shown = Shown(self.view, self.store, self._clock, self._guard, do)
        queries = query_routes(self.store, clock=self._clock)
        return [metrics_route(self._exposition), *page_routes(shown), *queries]

    def _show(self, judgement: Judgement) -> None:
        family = self._exposition.families[Claims.name]
        assert isinstance(family, Claims)
        family.judged(judgement.claims)
        self.view.judged(judgement)

    def _period_ns(self, _now_ns: int) -> int:
        """Return the time between two samples."""
        if not self._clock.virtual:
            self.view.sample_s = max(SAMPLE_S, math.ceil(self._sampler.cpu_s / SAMPLE_SHARE))
        return round(self.view.sample_s * S)

    async def _refresh(self) -> None:
        while True:
            await in_turns(self.view.steps())
            await trio.sleep(self.view.sample_s)

    async def _judge(self, judge: Judge) -> None:
        cpu_s = 0.0
        while True:
            # Facts that a scenario has not noted yet are no mistake, and its author's mistakes are told at the end.
            with contextlib.suppress(OwnCodeError, LookupError):
                if self._bed is not None and self._bed.show_began_ns is not None:
                    judgement = await judge.so_far(self._bed)
                    self._show(judgement)
                    cpu_s = judgement.cpu_s
            await trio.sleep(max(JUDGE_S, cpu_s / JUDGE_SHARE))

    def _look(self, time_ns: int) -> None:
        """Look at a simulated run, and judge its claims, when it is time for that."""
        if time_ns >= self._view_ns:
            self._view_ns = time_ns + round(self.view.sample_s * S)
            for _ in self.view.steps():
                pass
        if time_ns >= self._judge_ns and self._bed is not None and self._bed.show_began_ns is not None:
            self._judge_ns = time_ns + round(max(JUDGE_S, self._duration_s / JUDGEMENTS) * S)
            assert self._judge_of is not None
            with contextlib.suppress(OwnCodeError, LookupError):
                self._show(self._judge_of.at_once(self._bed))
