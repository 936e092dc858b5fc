"""Pure: how long the crowd waits for files of each popularity, beside what a file takes with a share p_j of all bandwidth.

Theory takes a file alone in an idle system: size / (p_j Σ B_i), where B_i is a server's upload less reserve, headers and loss, and at most
`MAX_SERVERS` of those who hold a file work on one download. What is above it is the queue of those who want the same file, and, for a new one, the time
until enough servers have it.

Source: huberman-wu, sections 1 (files in real time, popular or not) and 3.3 (π_j = p_j).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from netem.clock import S
from netem.events import Event
from netem.metric import Family, Handler, Label, Panel, Query, counter
from node.events import DownloadFinished, DownloadStarted, DownloadStopped
from node.swarm import MAX_SERVERS
from scenarios.market.events import Arrival
from tracker.events import FilePublished

if TYPE_CHECKING:
    from scenarios.testbed import Bed

RANKS = ("01", "02", "03-04", "05-08", "09-16", "17-32", "33-64", "65 on")  # of files, by p_j
_RANK = Label("rank", RANKS)
_FINISHED, _WAITED, _ALONE = (
    "swarmbed_ranked_downloads_total",
    "swarmbed_ranked_waiting_seconds_total",
    "swarmbed_ranked_waiting_predicted_seconds_total",
)


class Waits(Family):
    """Time from a request to the whole file, by the rank of the file."""

    name = "waits"
    reads = "bed"
    metrics = (
        counter(_FINISHED, "Downloads that finished, by the file's rank among the shares of requests.", _RANK),
        counter(_WAITED, "Time from the request to the whole file, of downloads that finished.", _RANK),
        counter(
            _ALONE, "Time that theory gives the same downloads, each alone, with a share p of all bandwidth.", _RANK
        ),
    )
    panels = (
        Panel(
            dashboard="market",
            order=34,
            title="Waiting time by popularity rank",
            description="Mean seconds from a request to the whole file, of what is finished; 01 is the most wanted file. Theory: what the "
            "same files take alone with a share p of all bandwidth. Queues, and a new file that few have yet, add to it.",
            unit="s",
            look="table",
            queries=(
                Query(
                    expr=f"sum by (rank) ({_WAITED}{{@}}) / (sum by (rank) ({_FINISHED}{{@}}) > 0)", legend="waited (s)"
                ),
                Query(
                    expr=f"sum by (rank) ({_ALONE}{{@}}) / (sum by (rank) ({_FINISHED}{{@}}) > 0)",
                    legend="theory: alone (s)",
                    theory=True,
                ),
                Query(expr=f"sum by (rank) ({_FINISHED}{{@}}) > 0", legend="downloads"),
            ),
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        self._asked_ns: dict[tuple[bytes, int], int] = {}
        self._sizes_bytes: dict[int, int] = {}
        self._popularity: object = ()  # p as the scenario has it, which may come to have another
        self._shares: list[float] = []
        self._ranks: list[int] = []
        self._goodput_bytes_per_s = self._bandwidth_bytes_per_s = 0.0  # of one server, and of all

    def folds(self) -> Mapping[type[Event], Handler]:
        """Return how to follow requests."""
        return {
            FilePublished: self._published,
            Arrival: self._asked,
            DownloadStarted: self._asked,
            DownloadFinished: self._finished,
            DownloadStopped: self._stopped,
        }

    def _published(self, _time_ns: int, event: FilePublished) -> None:
        self._sizes_bytes[event.index] = event.size_bytes

    def _asked(self, time_ns: int, event: Arrival | DownloadStarted) -> None:
        if event.node:
            self._asked_ns.setdefault((event.node, event.index), time_ns)

    def _stopped(self, _time_ns: int, event: DownloadStopped) -> None:
        self._asked_ns.pop((event.node, event.index), None)

    def _finished(self, time_ns: int, event: DownloadFinished) -> None:
        asked_ns = self._asked_ns.pop((event.node, event.index), None)
        if asked_ns is None or event.index >= len(self._shares) or not self._bandwidth_bytes_per_s:
            return
        rank = rank_of(self._ranks[event.index])
        self.add(_FINISHED, 1, rank)
        self.add(_WAITED, (time_ns - asked_ns) / S, rank)
        holders = len(self.source.tracker.market.catalogue.servers(event.index))
        at_once = min(1.0, MAX_SERVERS / max(holders, 1))  # of those who hold it
        rate_bytes_per_s = self._shares[event.index] * self._bandwidth_bytes_per_s * at_once
        self.add(_ALONE, self._sizes_bytes.get(event.index, 0) / rate_bytes_per_s, rank)

    def gather(self, now_ns: int) -> Iterator[None]:  # noqa: ARG002 - the events have times
        """Read p, and how much bandwidth there is."""
        bed: Bed | None = self.source
        if bed is None or not bed.peers:
            return
        popularity = bed.facts.get("popularity", ())
        if popularity is not self._popularity:
            self._popularity = popularity
            p = np.asarray(popularity, dtype=np.float64)
            self._shares = p.tolist()
            self._ranks = np.argsort(np.argsort(-p, kind="stable"), kind="stable").tolist()
            self._goodput_bytes_per_s = bed.params.goodput_bytes_per_s()
        servers = sum(1 for _ in bed.tracker.market.bids())
        self._bandwidth_bytes_per_s = servers * self._goodput_bytes_per_s
        yield


def rank_of(place: int) -> str:
    """Return the class of ranks of the file at a place in the order of p, 0 the most wanted."""
    return RANKS[min(place.bit_length(), len(RANKS) - 1)]
