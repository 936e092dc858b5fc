"""Pure: what servers bid: the rates B_i that they proved, and how the first of them split theirs over the first files.

Source: huberman-wu, section 2 (b_ij = B_i f_ij); DESIGN section 4 (odds).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netem.metric import Family, Label, Panel, Query, gauge
from scenarios.metrics.nodes import MOST_NODES
from scenarios.metrics.requests import SHARE
from tracker.metrics.odds import MOST_FILES

if TYPE_CHECKING:
    from scenarios.testbed import Bed

MOST_BIDDERS = 10
"""The first servers to bid have their splits shown; there are no more colours to tell lines apart."""

PROVEN = "swarmbed_proven_bytes_per_second"
_PREDICTED, _SPLIT = "swarmbed_proven_predicted_bytes_per_second", "swarmbed_bid_ratio"


class Bids(Family):
    """Rates and splits as the last board has them; in a run of many nodes nobody's rate is shown."""

    name = "bids"
    reads = "bed"
    metrics = (
        gauge(
            PROVEN,
            "Rate B_i that a server has proven by receipts, 0 once it bids no more.",
            Label("node", most=MOST_NODES),
        ),
        gauge(
            _PREDICTED,
            "Rate that theory gives every server: its upload less the reserve for control, headers and what loss takes.",
        ),
        gauge(
            _SPLIT,
            "Share f_ij of its bandwidth that a server bids on a file.",
            Label("node", most=MOST_BIDDERS),
            Label("file", most=MOST_FILES),
        ),
    )
    panels = (
        Panel(
            dashboard="market",
            order=22,
            title="Bids on the most wanted file, by server",
            description=f"Share of its bandwidth that each of the first {MOST_BIDDERS} servers bids on the file that most ask for. "
            "Dashed: the share of requests, which equal servers that hold every file bid on the average. Those that lack the "
            "file are at 0.",
            unit="percentunit",
            height=9,
            queries=(
                Query(
                    expr=f"sum by (instance, node) ({_SPLIT}{{@}} and on (instance, file) topk by (instance) (1, {SHARE}{{@}}))",
                    legend="{{node}}",
                ),
                Query(expr=f"max by (instance) ({SHARE}{{@}})", legend="share of requests", theory=True),
            ),
        ),
        Panel(
            dashboard="market",
            order=23,
            title="Bandwidth that servers proved",
            description="B_i: receipted bytes over busy time. Dashed: what theory allows at most, its upload less the "
            "reserve for control, headers and what loss takes. Nearer is better: below it servers wait, for requests or behind older orders.",
            unit="Bps",
            height=9,
            queries=(
                Query(expr=f"avg({PROVEN}{{@}} > 0)", legend="mean"),
                Query(expr=f"max({PROVEN}{{@}} > 0)", legend="highest"),
                Query(expr=f"min({PROVEN}{{@}} > 0)", legend="lowest"),
                Query(expr=f"max({_PREDICTED}{{@}})", legend="at most", theory=True),
            ),
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[bytes, str] = {}  # of those that ever bid, in the order in which they first did

    def gather(self, now_ns: int) -> Iterator[None]:  # noqa: ARG002 - a board has no time of its own here
        """Read the last board's bids."""
        bed: Bed | None = self.source
        if bed is None or not bed.peers or len(bed.peers) > MOST_NODES:
            return
        if not self._names and not bed.params.topology:  # it does not change, and takes a while
            self.set(_PREDICTED, bed.params.goodput_bytes_per_s())
        bids = {node: (rate, split) for node, rate, split in bed.tracker.market.bids()}
        yield
        for number, peer in enumerate(bed.peers):
            if peer.node in bids:
                self._names.setdefault(peer.node, f"node-{number}")
        files = min(MOST_FILES, 1 + max((file for _, split in bids.values() for file in split), default=-1))
        for place, (node, name) in enumerate(self._names.items()):
            rate, split = bids.get(node, (0.0, {}))
            self.set(PROVEN, rate, name)
            for file in range(files if place < MOST_BIDDERS else 0):
                self.set(_SPLIT, split.get(file, 0.0), name, str(file))
        yield
