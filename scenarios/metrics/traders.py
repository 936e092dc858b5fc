"""Pure: the free-rider account: what nodes that serve nothing got, paid and earned, against the others.

Source: huberman-wu, section 1 (no free riders: who serves earns, who only downloads pays); DESIGN section 4 (settlement by bytes).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from netem.events import Event
from netem.metric import Family, Handler, Label, Panel, Query, gauge
from node.events import PieceAccepted
from scenarios.prices import Prices
from tracker.events import DownloadSettled

if TYPE_CHECKING:
    from scenarios.testbed import Bed

_TRADER = Label("trader", ("serves", "serves nothing"))
_NODES, _FETCHED, _PAID, _DUE, _EARNED = (
    "swarmbed_traders",
    "swarmbed_trader_fetched_bytes",
    "swarmbed_trader_paid_microcredits",
    "swarmbed_trader_due_microcredits",
    "swarmbed_trader_earned_microcredits",
)


class Traders(Family):
    """Nodes that have served anything by now, and those that have not; who begins to serve changes sides with its past."""

    name = "traders"
    reads = "bed"
    metrics = (
        gauge(_NODES, "Nodes, by whether they have served anything yet.", _TRADER),
        gauge(_FETCHED, "Bytes of verified pieces that they got.", _TRADER),
        gauge(_PAID, "What they paid for it at settlements: fees less refunds, micro-credits.", _TRADER),
        gauge(
            _DUE, "What the flat fees come to for the bytes that they got in settled downloads, micro-credits.", _TRADER
        ),
        gauge(_EARNED, "What they were paid at settlements, micro-credits.", _TRADER),
    )
    panels = (
        Panel(
            dashboard="market",
            order=44,
            title="Free-rider account, per node",
            description="Nodes that have served nothing so far against the others: megabytes got, credits paid and "
            "earned, by each node on the average. Free riders pay the price of everybody and earn nothing: what they have, they had at the start.",
            unit="short",
            look="table",
            queries=(
                Query(expr=f"sum by (trader) ({_NODES}{{@}})", legend="nodes"),
                Query(
                    expr=f"sum by (trader) ({_FETCHED}{{@}}) / (sum by (trader) ({_NODES}{{@}}) > 0) / 1e6",
                    legend="MB got",
                ),
                Query(
                    expr=f"sum by (trader) ({_PAID}{{@}}) / (sum by (trader) ({_NODES}{{@}}) > 0) / 1e6",
                    legend="credits paid",
                ),
                Query(
                    expr=f"sum by (trader) ({_EARNED}{{@}}) / (sum by (trader) ({_NODES}{{@}}) > 0) / 1e6",
                    legend="credits earned",
                ),
            ),
        ),
        Panel(
            dashboard="market",
            order=45,
            title="Paid over what the flat fee asks",
            description="Credits paid over what the flat fee comes to for the bytes got, in settled downloads. Theory says 100 % for both: "
            "nobody has anything for nothing, and nobody pays for what did not come.",
            unit="percentunit",
            queries=(
                Query(
                    expr=f"sum by (trader) ({_PAID}{{@}}) / (sum by (trader) ({_DUE}{{@}}) > 0)",
                    legend="{{trader}}",
                ),
                Query(expr=f"1 + 0 * sum({_DUE}{{@}})", legend="the fee", theory=True),
            ),
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        self._prices = Prices()
        self._served: set[bytes] = set()
        self._fetched: Counter[bytes] = Counter()
        self._paid: Counter[bytes] = Counter()
        self._due: dict[bytes, float] = {}
        self._open: dict[bytes, float] = {}  # by download, what came so far

    def folds(self) -> Mapping[type[Event], Handler]:
        """Return how to keep accounts."""
        return self._prices.folds(accepted=self._accepted, settled=self._settled)

    def _accepted(self, _time_ns: int, event: PieceAccepted) -> None:
        nbytes = sum(size for _, size in event.sources)
        self._served.update(server for server, _ in event.sources)
        self._fetched[event.node] += nbytes
        cost = self._prices.credits(event.download, nbytes)
        self._open[event.download] = self._open.get(event.download, 0.0) + cost

    def _settled(self, _time_ns: int, event: DownloadSettled) -> None:
        downloader = self._prices.settle(event)
        self._paid[downloader] += sum(paid for _, paid in event.payouts)
        self._due[downloader] = self._due.get(downloader, 0.0) + self._open.pop(event.download, 0.0)

    def gather(self, now_ns: int) -> Iterator[None]:  # noqa: ARG002 - counts have no time
        """Add up both sides."""
        bed: Bed | None = self.source
        if bed is None:
            return
        for trader in _TRADER.values:
            nodes = [peer.node for peer in bed.peers if (peer.node in self._served) == (trader == "serves")]
            self.set(_NODES, len(nodes), trader)
            self.set(_FETCHED, sum(self._fetched[node] for node in nodes), trader)
            self.set(_PAID, sum(self._paid[node] for node in nodes), trader)
            self.set(_DUE, sum(self._due.get(node, 0.0) for node in nodes), trader)
            self.set(_EARNED, sum(self._prices.earned_credits[node] for node in nodes), trader)
            yield
