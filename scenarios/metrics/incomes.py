"""Pure: what servers earn, beside what theory says: b_ij/π_j of every fee.

The theory is taken piece by piece: of what an accepted piece costs, server i is due B_i f_ij / Σ_k B_k f_kj, by the bids of the last
board that was read. It is paid for what it delivered, through loss and queues: this is the distance between the two.

Source: huberman-wu, eq. (1) to (3); DESIGN section 4 (settlement by bytes).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from netem.events import Event
from netem.metric import Family, Handler, Label, Panel, Query, counter
from node.events import PieceAccepted
from scenarios.metrics.bids import PROVEN
from scenarios.metrics.nodes import MOST_NODES
from scenarios.prices import Prices
from tracker.events import DownloadSettled

if TYPE_CHECKING:
    from scenarios.testbed import Bed

_NODE = Label("node", most=MOST_NODES)
_EARNED, _DUE = "swarmbed_node_earned_microcredits_total", "swarmbed_node_earned_predicted_microcredits_total"
_RATIO = f"increase({_EARNED}{{@}}[1m]) / ({PROVEN}{{@}} > 0)"


class Incomes(Family):
    """Income by server, in a run of at most `MOST_NODES` nodes."""

    name = "incomes"
    reads = "bed"
    metrics = (
        counter(_EARNED, "Paid to a node at settlements, micro-credits.", _NODE),
        counter(
            _DUE,
            "What theory gives a node for the pieces that were accepted: its share of the bids on the file.",
            _NODE,
        ),
    )
    panels = (
        Panel(
            dashboard="market",
            order=42,
            title="Income per unit of bandwidth",
            description="Micro-credits that a server earned in the last minute for each byte/s that it has proven: the servers that "
            "earned most and least, and the middle one. Dashed: all income over all bandwidth. At uniform p/π they come together: "
            "no server gains by bidding otherwise.",
            unit="short",
            queries=(
                Query(expr=f"max({_RATIO})", legend="highest server"),
                Query(expr=f"quantile(0.5, {_RATIO})", legend="median server"),
                Query(expr=f"min({_RATIO})", legend="lowest server"),
                Query(
                    expr=f"sum(increase({_EARNED}{{@}}[1m])) / sum({PROVEN}{{@}} > 0)", legend="all alike", theory=True
                ),
            ),
        ),
        Panel(
            dashboard="market",
            order=43,
            title="Payouts against b_ij/π_j",
            description="Share of all payouts so far that went to other servers than the bids say: half of the sum of differences. "
            "Theory says 0; pieces are lumps, and loss strikes by chance, so it falls as more is paid.",
            unit="percentunit",
            queries=(
                Query(
                    expr=f"sum(abs({_EARNED}{{@}} / scalar(sum({_EARNED}{{@}})) - {_DUE}{{@}} / scalar(sum({_DUE}{{@}})))) / 2",
                    legend="paid to others",
                ),
                Query(expr=f"0 * sum({_DUE}{{@}})", legend="theory", theory=True),
            ),
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        self._prices = Prices()
        self._due: dict[bytes, float] = {}
        self._offers: dict[int, dict[bytes, float]] = {}  # by file and server, bytes/s

    def folds(self) -> Mapping[type[Event], Handler]:
        """Return how to count income."""
        return self._prices.folds(accepted=self._accepted, settled=self._settled)

    def _accepted(self, _time_ns: int, event: PieceAccepted) -> None:
        offers = self._offers.get(event.index, {})
        whole = math.fsum(offers.values())
        if whole > 0:
            price = self._prices.credits(event.download, sum(nbytes for _, nbytes in event.sources))
            for server, offer in offers.items():
                self._due[server] = self._due.get(server, 0.0) + price * offer / whole

    def _settled(self, _time_ns: int, event: DownloadSettled) -> None:
        self._prices.settle(event)

    def gather(self, now_ns: int) -> Iterator[None]:  # noqa: ARG002 - counts have no time
        """Read the bids, and say whose income is whose."""
        bed: Bed | None = self.source
        if bed is None or not bed.peers or len(bed.peers) > MOST_NODES:
            return
        self._offers = {}
        for node, rate, split in bed.tracker.market.bids():
            for file, share in split.items():
                self._offers.setdefault(file, {})[node] = rate * share
        yield
        for number, peer in enumerate(bed.peers):
            self.set(_EARNED, self._prices.earned_credits[peer.node], f"node-{number}")
            self.set(_DUE, self._due.get(peer.node, 0.0), f"node-{number}")
        yield
