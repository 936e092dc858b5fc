"""Pure: what the crowd asks for, beside what theory says the odds come to: π_j against p_j.

Source: huberman-wu, section 3.3 (the odds come to the request shares).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from netem.events import Event
from netem.metric import Family, Handler, Label, Panel, Query, counter, gauge
from scenarios.market.events import Arrival
from tracker.metrics.odds import MOST_FILES, ODDS

if TYPE_CHECKING:
    from scenarios.testbed import Bed

_FILE = Label("file", most=MOST_FILES)
_REQUESTS, SHARE = "swarmbed_requests_total", "swarmbed_request_share_predicted_ratio"

_MOST_RATIO = 5  # drawn; a file that nobody serves yet is far beyond


class Requests(Family):
    """Requests of the crowd by file, and the shares p_j that the scenario draws them from."""

    name = "requests"
    reads = "bed"
    metrics = (
        counter(_REQUESTS, "Requests of the crowd for a file.", _FILE),
        gauge(
            SHARE, "Share p_j of requests that the scenario gives a file; theory says that the odds come to it.", _FILE
        ),
    )
    panels = (
        Panel(
            dashboard="market",
            order=10,
            title="Odds π_j against request shares p_j",
            description="Odds of each file, and, dashed, the share of requests it gets. Theory says that the odds come to the "
            "shares and stay there.",
            unit="percentunit",
            width=24,
            height=10,
            queries=(
                Query(expr=f"{ODDS}{{@}}", legend="π {{file}}"),
                Query(expr=f"{SHARE}{{@}}", legend="p {{file}}", theory=True),
            ),
        ),
        Panel(
            dashboard="market",
            order=11,
            title="Distance of the odds from the request shares",
            description="Total variation distance of π from p, over the files shown: half of Σ |π_j - p_j|. Theory says 0, up to the "
            "noise of proven rates.",
            unit="percentunit",
            queries=(
                Query(expr=f"sum(abs({ODDS}{{@}} - {SHARE}{{@}})) / 2", legend="distance"),
                Query(expr=f"0 * sum({SHARE}{{@}})", legend="theory", theory=True),
            ),
        ),
        Panel(
            dashboard="market",
            order=12,
            title="Spread of p/π",
            description=f"Share of requests over odds, of the file served worst and of the one served best, up to {_MOST_RATIO}. Above 1 a "
            "file lacks bandwidth, below it has too much. Theory says 1 for all; a new file begins high and comes down.",
            unit="short",
            queries=(
                Query(expr=f"max(clamp_max({SHARE}{{@}} / {ODDS}{{@}}, {_MOST_RATIO}))", legend="served worst"),
                Query(expr=f"min({SHARE}{{@}} / {ODDS}{{@}})", legend="served best"),
                Query(expr=f"1 + 0 * sum({SHARE}{{@}})", legend="uniform", theory=True),
            ),
        ),
        Panel(
            dashboard="market",
            order=21,
            title="Requests",
            description="Requests of the crowd per second, by file.",
            unit="reqps",
            queries=(Query(expr=f"sum by (file) (rate({_REQUESTS}{{@}}[$__rate_interval]))", legend="file {{file}}"),),
        ),
    )

    def folds(self) -> Mapping[type[Event], Handler]:
        """Return how to count requests."""
        return {Arrival: self._arrived}

    def _arrived(self, _time_ns: int, event: Arrival) -> None:
        if event.index < MOST_FILES:
            self.add(_REQUESTS, 1, str(event.index))

    def gather(self, now_ns: int) -> Iterator[None]:  # noqa: ARG002 - p does not change
        """Read p, once the scenario has it."""
        bed: Bed | None = self.source
        shares = () if bed is None else bed.facts.get("popularity", ())
        for index, share in enumerate(shares[:MOST_FILES]):
            self.set(SHARE, float(share), str(index))
        yield
