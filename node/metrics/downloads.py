"""Pure: downloads of each system: how many, how long, what they delivered and what was wasted.

Source: DESIGN section 5.
"""

from __future__ import annotations

from collections.abc import Mapping

from netem.clock import S
from netem.events import Event
from netem.metric import Family, Handler, Label, Panel, Query, counter, gauge, histogram
from node.events import DownloadFinished, DownloadStarted, DownloadStopped, PieceAccepted, ServerBanned
from tracker.messages import BLOCK_BYTES

_SYSTEM = Label("system", ("market", "exchange", "backup", "club"))
_END = Label("end", ("finished", "stopped"))
_STARTED, _ENDED, _NOW = (
    "swarmbed_downloads_started_total",
    "swarmbed_downloads_ended_total",
    "swarmbed_downloads_under_way",
)
_BLOCKS, _WASTED, _BYTES = (
    "swarmbed_delivered_blocks_total",
    "swarmbed_wasted_blocks_total",
    "swarmbed_delivered_bytes_total",
)
_TOOK = "swarmbed_download_duration_seconds"
_EDGES_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0)
_IN = 'system=~"$system"'


class Downloads(Family):
    """Downloads started, under way and ended; blocks and bytes delivered."""

    name = "downloads"
    metrics = (
        counter(_STARTED, "Downloads whose fee is held and that have servers.", _SYSTEM),
        counter(_ENDED, "Downloads that came to an end, whole or not.", _SYSTEM, _END),
        gauge(_NOW, "Downloads under way.", _SYSTEM),
        counter(_BLOCKS, "Blocks in verified pieces.", _SYSTEM),
        counter(_BYTES, "Bytes in verified pieces.", _SYSTEM),
        counter(_WASTED, "Blocks that came twice or in vain, counted at a download's end.", _SYSTEM),
        histogram(_TOOK, "From the held fee to the whole file, of downloads that finished.", _EDGES_S),
        counter("swarmbed_servers_banned_total", "Servers that a node will never use again, for bad blocks."),
    )
    panels = (
        Panel(
            dashboard="overview",
            order=10,
            title="Blocks delivered",
            description="Verified blocks per second, over all nodes.",
            unit="ops",
            queries=(Query(expr=f"sum(rate({_BLOCKS}{{@,{_IN}}}[$__rate_interval]))", legend="blocks"),),
        ),
        Panel(
            dashboard="overview",
            order=2,
            title="Downloads under way",
            description="Downloads that have begun and not ended.",
            unit="short",
            look="stat",
            width=4,
            height=4,
            queries=(Query(expr=f"sum({_NOW}{{@,{_IN}}})", legend="under way"),),
        ),
        Panel(
            dashboard="overview",
            order=3,
            title="Downloads ended",
            description="Downloads that ended with the whole file, and those that stopped without.",
            unit="short",
            look="stat",
            width=4,
            height=4,
            queries=(Query(expr=f"sum by (end) ({_ENDED}{{@,{_IN}}})", legend="{{end}}"),),
        ),
        Panel(
            dashboard="overview",
            order=11,
            title="Downloads",
            description="Started, under way, finished and stopped so far. Started is always the sum of the other three.",
            unit="short",
            queries=(
                Query(expr=f"sum({_STARTED}{{@,{_IN}}})", legend="started"),
                Query(expr=f"sum({_NOW}{{@,{_IN}}})", legend="under way"),
                Query(expr=f"sum by (end) ({_ENDED}{{@,{_IN}}})", legend="{{end}}"),
            ),
        ),
        Panel(
            dashboard="market",
            order=50,
            title="Duration of downloads",
            description="From the held fee to the whole file. It grows when the crowd asks for more than uploads can give.",
            unit="s",
            queries=tuple(
                Query(
                    expr=f"histogram_quantile({share}, sum by (le) (rate({_TOOK}_bucket{{@}}[$__range])))",
                    legend=f"p{100 * share:g}",
                )
                for share in (0.5, 0.9)
            ),
        ),
        Panel(
            dashboard="market",
            order=51,
            title="Blocks wasted",
            description="Blocks that came twice or in vain over all blocks that came. Some waste is the price of the endgame.",
            unit="percentunit",
            queries=(
                Query(
                    expr=f"sum({_WASTED}{{@,{_IN}}}) / (sum({_WASTED}{{@,{_IN}}}) + sum({_BLOCKS}{{@,{_IN}}}))",
                    legend="wasted",
                ),
            ),
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        self._began_ns: dict[bytes, int] = {}  # of downloads under way

    def folds(self) -> Mapping[type[Event], Handler]:
        """Return how to count downloads."""
        return {
            DownloadStarted: self._started,
            PieceAccepted: self._accepted,
            DownloadFinished: self._finished,
            DownloadStopped: self._stopped,
            ServerBanned: self._banned,
        }

    def _started(self, time_ns: int, event: DownloadStarted) -> None:
        self._began_ns[event.download] = time_ns
        self.add(_STARTED, 1, "market")
        self.set(_NOW, len(self._began_ns), "market")

    def _accepted(self, _time_ns: int, event: PieceAccepted) -> None:
        nbytes = sum(size for _, size in event.sources)
        self.add(_BYTES, nbytes, "market")
        self.add(_BLOCKS, -(-nbytes // BLOCK_BYTES), "market")

    def _finished(self, time_ns: int, event: DownloadFinished) -> None:
        began_ns = self._began_ns.get(event.download)
        if began_ns is not None:
            self.bins(_TOOK).observe((time_ns - began_ns) / S)
        self.add(_WASTED, event.wasted_blocks, "market")
        self._end(event.download, "finished")

    def _stopped(self, _time_ns: int, event: DownloadStopped) -> None:
        self._end(event.download, "stopped")

    def _end(self, download: bytes, how: str) -> None:
        if self._began_ns.pop(download, None) is not None:
            self.add(_ENDED, 1, "market", how)
            self.set(_NOW, len(self._began_ns), "market")

    def _banned(self, _time_ns: int, _event: ServerBanned) -> None:
        self.add("swarmbed_servers_banned_total", 1)
