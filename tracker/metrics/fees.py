"""Pure: the market's money: fees held, and where they went: to servers, or back.

Source: DESIGN section 4 (settlement: payouts + refund = fee, always).
"""

from __future__ import annotations

from collections.abc import Mapping

from netem.events import Event
from netem.metric import Family, Handler, Label, Panel, Query, counter
from tracker.events import DownloadSettled, EquivocationSeen, FeeHeld

_SYSTEM = Label("system", ("market", "exchange", "backup", "club"))
_HOW = Label("how", ("close", "expiry"))
_FEES, _PAID, _BACK = (
    "swarmbed_fees_held_microcredits_total",
    "swarmbed_payouts_microcredits_total",
    "swarmbed_refunds_microcredits_total",
)
_IN = 'system=~"$system"'


class Fees(Family):
    """Fees, payouts and refunds of each system, and settlements by how they came about."""

    name = "fees"
    metrics = (
        counter(_FEES, "Fees set aside when downloads were opened, micro-credits.", _SYSTEM),
        counter(_PAID, "Paid to servers at settlement, micro-credits.", _SYSTEM),
        counter(_BACK, "Refunded for what was not delivered, micro-credits.", _SYSTEM),
        counter(
            "swarmbed_settlements_total", "Downloads settled, by the downloader's close or by expiry.", _SYSTEM, _HOW
        ),
        counter("swarmbed_equivocations_total", "Signed contradictions that the tracker refused and recorded."),
    )
    panels = (
        Panel(
            dashboard="market",
            order=40,
            title="Fees, payouts and refunds",
            description="Fees held, and fees settled: payouts plus refunds. The second line follows the first by the time that a "
            "download takes; the distance is what is still held.",
            unit="short",
            queries=(
                Query(expr=f"sum({_PAID}{{@,{_IN}}}) + sum({_BACK}{{@,{_IN}}})", legend="payouts + refunds"),
                Query(expr=f"sum({_FEES}{{@,{_IN}}})", legend="fees held", theory=True),
                Query(expr=f"sum({_BACK}{{@,{_IN}}})", legend="refunds"),
            ),
        ),
        Panel(
            dashboard="market",
            order=41,
            title="Settlements",
            description="Downloads settled per second. Expiries mean that downloaders left without a close.",
            unit="ops",
            queries=(
                Query(
                    expr=f"sum by (how) (rate(swarmbed_settlements_total{{@,{_IN}}}[$__rate_interval]))",
                    legend="{{how}}",
                ),
                Query(expr="sum(rate(swarmbed_equivocations_total{@}[$__rate_interval]))", legend="equivocations"),
            ),
        ),
    )

    def folds(self) -> Mapping[type[Event], Handler]:
        """Return how to count money."""
        return {FeeHeld: self._held, DownloadSettled: self._settled, EquivocationSeen: self._contradicted}

    def _held(self, _time_ns: int, event: FeeHeld) -> None:
        self.add(_FEES, event.fee_credits, "market")

    def _settled(self, _time_ns: int, event: DownloadSettled) -> None:
        self.add(_PAID, sum(paid for _, paid in event.payouts), "market")
        self.add(_BACK, event.refund_credits, "market")
        self.add("swarmbed_settlements_total", 1, "market", event.how)

    def _contradicted(self, _time_ns: int, _event: EquivocationSeen) -> None:
        self.add("swarmbed_equivocations_total", 1)
