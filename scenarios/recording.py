"""trio: keeps what a report cannot find out afterwards: the metrics that are read from the testbed, not folded from events.

Metrics that are folds over events can be folded again from the trace. The others are sampled: once a second, less often with many
links (reading 2,000 links takes some milliseconds) and in a run that takes hours (1,800 samples double the time they cover).

Source: DESIGN section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from netem.clock import Clock, S
from netem.metric import Family
from netem.network import Network
from scenarios.metrics import families
from scenarios.metrics.nodes import role_of
from scenarios.sample_file import FILE, SampleFile
from scenarios.sampling import Sampler
from scenarios.testbed import AnyPeer

PERIOD_S = 1.0
LINKS_PER_S = 2_000  # of which reading takes about half a percent of a core
SAMPLES_PER_AGE = 1_800
INSTANCE = "run"


def recorded_families() -> dict[str, type[Family]]:
    """Return the families that are read from the testbed, by name."""
    return {name: kind for name, kind in families().items() if kind.reads}


class Recorder:
    """Have one run sampled into its directory until `finish`.

    Args:
        directory: the run's.
        clock: the run's.
        sampler: takes the samples.
        network: of the run.
        say: tells of a disk that fails.
    """

    def __init__(
        self, directory: Path, clock: Clock, *, sampler: Sampler, network: Network, say: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._sampler = sampler
        self._network = network
        self._say = say
        self._began_ns = clock.now_ns()
        self._file = SampleFile(directory / FILE)
        sampler.keep(self._file, instance=INSTANCE, period_ns=self._period_ns, reading=True)

    def finish(self, peers: Iterable[AnyPeer]) -> None:
        """Take the last sample, write who took part, and close the file."""
        self._sampler.leave(self._file, self._clock.now_ns())
        self._file.close([(peer.node, f"node-{number}", role_of(peer)) for number, peer in enumerate(peers)])
        if self._file.failure:
            self._say(f"the report will lack metrics: {self._file.failure}")

    def _period_ns(self, now_ns: int) -> int:
        period_s = max(PERIOD_S, len(self._network.routes) / LINKS_PER_S)
        return max(round(period_s * S), (now_ns - self._began_ns) // SAMPLES_PER_AGE)
