"""trio: keeps what a report cannot find out afterwards: the metrics that are read from the testbed, not folded from events.

Metrics that are folds over events can be folded again from the trace. The others are sampled: once a second, less often with many
links (reading 2,000 links takes some milliseconds) and in a run that takes hours (1,800 samples double the time they cover).

Source: DESIGN section 5.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio

from netem.clock import Clock, S
from netem.events import Event, EventStream
from netem.network import Network
from scenarios.exposition import Exposition
from scenarios.metrics import families
from scenarios.metrics.nodes import role_of
from scenarios.sample_file import FILE, SampleFile
from scenarios.sampling import Readings
from scenarios.testbed import Bed
from scenarios.turns import in_turns

PERIOD_S = 1.0
LINKS_PER_S = 2_000  # of which reading takes about half a percent of a core
SAMPLES_PER_AGE = 1_800
INSTANCE = "run"


class Recorder:
    """Sample one run into its directory until `finish`.

    Args:
        directory: the run's.
        clock: the run's.
        network, events: to read.
        info: what the run is, for `swarmbed_run_info`.
        say: tells of a disk that fails.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        network: Network,
        events: EventStream,
        info: dict[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._network = network
        self._say = say
        self._bed: Bed | None = None
        read = {name: kind for name, kind in families().items() if kind.reads}
        self._exposition = Exposition(read, info=info, now_ns=clock.now_ns)
        self._exposition.attach("network", network)
        self._exposition.attach("events", events)
        self._file = SampleFile(directory / FILE)
        self._readings = Readings(self._exposition, self._file, instance=INSTANCE)
        self._began_ns = self._due_ns = clock.now_ns()

    def attach(self, bed: Bed) -> None:
        """Take the testbed, once there is one."""
        self._bed = bed
        self._exposition.attach("bed", bed)
        self._exposition.attach("bank", bed.bank)

    def fold(self, time_ns: int, event: Event) -> None:
        """Take an event; a simulated run is sampled at events, for a task or a timer more would change it."""
        self._exposition.fold(time_ns, event)
        if time_ns >= self._due_ns and self._clock.virtual:
            self._readings.sample(time_ns)
            self._due_ns = time_ns + self._period_ns(time_ns)

    async def run(self) -> None:
        """Sample a real run until cancelled."""
        while True:
            began_ns = self._clock.now_ns()
            await in_turns(self._readings.steps(began_ns))
            rest_ns = began_ns + self._period_ns(began_ns) - self._clock.now_ns()
            await trio.sleep(max(0, rest_ns) / S)

    def finish(self) -> None:
        """Take the last sample, write who took part, and close the file."""
        self._readings.sample(self._clock.now_ns())
        peers = () if self._bed is None else self._bed.peers
        self._file.close([(peer.node, f"node-{number}", role_of(peer)) for number, peer in enumerate(peers)])
        if self._file.failure:
            self._say(f"the report will lack metrics: {self._file.failure}")

    def _period_ns(self, now_ns: int) -> int:
        period_s = max(PERIOD_S, len(self._network.routes) / LINKS_PER_S)
        return max(round(period_s * S), (now_ns - self._began_ns) // SAMPLES_PER_AGE)
