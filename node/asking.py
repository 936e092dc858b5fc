"""Pure: what to ask of which server of a download now, and what was asked in vain.

Which piece comes from whom is `node/pieces.py`, the pipeline to one server `node/server_flow.py`, the end `node/endgame.py`.

Source: DESIGN section 4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from node.content import BLOCKS_PER_PIECE
from node.endgame import worth_asking
from node.pace import NEVER_NS
from node.pieces import Pieces, Runs, join_runs
from node.server_flow import ServerFlow

RESCAN_NS = 50_000_000
LOOK_NS = 1_000_000_000
LAST_NS = 2_000_000_000


class Ask(NamedTuple):
    """A request to send: to whom, at most 64 runs (piece, first block, count), and whether it replaces all earlier ones."""

    server: bytes
    runs: Runs
    replaces: bool


class Asking:
    """The requests of one download.

    Args:
        pieces: what is to be fetched.
        missing: how many blocks that is.

    Attributes:
        hungry: whether, after a block, `requests_for` its server may find something, or `nearer_ns` has changed.
        nearer_ns: when silence of a server counts as loss that has just begun to answer, or to do so again: it may be before
            `next_check_ns`. The caller who has set a timer for it sets it back to `NEVER_NS`.
    """

    def __init__(self, pieces: Pieces, *, missing: int) -> None:
        self._pieces = pieces
        self._active = pieces.active
        self._flows: dict[bytes, ServerFlow] = {}
        self._missing = missing
        self._rate = 0.0  # the sum of all flows' rates, in blocks per ns
        self._lossy = False  # whether anything asked was lost so far
        self._checked_ns = 0
        self._rescan_ns = 0
        self._idle_until_ns = 0  # until then there is nothing to ask of anybody, unless something is given back
        self.hungry = False
        self.nearer_ns = NEVER_NS

    def requests_for(self, server: bytes, now_ns: int) -> Ask | None:
        """Return what to ask of a server, if anything; cheap, call it after each of its blocks."""
        flow = self._flows.get(server)
        if flow is None or len(flow.outstanding) > flow.refill_at or now_ns < self._idle_until_ns:
            return None
        return self._fill(flow, now_ns)

    def requests(self, now_ns: int) -> list[Ask]:
        """Return what to ask of whom now, giving up what has timed out; call it at `next_check_ns` and after changes."""
        self._checked_ns = self._rescan_ns = now_ns
        self.nearer_ns = NEVER_NS
        self._idle_until_ns = 0
        for flow in self._flows.values():
            if flow.outstanding and flow.deadline_ns() <= now_ns:
                self._rate -= flow.rate
                self._give_back(flow.timed_out())
        idle = [flow for flow in self._flows.values() if len(flow.outstanding) <= flow.refill_at]
        idle.sort(key=_fastest_first)
        # Once there is nothing to ask of anybody, those who have nothing to do need not be looked at.
        found = [
            ask
            for flow in idle
            if (flow.outstanding or now_ns >= self._idle_until_ns) and (ask := self._fill(flow, now_ns)) is not None
        ]
        if len(self._flows) == 1 and found and found[0].replaces:
            # Nothing is under way, and nobody else can help if this gets lost.
            found.append(found[0]._replace(replaces=False))
        return found

    def awaited(self) -> list[bytes]:
        """Return the servers that have requests of ours still to answer."""
        return [server for server, flow in self._flows.items() if flow.outstanding]

    def next_check_ns(self) -> int:
        """Return when to call `requests` unless `nearer_ns` comes before: within a second of the last call."""
        earliest_ns = self._checked_ns + LOOK_NS
        idle = False
        for flow in self._flows.values():
            if flow.outstanding:
                earliest_ns = min(earliest_ns, flow.deadline_ns())
            else:
                idle = True
        # An idle server may step in as soon as another's answer is overdue: look often when the end is near.
        return min(earliest_ns, self._checked_ns + self._pause_ns()) if idle else earliest_ns

    def _note_nearer(self, flows: Iterable[ServerFlow]) -> None:
        """Note that answers have brought the deadlines of flows nearer."""
        self.nearer_ns = min([flow.deadline_ns() for flow in flows], default=NEVER_NS)
        self.hungry = True

    def _remaining_ns(self) -> float:
        """Estimate how long the download will last."""
        return self._missing / self._rate if self._rate > 0.0 else math.inf

    def _fill(self, flow: ServerFlow, now_ns: int) -> Ask | None:
        """Choose and note what to ask of a server now."""
        missing, n_flows = self._missing, len(self._flows)
        fair_share = missing if flow.rate else -(-missing // n_flows)
        if not flow.spacing_ns:
            flow.share_first(n_flows)
        remaining_ns = self._remaining_ns()
        window = min(flow.window(remaining_ns), fair_share)
        if window >= missing:
            least = (
                window // 8
            )  # nothing but what gets lost is left to ask when all is asked of one server: that without delay
        elif remaining_ns < LAST_NS:
            least = 2 * window // 3  # the window is all that the server will have time for: ask seldom
        else:
            least = (
                window + 1
            ) // 2  # should the request get lost, the next one comes before the server has nothing to do
        flow.refill_at = window - (least or 1)
        room = window - len(flow.outstanding)
        if room <= 0:
            return self._trim(flow, window) if flow.spacing_ns and -room > window and n_flows > 1 else None
        if len(flow.outstanding) > flow.refill_at:
            return None  # the window has shrunk since this server was asked
        keys = self._pieces.pick(flow, room, flows=self._flows)
        if not keys and n_flows > 1:
            keys = self._again(flow, room, now_ns) if now_ns >= self._rescan_ns else []
        if not keys:
            if not any(piece.todo for piece in self._active.values()):
                self._idle_until_ns = self._rescan_ns
            return None
        runs, asked = join_runs(keys)
        self._give_back(keys[asked:])
        # With nothing outstanding, whatever the server still has queued for us was given up: this request replaces it.
        ask = Ask(flow.server, runs, replaces=not flow.outstanding)
        flow.ask(keys[:asked], now_ns)
        return ask

    def _trim(self, flow: ServerFlow, window: int) -> Ask | None:
        """Leave to others what a server that turns out slow would bring too late."""
        under_way = int(flow.rtt_ns / flow.spacing_ns)  # what leaves before this reaches the server
        kept = max(window, under_way + 1)
        if len(flow.outstanding) <= kept:
            return None
        self._give_back(flow.trim(kept))
        return Ask(flow.server, join_runs(list(flow.outstanding)[under_way:])[0], replaces=True)

    def _again(self, flow: ServerFlow, room: int, now_ns: int) -> list[int]:
        """Choose blocks asked elsewhere that would come too late."""
        # Only the last few blocks are worth a second copy just because one may be lost.
        lossy = self._lossy and self._missing <= len(self._flows)
        flows = self._flows.values()
        keys = worth_asking(flow, room, flows=flows, active=self._active, now_ns=now_ns, lossy=lossy)
        for key in keys:
            self._active[key // BLOCKS_PER_PIECE].copies[key % BLOCKS_PER_PIECE] += 1
        if not keys:
            self._rescan_ns = now_ns + self._pause_ns()
        return keys

    def _pause_ns(self) -> int:
        """Return how long to wait before looking again for blocks that come late: ever shorter as the end comes near."""
        return max(RESCAN_NS, int(min(self._remaining_ns() / 4, LOOK_NS)))

    def _give_back(self, keys: Sequence[int]) -> None:
        self._idle_until_ns = 0
        for key in reversed(keys):
            state = self._active.get(key // BLOCKS_PER_PIECE)
            if state is not None:
                state.give_back(key % BLOCKS_PER_PIECE)

    def _fastest(self) -> list[bytes]:
        return [flow.server for flow in sorted(self._flows.values(), key=_fastest_first)]


def _fastest_first(flow: ServerFlow) -> tuple[float, bytes]:
    return -flow.rate, flow.server
