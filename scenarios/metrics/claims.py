"""Pure: the claims so far: theory and measurement of each as two lines.

Source: DESIGN section 5 (the prediction is also exported as a metric).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netem.metric import Family, Label, Panel, Query, gauge

if TYPE_CHECKING:
    from scenarios.claims import Claim

MOST_CLAIMS = 64
_CLAIM = Label("claim", most=MOST_CLAIMS)
_OK, _PREDICTED, _MEASURED, _TOLERANCE = (
    "swarmbed_claim_ok",
    "swarmbed_claim_predicted",
    "swarmbed_claim_measured",
    "swarmbed_claim_tolerance",
)


class Claims(Family):
    """The scenario's claims, judged on the run so far."""

    name = "claims"
    metrics = (
        gauge(
            _OK,
            "1 when a claim holds on the run so far, 0 when not; none where its assumption is switched off.",
            _CLAIM,
        ),
        gauge(_PREDICTED, "What theory predicts, in the unit that the claim's name states.", _CLAIM),
        gauge(_MEASURED, "What was measured so far, in the same unit.", _CLAIM),
        gauge(_TOLERANCE, "How far apart the two may be.", _CLAIM),
    )
    panels = (
        Panel(
            dashboard="overview",
            order=4,
            title="Claims that hold",
            description="Claims that hold on the run so far, over those judged. Some need data first; money agrees once all "
            "downloads are settled. The verdict that counts is the one at the end.",
            unit="short",
            look="stat",
            width=8,
            height=4,
            queries=(
                Query(expr=f"sum({_OK}{{@}})", legend="hold"),
                Query(expr=f"count({_OK}{{@}})", legend="judged"),
            ),
        ),
        Panel(
            dashboard="overview",
            order=20,
            title="Claim: theory and measurement",
            description="Of the claim chosen above: what theory predicts (dashed), what was measured so far, and how far apart they "
            "may be.",
            unit="short",
            width=24,
            height=9,
            queries=(
                Query(expr=f'{_MEASURED}{{@,claim=~"$claim"}}', legend="measured: {{claim}}"),
                Query(expr=f'{_PREDICTED}{{@,claim=~"$claim"}}', legend="predicted: {{claim}}", theory=True),
            ),
        ),
        Panel(
            dashboard="overview",
            order=21,
            title="Claims so far",
            description="Every claim with what is predicted, measured and tolerated, and whether it holds so far (1) or not (0).",
            unit="short",
            look="table",
            width=24,
            height=10,
            queries=(
                Query(expr=f"{_PREDICTED}{{@}}", legend="predicted"),
                Query(expr=f"{_MEASURED}{{@}}", legend="measured"),
                Query(expr=f"{_TOLERANCE}{{@}}", legend="tolerance"),
                Query(expr=f"{_OK}{{@}}", legend="holds"),
            ),
        ),
    )

    def judged(self, claims: Sequence[Claim]) -> None:
        """Take the claims as they are now."""
        for metric in self.series:
            self.clear(metric)
        for claim in claims:
            if claim.ok is not None:
                self.set(_OK, claim.ok, claim.name)
                self.set(_TOLERANCE, claim.tolerance, claim.name)
            for metric, value in ((_PREDICTED, claim.predicted), (_MEASURED, claim.measured)):
                if isinstance(value, int | float):
                    self.set(metric, value, claim.name)
