"""Pure: the download of one file from all its servers at once, as a state machine.

The driver feeds it blocks and time and sends the requests it returns. Which piece comes from whom is `node/pieces.py`, the
pipeline to one server `node/server_flow.py`, the end `node/endgame.py`, and blame for mixed pieces `node/smart_ban.py`.

Source: DESIGN section 4; protocol notes 5.1.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from netem.randomness import keyed_generator
from node.content import BLOCKS_PER_PIECE, block_count
from node.endgame import worth_asking
from node.pieces import Piece, Pieces, Runs, join_runs
from node.server_flow import ServerFlow
from node.smart_ban import Suspects
from tracker.messages import BLOCK_BYTES, Manifest

RESCAN_NS = 50_000_000
LOOK_NS = 1_000_000_000
LONGEST_WAIT_NS = 60_000_000_000  # what a server says of its line is believed so far


class Progress(IntEnum):
    """What a block did."""

    IGNORED = 0  # counted in `Swarm.ignored`
    KEPT = 1
    CHECKED = 2  # it completed a piece: see `take_finished` and `banned`, and call `requests`
    DONE = 3  # it completed the file: see `take_finished`


class Ask(NamedTuple):
    """A request to send: to whom, at most 64 runs (piece, first block, count), and whether it replaces all earlier ones."""

    server: bytes
    runs: Runs
    replaces: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """A verified piece: its index, its bytes, and (server, bytes) for each that sent part of it, by server."""

    piece: int
    data: bytes
    sources: tuple[tuple[bytes, int], ...]


class Swarm:
    """Fetch one file from servers that all hold all of it.

    Args:
        manifest: a checked manifest.
        have: pieces that are verified and stored already.
        shuffle: keys the order of pieces, so that different downloaders spread.

    Attributes:
        ignored: blocks that were of no use, by kind: `banned`, `unknown-server`, `wrong-size`, `unrequested` (never asked of that
            server, or answered by it before), `duplicate` (asked, but another server was first).
        banned: servers that certainly sent wrong blocks, with the first piece that proved it.
        totals: bytes in verified pieces by server.

    Invariants: no input from the network raises; `totals` sums to the bytes of the pieces accepted here; a server that
    sent no wrong block is never banned.
    """

    def __init__(self, manifest: Manifest, *, shuffle: int, have: Iterable[int] = ()) -> None:
        self._manifest = manifest
        stored = set(have)
        order = [index for index in range(len(manifest.pieces)) if index not in stored]
        sizes = {index: block_count(manifest.size_bytes, index) for index in order}
        keyed_generator(shuffle, "pieces").shuffle(order)
        self._pieces = Pieces(order, sizes)
        self._active = self._pieces.active
        self._flows: dict[bytes, ServerFlow] = {}
        self._missing = sum(sizes.values())
        self._last_key = (max(manifest.size_bytes, 1) - 1) // BLOCK_BYTES
        self._last_bytes = manifest.size_bytes - self._last_key * BLOCK_BYTES
        self._rate = 0.0  # the sum of all flows' rates, in blocks per ns
        self._finished: list[Accepted] = []
        self._lossy = False  # whether anything asked was lost so far
        self._checked_ns = 0
        self._rescan_ns = 0
        self.ignored: Counter[str] = Counter()
        self.banned: dict[bytes, int] = {}
        self.totals: dict[bytes, int] = {}

    @property
    def done(self) -> bool:
        """Whether every piece is verified."""
        return self._missing == 0

    def add_server(self, server: bytes) -> None:
        """Use a server from now on; call `requests` next. Idempotent, and a banned server stays banned."""
        if server not in self.banned and server not in self._flows:
            self._flows[server] = ServerFlow(server)
            self._regroup_stranded()

    def remove_server(self, server: bytes) -> None:
        """Stop using a server; what it was asked for is free at once: call `requests` next. Its blocks are kept."""
        flow = self._flows.pop(server, None)
        if flow is not None:
            self._rate -= flow.rate
            self._give_back(flow.give_up())
            self._pieces.release(flow)
            self._regroup_stranded()

    def on_block(self, server: bytes, piece: int, block: int, *, data: bytes, now_ns: int) -> Progress:
        """Take a block that carries the server's good tag, and say what it did."""
        flow = self._flows.get(server)
        if flow is None:
            return self._ignore("banned" if server in self.banned else "unknown-server")
        key = piece * BLOCKS_PER_PIECE + block if 0 <= block < BLOCKS_PER_PIECE else -1  # -1 is never asked
        if len(data) != (self._last_bytes if key == self._last_key else BLOCK_BYTES):
            return self._ignore("wrong-size")
        rate, outstanding = flow.rate, key in flow.outstanding
        lost = flow.answer(key, now_ns)
        if lost is None:
            return self._ignore("unrequested")
        self._rate += flow.rate - rate
        if lost:
            self._lossy = True
            self._give_back(lost)
        state = self._active.get(piece)
        if state is None or not state.put(block, data, sender=server, outstanding=outstanding):
            return self._ignore("duplicate")
        self._missing -= 1
        if state.missing:
            return Progress.KEPT
        self._check(state)
        return Progress.CHECKED if self._missing else Progress.DONE

    def on_queued(self, server: bytes, *, wait_ns: int, now_ns: int) -> None:
        """Note that a server has our request and serves others first, for about `wait_ns`."""
        flow = self._flows.get(server)
        if flow is not None:
            flow.queued(now_ns + min(wait_ns, LONGEST_WAIT_NS), now_ns=now_ns)

    def requests_for(self, server: bytes, now_ns: int) -> Ask | None:
        """Return what to ask of a server, if anything; cheap, call it after each of its blocks."""
        flow = self._flows.get(server)
        if flow is None or len(flow.outstanding) > flow.refill_at:
            return None
        return self._fill(flow, now_ns)

    def requests(self, now_ns: int) -> list[Ask]:
        """Return what to ask of whom now, giving up what has timed out; call it at `next_check_ns` and after changes."""
        self._checked_ns = now_ns
        self._rescan_ns = now_ns
        for flow in self._flows.values():
            if flow.outstanding and flow.deadline_ns() <= now_ns:
                self._rate -= flow.rate
                self._give_back(flow.timed_out())
        flows = [self._flows[server] for server in self._fastest()]
        asks = [self._fill(flow, now_ns) for flow in flows if len(flow.outstanding) <= flow.refill_at]
        found = [ask for ask in asks if ask is not None]
        if len(flows) == 1 and found and found[0].replaces:
            # Nothing is under way, and nobody else can help if this gets lost.
            found.append(found[0]._replace(replaces=False))
        return found

    def awaited(self) -> list[bytes]:
        """Return the servers that have requests of ours still to answer."""
        return [server for server, flow in self._flows.items() if flow.outstanding]

    def next_check_ns(self) -> int:
        """Return when to call `requests` if nothing happens before: within a second of the last call."""
        flows = self._flows.values()
        busy = [flow.deadline_ns() for flow in flows if flow.outstanding]
        # An idle server may step in as soon as another's answer is overdue: look often when the end is near.
        pause_ns = self._pause_ns() if len(busy) < len(flows) else LOOK_NS
        return min([*busy, self._checked_ns + pause_ns])

    def take_finished(self) -> list[Accepted]:
        """Return the pieces verified since the last call, in order of completion."""
        finished, self._finished = self._finished, []
        return finished

    def _ignore(self, kind: str) -> Progress:
        self.ignored[kind] += 1
        return Progress.IGNORED

    def _remaining_ns(self) -> float:
        """Estimate how long the download will last."""
        return self._missing / self._rate if self._rate > 0.0 else math.inf

    def _fill(self, flow: ServerFlow, now_ns: int) -> Ask | None:
        """Choose and note what to ask of a server now."""
        missing, n_flows = self._missing, len(self._flows)
        fair_share = missing if flow.rate else -(-missing // n_flows)
        if not flow.spacing_ns:
            flow.share_first(n_flows)
        window = min(flow.window(self._remaining_ns()), fair_share)
        # Nothing but what gets lost is left to ask when all is asked of one server: that without delay.
        flow.refill_at = window - ((window // 8 if window >= missing else window * 2 // 5) or 1)
        room = window - len(flow.outstanding)
        if room <= 0:
            return self._trim(flow, window) if flow.spacing_ns and -room > window and n_flows > 1 else None
        keys = self._pieces.pick(flow, room, flows=self._flows)
        if not keys and now_ns >= self._rescan_ns and n_flows > 1:
            keys = self._again(flow, room, now_ns)
        if not keys:
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
        self._give_back(flow.trim(max(window, under_way)))
        keys = list(flow.outstanding)[under_way:]
        return Ask(flow.server, join_runs(keys)[0], replaces=True) if keys else None

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
        for key in reversed(keys):
            state = self._active.get(key // BLOCKS_PER_PIECE)
            if state is not None:
                state.give_back(key % BLOCKS_PER_PIECE)

    def _check(self, piece: Piece) -> None:
        """Verify a complete piece; ban whoever is certainly to blame for a wrong one."""
        blocks = [block for block in piece.blocks if block is not None]
        data = b"".join(blocks)
        owner = self._flows.get(piece.owner) if piece.owner is not None else None
        if hashlib.sha256(data).digest() != self._manifest.pieces[piece.index]:
            self._reject(piece, blocks, owner)
            return
        sent: Counter[bytes] = Counter()
        for sender, block in zip(piece.senders, blocks, strict=True):
            sent[sender] += len(block)
        for sender, n_bytes in sent.items():
            self.totals[sender] = self.totals.get(sender, 0) + n_bytes
        self._finished.append(Accepted(piece.index, data, tuple(sorted(sent.items()))))
        self._pieces.finish(piece, owner)
        if piece.suspects is not None:
            for server in piece.suspects.guilty(blocks):
                self._ban(server, piece.index)

    def _reject(self, piece: Piece, blocks: list[bytes], owner: ServerFlow | None) -> None:
        senders = sorted(set(piece.senders))
        suspects = piece.suspects or Suspects()
        suspects.failed(piece.senders, blocks)
        self._missing += len(blocks)
        for flow in self._flows.values():
            flow.withdraw(range(piece.base, piece.base + BLOCKS_PER_PIECE))
        self._pieces.retry(piece, owner)
        if len(senders) == 1:
            self._ban(senders[0], piece.index)
        else:
            piece.suspects = suspects
        if piece.suspects is not None and self._flows:
            piece.suspects.regroup(self._fastest())

    def _ban(self, server: bytes, index: int) -> None:
        """Never use a server again, nor the blocks of it that are not verified."""
        self.banned.setdefault(server, index)
        self.remove_server(server)
        for piece in self._active.values():
            self._missing += piece.drop(server)

    def _regroup_stranded(self) -> None:
        """Let others try a suspect piece when all of its group are gone."""
        for piece in self._active.values():
            if piece.suspects is not None and self._flows and not any(map(piece.allows, self._flows)):
                piece.suspects.regroup(self._fastest())

    def _fastest(self) -> list[bytes]:
        return [server for _, server in sorted([(-flow.rate, server) for server, flow in self._flows.items()])]
