"""Pure: the odds board: π_j and the delivered shares of the first files, and how old the board is.

Source: DESIGN section 4 (odds); huberman-wu, section 2.
"""

from __future__ import annotations

from collections.abc import Mapping

from netem.clock import S
from netem.events import Event
from netem.metric import Family, Handler, Label, Panel, Query, counter, gauge
from tracker.events import BoardPosted

MOST_FILES = 32
"""Files with a smaller catalogue index than this have series of their own; the trace has all."""

ODDS = "swarmbed_odds_ratio"
_FILE = Label("file", most=MOST_FILES)
_POSTED = "swarmbed_board_posted_timestamp_seconds"


class OddsBoard(Family):
    """What the tracker posted last."""

    name = "odds"
    metrics = (
        gauge(ODDS, "Odds π_j of a file on the last board.", _FILE),
        gauge(
            "swarmbed_delivered_share_ratio",
            "Share of delivered bytes that were a file's, as the last board says.",
            _FILE,
        ),
        gauge("swarmbed_bidding_servers", "Servers with a proven rate on the last board."),
        counter("swarmbed_boards_total", "Boards posted."),
        gauge(_POSTED, "When the last board was posted, Unix time."),
    )
    panels = (
        Panel(
            dashboard="market",
            order=20,
            title="Delivered shares of files",
            description="What share of the bytes delivered lately was each file's: it follows the odds.",
            unit="percentunit",
            queries=(Query(expr="swarmbed_delivered_share_ratio{@}", legend="file {{file}}"),),
        ),
        Panel(
            dashboard="market",
            order=30,
            title="Age of the odds",
            description="Time since the tracker posted a board. It posts one a second; more means that it does not keep up.",
            unit="s",
            queries=(Query(expr=f"time() - max({_POSTED}{{@}})", legend="age"),),
        ),
        Panel(
            dashboard="market",
            order=35,
            title="Servers that bid",
            description="Servers with a proven rate. It grows while downloaders become servers.",
            unit="short",
            width=6,
            queries=(Query(expr="sum(swarmbed_bidding_servers{@})", legend="servers"),),
        ),
    )

    def folds(self) -> Mapping[type[Event], Handler]:
        """Return how to read a board."""
        return {BoardPosted: self._posted}

    def _posted(self, time_ns: int, event: BoardPosted) -> None:
        for index, (share, delivered) in enumerate(zip(event.shares, event.delivered, strict=True)):
            if index == MOST_FILES:
                break
            self.set(ODDS, share, str(index))
            self.set("swarmbed_delivered_share_ratio", delivered, str(index))
        self.set("swarmbed_bidding_servers", event.servers)
        self.add("swarmbed_boards_total", 1)
        self.set(_POSTED, time_ns / S)
