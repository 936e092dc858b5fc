"""Pure: how old the odds are that nodes act on: boards behind the newest, beside what loss makes of it.

A board is a broadcast that nobody repeats. With loss q, when the next one is posted, the newest page that came is k boards old with
probability (1 - q) q^k, so the oldest of P pages is Σ_{k>0} 1 - (1 - q^k)^P boards behind, on the average.

Source: DESIGN section 4 (odds go out by lossy broadcast).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from netem.events import Event
from netem.metric import Family, Handler, Panel, Query, gauge
from tracker.events import BoardPosted
from tracker.odds import FILES_PER_PAGE

if TYPE_CHECKING:
    from scenarios.testbed import Bed

_BEHIND, _WORST, _PREDICTED = (
    "swarmbed_boards_behind",
    "swarmbed_boards_behind_worst",
    "swarmbed_boards_behind_predicted",
)
_MOST_LOST = 200  # boards in a row: with loss up to 0.9 more add nothing to see


class Staleness(Family):
    """Boards between the newest and those that nodes of this process have."""

    name = "staleness"
    reads = "bed"
    metrics = (
        gauge(_BEHIND, "Boards that nodes lacked when the next was posted, on the average."),
        gauge(_WORST, "Boards that the node with the oldest odds lacked when the next was posted."),
        gauge(_PREDICTED, "Mean number of boards lacked that the loss of the links leads to."),
    )
    panels = (
        Panel(
            dashboard="market",
            order=31,
            title="Staleness of the odds at nodes",
            description="How many boards nodes lacked when the next one was posted, on the average of all nodes and of the last half "
            "minute. Dashed: what the links' loss leads to, since nobody repeats a board.",
            unit="short",
            queries=(
                Query(expr=f"avg(avg_over_time({_BEHIND}{{@}}[30s]))", legend="boards behind"),
                Query(expr=f"avg({_PREDICTED}{{@}})", legend="by loss", theory=True),
            ),
        ),
        Panel(
            dashboard="market",
            order=36,
            title="Oldest odds",
            description="Boards that the worst node lacked. One or two are loss; more, and a node is cut off, or its odds are.",
            unit="short",
            width=6,
            queries=(Query(expr=f"max({_WORST}{{@}})", legend="boards behind"),),
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        self._newest = -1
        self._pages = 0  # of a board that the prediction was made for

    def folds(self) -> Mapping[type[Event], Handler]:
        """Return how to follow the boards."""
        return {BoardPosted: self._posted}

    def _posted(self, _time_ns: int, event: BoardPosted) -> None:
        """Look at what came of the board before."""
        before, self._newest = self._newest, event.board
        bed: Bed | None = self.source
        boards = [] if bed is None else [board for peer in bed.peers if (board := getattr(peer, "board", -1)) >= 0]
        if bed is None or not boards:
            return
        behind = [max(0, before - board) for board in boards]
        self.set(_BEHIND, sum(behind) / len(behind))
        self.set(_WORST, max(behind))
        pages = max(1, -(-len(event.shares) // FILES_PER_PAGE))
        if pages != self._pages and not bed.params.topology:
            self._pages = pages
            self.set(_PREDICTED, boards_lost(bed.params.link().loss_rate(), pages=pages))


def boards_lost(loss: float, *, pages: int) -> float:
    """Return the mean number of boards, the oldest of `pages` pages counting, that were lost since the last that came."""
    return sum(1 - (1 - loss**lost) ** pages for lost in range(1, _MOST_LOST))
