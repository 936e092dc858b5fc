"""trio: all that looks on at a run and changes nothing of it: progress, samples of its metrics, the live page.

Source: DESIGN section 5 (events, metrics, claims).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from netem.events import EventStream
from netem.network import Network
from netem.real_time import RealTime
from netem.virtual_time import VirtualTime
from scenarios.catalogue import Scenario
from scenarios.exposition import Exposition
from scenarios.judging import Judge
from scenarios.metrics import families
from scenarios.options import Options
from scenarios.parameters import Params
from scenarios.progress import Progress
from scenarios.recording import Recorder, recorded_families
from scenarios.result import Result
from scenarios.sampling import Sampler
from scenarios.testbed import AnyPeer, Bed

if TYPE_CHECKING:
    from scenarios.watch import Watch


class Onlookers:
    """Who looks on at one run.

    `say(text)` tells the person at the terminal.

    Args:
        clock: the run's clock.
        network: what the run happens on.
        events: every event of the run; the onlookers fold them from now on.
        directory: the run's, which keeps the samples for the report.
        watch: the live page; None for a run that is not served, of which only what the report needs is sampled.
    """

    def __init__(
        self,
        clock: RealTime | VirtualTime,
        network: Network,
        events: EventStream,
        *,
        scenario: Scenario,
        params: Params,
        options: Options,
        directory: Path,
        watch: Watch | None,
    ) -> None:
        self._clock = clock
        self._watch = watch
        self._progress = Progress(clock, duration_s=params.duration_s, quiet=options.quiet)
        self.say = self._progress.say
        events.subscribe(self._progress.fold)
        name = directory.name.encode(errors="backslashreplace").decode()  # labels are text, and a path may be none
        info = {"run": name, "scenario": scenario.name, "seed": str(options.seed), "time": options.time}
        kinds = recorded_families() if watch is None else families()
        self._exposition = Exposition(kinds, info=info, now_ns=clock.now_ns)
        self._exposition.attach("network", network)
        self._exposition.attach("events", events)
        self._sampler = Sampler(self._exposition, clock)
        self._recorder = Recorder(directory, clock, sampler=self._sampler, network=network, say=self.say)
        if watch is not None:
            watch.begin(scenario, params, options=options, directory=directory, clock=clock, sampler=self._sampler)
            watch.attach(network=network)
        events.subscribe(self._sampler.fold)
        if watch is not None:
            events.subscribe(watch.fold)

    def start(self, nursery: trio.Nursery, judge: Judge) -> None:
        """Look on until the nursery is cancelled; the live page judges the claims so far by `judge`.

        A simulated run is sampled and judged as its events come: a task more would change the order of others.
        """
        nursery.start_soon(self._progress.run)
        if not self._clock.virtual:
            nursery.start_soon(self._sampler.run)
        if self._watch is not None:
            if self._clock.virtual:
                self._watch.follow(judge)
            else:
                nursery.start_soon(self._watch.run, judge)

    def attach(self, bed: Bed, services: trio.Nursery) -> None:
        """Look at the testbed too; while the services run, a page in real time may also change it."""
        self._exposition.attach("bed", bed)
        self._exposition.attach("bank", bed.bank)
        if self._watch is not None:
            self._watch.attach(bed=bed)
            if not self._clock.virtual:
                services.start_soon(self._watch.take_controls, bed.live)

    def keep_samples(self, peers: Sequence[AnyPeer]) -> None:
        """Write the last sample for the report."""
        self._recorder.finish(peers)

    def close(self) -> None:
        """End the line of progress."""
        self._progress.close()

    def tell(self, result: Result) -> None:
        """Show the verdict on the live page."""
        if self._watch is not None:
            self._watch.finish(result)
