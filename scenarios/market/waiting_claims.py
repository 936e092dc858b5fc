"""Pure: what claims about waiting need: how long downloads took, how much longer than bandwidth alone explains, who was answered.

Source: derived here from how a download starts and ends (node/pace.py), for huberman-wu, section 2.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from netem.clock import S
from node.events import DownloadFinished, DownloadStarted
from node.pace import JITTER_NS, SILENT_SPACINGS
from scenarios.claims import Claim, Record, compare, unjudged
from scenarios.market.events import Arrival
from scenarios.parameters import Params
from tracker.messages import BLOCK_BYTES

LONG_DELAY_S = 0.1
DEVIATIONS = 4.0

Times = Mapping[int, Sequence[tuple[float, float]]]
"""(when it started, how long it took), in seconds, of each finished download by file index, in order of their starts."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean time by theory, and as measured.

    Attributes:
        predicted: by theory, > 0.
        measured: None without data.
        longer: how much more it may be than theory says, since that leaves out what only adds.
        deviation: of chance, which is independent of what another mean has.
    """

    predicted: float
    measured: float | None
    longer: float
    deviation: float

    @property
    def tolerance(self) -> float:
        """Return how far apart theory and measurement may be."""
        return self.longer + DEVIATIONS * self.deviation

    def over(self, other: Mean) -> Mean:
        """Return the ratio of two means.

        What theory leaves out makes both longer, so that the ratio is off by the larger of both relative bounds at most. Chance is
        independent in both: to first order, relative deviations add in quadrature.
        """
        ratio = self.predicted / other.predicted
        longer = max(self.longer / self.predicted, other.longer / other.predicted)
        deviation = math.hypot(self.deviation / self.predicted, other.deviation / other.predicted)
        measured = self.measured / other.measured if self.measured is not None and other.measured else None
        return Mean(ratio, measured, ratio * longer, ratio * deviation)

    def claim(self, name: str, *, source: str, note: str = "") -> Claim:
        """Claim that it is as predicted."""
        if self.measured is None:
            return unjudged(name, "not every file was fetched", source)
        return compare(
            name,
            predicted=self.predicted,
            measured=self.measured,
            tolerance=self.tolerance,
            source=source,
            note=note,
        )


class Row(NamedTuple):
    """A download: the time it took, what theory says, and how far apart they may be, all in the same unit.

    `longer` bounds what theory leaves out, on average. `own` is the deviation of the download's own chance, and `shared` that of what is
    chance for all downloads of its group at once.
    """

    took: float
    expected: float
    longer: float
    own: float
    shared: float

    def over(self, unit: float) -> Row:
        """Return it in another unit."""
        return Row(*(value / unit for value in self))


def mean_of(groups: Sequence[Sequence[Row]]) -> Mean:
    """Return the mean over the downloads of all groups; chance is independent between groups."""
    rows = [row for group in groups for row in group]
    if not rows:
        return Mean(1.0, None, 0.0, 0.0)
    took, expected, longer = (math.fsum(column) / len(rows) for column in list(zip(*rows, strict=True))[:3])
    shared = [math.fsum(row.shared for row in group) for group in groups]
    return Mean(expected, took, longer, math.hypot(*(row.own for row in rows), *shared) / len(rows))


def times_by_file(record: Record) -> Times:
    """Return how long finished downloads took, from the tracker's answer to the last byte."""
    ended = {event.download: time_ns for time_ns, event in record.trace.of(DownloadFinished)}
    times: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for time_ns, event in record.trace.of(DownloadStarted):
        if event.download in ended:
            times[event.index].append((time_ns / S, (ended[event.download] - time_ns) / S))
    return times


def answered_claim(record: Record) -> Claim:
    """Claim that every file that was asked for came, each time, however few ask for it."""
    asked = Counter(event.index for _, event in record.trace.of(Arrival) if event.node)
    came = Counter(event.index for _, event in record.trace.of(DownloadFinished))
    late = asked - came
    return Claim(
        name="requests answered",
        predicted=asked.total(),
        measured=came.total(),
        tolerance=0,
        ok=bool(asked) and asked == came,
        source="huberman-wu, sections 1 and 4: any content is provided, whatever its popularity",
        detectable=1,
        note=f"{len(asked)} files were asked for; {len(late)} of them did not come each time"
        if asked
        else "nobody asked",
    )


def other_bottleneck(params: Params, *, servers: int) -> str:
    """Say what limits downloads besides the servers' upload, which alone the predictions know; "" when nothing does."""
    if params.topology:
        return "a topology gives nodes links of their own"
    if min(params.download_bytes_per_s, params.link().rate_bytes_per_s) < servers * params.upload_bytes_per_s:
        return "links or downloads are limited, so uploads are not the bottleneck"
    if params.link().mean_delay_s() > LONG_DELAY_S:
        return f"delays beyond {LONG_DELAY_S:g} s, so conversations and not uploads are the bottleneck"
    return ""


def extra_s(params: Params, *, spacing_s: float, servers: int) -> tuple[float, float]:
    """Bound the mean, and give the deviation, of what a download takes longer than its blocks do at the rates reserved for it.

    It starts a round trip after the tracker's answer, and its last block is asked for a round trip before it comes. Its servers do
    not end together, but within a spacing, and ask for the last block of each twice, which takes a spacing more (node/endgame.py).
    When the last block of any of them is lost, with probability 1 - (1 - q)^servers,
    that is noticed after it has been silent for `SILENT_SPACINGS` spacings (and half a round trip, at least the jitter
    allowed for), and the block comes a spacing later. Others may be served meanwhile.

    Args:
        params: with the links.
        spacing_s: between the blocks of one server, in seconds.
        servers: how many serve a download at once.
    """
    round_trip_s = 2 * params.link().mean_delay_s()
    slack_s = max(JITTER_NS / S, round_trip_s / 2)
    late = 1 - (1 - params.link().loss_rate()) ** servers
    wait_s = (SILENT_SPACINGS + 1) * spacing_s + slack_s
    return 2 * (round_trip_s + spacing_s) + late * wait_s, wait_s * math.sqrt(late * (1 - late))


def loss_error(params: Params, size_bytes: int) -> float:
    """Return the relative standard deviation of how many blocks must be sent until a file is whole.

    B blocks, each lost with probability q, take a negative binomial number: mean B / (1 - q), variance B q / (1 - q)².
    """
    return math.sqrt(params.link().loss_rate() / max(1.0, size_bytes / BLOCK_BYTES))
