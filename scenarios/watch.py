"""trio: what can be watched of a run: the live page, its metrics, and the query API over their samples.

A real run is sampled and served while it goes on; a simulated one is sampled in its own time and served when it is over.

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
from netem.errors import OwnCodeError
from netem.events import Event
from netem.metrics.timeliness import Timeliness
from netem.network import Network
from scenarios.catalogue import Scenario
from scenarios.exposition import Exposition
from scenarios.judging import Judge, Judgement
from scenarios.metrics import families
from scenarios.metrics.claims import Claims
from scenarios.options import Options
from scenarios.page.controls import Controls
from scenarios.page.guard import Guard
from scenarios.page.routes import Shown, page_routes
from scenarios.page.view import LiveView
from scenarios.parameters import Params
from scenarios.process import short_thread_turns
from scenarios.query_api import query_routes
from scenarios.result import Result
from scenarios.sampling import Sampler
from scenarios.serving import HOST, address_of, metrics_route, serve_routes, serve_until_interrupted
from scenarios.testbed import Bed
from scenarios.turns import in_turns

SAMPLE_S = 1.0  # between two samples of a real run,
SAMPLE_SHARE = 0.05  # longer where they would take more than this share of the CPU: thousands of links have to be read
MOST_SAMPLES = 3_600  # of a simulated run, which may last for days
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
        self._controls: Controls | None = None
        self._judge_of: Judge | None = None
        self._sample_ns = self._judge_ns = 0  # when it is time, in a simulated run

    @property
    def address(self) -> str:
        """Return the URL."""
        return address_of(self._listener)

    def begin(self, scenario: Scenario, params: Params, *, options: Options, directory: Path, clock: Clock) -> None:
        """Make the metrics and the page of a run."""
        self._clock = clock
        self._duration_s = params.duration_s
        self._sample_s = max(SAMPLE_S, params.duration_s / MOST_SAMPLES) if clock.virtual else SAMPLE_S
        info = {"run": directory.name, "scenario": scenario.name, "seed": str(options.seed), "time": options.time}
        self.exposition = Exposition(families(), info=info, now_ns=clock.now_ns)
        timeliness = self.exposition.families[Timeliness.name]
        assert isinstance(timeliness, Timeliness)
        port = self._listener.getsockname()[1]
        self.sampler = Sampler(self.exposition, instance=f"{HOST}:{port}")
        self._guard = Guard(port=port, token=secrets.token_urlsafe())
        self.view = LiveView(
            scenario,
            params,
            options=options,
            run=directory.name,
            clock=clock,
            timeliness=timeliness,
            sample_s=self._sample_s,
        )

    def fold(self, time_ns: int, event: Event) -> None:
        """Take an event of the run."""
        self.exposition.fold(time_ns, event)
        self.view.fold(time_ns, event)
        if self._judge_of is not None:
            self._look(time_ns)

    def attach(self, *, network: Network | None = None, bed: Bed | None = None, **parts: object) -> None:
        """Take parts of the testbed to read (network, events, bank, bed), once there are any."""
        for name, part in {"network": network, "bed": bed, **parts}.items():
            if part is not None:
                self.exposition.attach(name, part)
        self.view.attach(network=network, bed=bed)
        self._bed = bed or self._bed
        if network is not None and not self._clock.virtual:
            self._controls = Controls(network)

    async def run(self, judge: Judge) -> None:
        """Serve a real run until cancelled, sample it, and judge its claims again and again."""
        assert self._controls is not None
        with short_thread_turns(), contextlib.closing(self._controls):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve_routes, self._listener, self._routes())
                nursery.start_soon(self._sample)
                nursery.start_soon(self._judge, judge)

    def follow(self, judge: Judge) -> None:
        """Sample a simulated run and judge its claims as its events come.

        A task or a timer more would change the order of others, and with it the run.
        """
        self._judge_of = judge
        self._sample_ns = self._judge_ns = self._clock.now_ns()

    def finish(self, result: Result) -> None:
        """Take the verdict and the last sample."""
        self._controls = self._judge_of = None
        self._show(Judgement(result.claims))
        self.view.finish(result)
        self.sampler.sample(self._clock.now_ns())

    def serve_end(self) -> None:
        """Serve what there was at the end of the run: until Ctrl-C, or until an open page has seen the verdict."""
        if self._hold:
            trio.run(serve_until_interrupted, self._listener, self._routes())
        elif self.view.asked_ns and self._clock.now_ns() - self.view.asked_ns < RECENT_S * S:
            trio.run(self._say_farewell)

    async def _say_farewell(self) -> None:
        with trio.move_on_after(FAREWELL_S):
            await serve_routes(self._listener, self._routes())

    def _routes(self) -> list[BaseRoute]:
        act = None if self._controls is None else self._controls.act
        shown = Shown(self.view, self.sampler.store, self._clock, self._guard, act)
        queries = query_routes(self.sampler.store, clock=self._clock)
        return [metrics_route(self.exposition), *page_routes(shown), *queries]

    def _show(self, judgement: Judgement) -> None:
        family = self.exposition.families[Claims.name]
        assert isinstance(family, Claims)
        family.judged(judgement.claims)
        self.view.judged(judgement)

    async def _sample(self) -> None:
        while True:
            began_s = trio.current_time()
            cpu_s = await in_turns(self.sampler.steps(self._clock.now_ns()))
            cpu_s += await in_turns(self.view.steps())
            self.view.sample_s = max(SAMPLE_S, math.ceil(cpu_s / SAMPLE_SHARE))
            await trio.sleep_until(max(began_s + self.view.sample_s, trio.current_time()))

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
        """Sample a simulated run, and judge its claims, when it is time for that."""
        if time_ns >= self._sample_ns:
            self._sample_ns = time_ns + round(self._sample_s * S)
            self.sampler.sample(time_ns)
            for _ in self.view.steps():
                pass
        if time_ns >= self._judge_ns and self._bed is not None and self._bed.show_began_ns is not None:
            self._judge_ns = time_ns + round(max(JUDGE_S, self._duration_s / JUDGEMENTS) * S)
            assert self._judge_of is not None
            with contextlib.suppress(OwnCodeError, LookupError):
                self._show(self._judge_of.at_once(self._bed))
