"""Pure: the download of one file from all its servers at once, as a state machine.

The driver feeds it blocks and time and sends the requests it returns. Which piece comes from whom is `node/pieces.py`,
what to ask now `node/asking.py`, and blame for mixed pieces `node/smart_ban.py`.

Source: DESIGN section 4; protocol notes 5.1.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from netem.randomness import keyed_generator
from node.asking import Ask, Asking
from node.content import BLOCKS_PER_PIECE, block_count
from node.pieces import Piece, Pieces
from node.server_flow import ServerFlow
from node.smart_ban import Suspects
from tracker.messages import BLOCK_BYTES, Manifest

FIRST_ROUND_TRIPS = 3  # after so many of another server's a first request counts as lost
MAX_SERVERS = 20  # at once: with more, each would send so little that asking and receipting cost as much
LONGEST_WAIT_NS = 60_000_000_000  # what a server says of its line is believed so far

__all__ = ["Accepted", "Ask", "Progress", "Swarm"]


class Progress(IntEnum):
    """What a block did."""

    IGNORED = 0  # counted in `Swarm.ignored`
    KEPT = 1
    CHECKED = 2  # it completed a piece: see `take_finished` and `banned`, and call `requests`
    DONE = 3  # it completed the file: see `take_finished`


@dataclass(frozen=True, slots=True)
class Accepted:
    """A verified piece: its index, its bytes, and (server, bytes) for each that sent part of it, by server."""

    piece: int
    data: bytes
    sources: tuple[tuple[bytes, int], ...]


class Swarm(Asking):
    """Fetch one file from servers that all hold all of it.

    Args:
        manifest: a checked manifest.
        have: pieces that are verified and stored already.
        blocks: by piece, the blocks of others that an earlier boot stored: (sender, bytes) by block. With an empty sender
            nobody is credited for a block.
        shuffle: keys the order of pieces, so that different downloaders spread.

    Attributes:
        ignored: blocks that were of no use, by kind: `banned`, `unknown-server`, `wrong-size`, `unrequested` (never asked of that
            server, or answered by it before), `duplicate` (asked, but another server was first).
        banned: servers that certainly sent wrong blocks, with the first piece that proved it.
        totals: bytes in verified pieces by server.

    Invariants: no input from the network raises; `totals` sums to the bytes of the pieces accepted here, but for blocks
    without a sender; a server that sent no wrong block is never banned.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        shuffle: int,
        have: Iterable[int] = (),
        blocks: Mapping[int, Mapping[int, tuple[bytes, bytes]]] | None = None,
    ) -> None:
        self._manifest = manifest
        stored = set(have)
        order = [index for index in range(len(manifest.pieces)) if index not in stored]
        sizes = {index: block_count(manifest.size_bytes, index) for index in order}
        keyed_generator(shuffle, "pieces").shuffle(order)
        super().__init__(Pieces(order, sizes), missing=sum(sizes.values()))
        self._last_key = (max(manifest.size_bytes, 1) - 1) // BLOCK_BYTES
        self._last_bytes = manifest.size_bytes - self._last_key * BLOCK_BYTES
        self._finished: list[Accepted] = []
        self._rtt_ns = 0  # the first round trip measured
        self.ignored: Counter[str] = Counter()
        self.banned: dict[bytes, int] = {}
        self.totals: dict[bytes, int] = {}
        for index, kept in sorted((blocks or {}).items()):
            # A complete piece that is not among those stored is a wrong one.
            if index in sizes and len(kept) < sizes[index]:
                self._pieces.restore(index, kept)
                self._missing -= len(kept)

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
        if lost:
            self._lossy = True
            self._give_back(lost)
        self.hungry = len(flow.outstanding) <= flow.refill_at and now_ns >= self._idle_until_ns
        if flow.rate != rate:
            self._rate += flow.rate - rate
            if not rate:
                self._note_nearer((flow,))
        if not self._rtt_ns and flow.rtt_ns:
            self._rtt_ns = flow.rtt_ns
            for other in self._flows.values():
                other.expect_within(FIRST_ROUND_TRIPS * self._rtt_ns)
            self._note_nearer(self._flows.values())
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
            rate = flow.rate
            flow.queued(now_ns + min(wait_ns, LONGEST_WAIT_NS), now_ns=now_ns)
            self._rate += flow.rate - rate  # it may have been silent

    def take_finished(self) -> list[Accepted]:
        """Return the pieces verified since the last call, in order of completion."""
        finished, self._finished = self._finished, []
        return finished

    def _ignore(self, kind: str) -> Progress:
        self.ignored[kind] += 1
        self.hungry = True  # for all that is known
        return Progress.IGNORED

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
            if sender:
                sent[sender] += len(block)
        for sender, n_bytes in sent.items():
            self.totals[sender] = self.totals.get(sender, 0) + n_bytes
        self._finished.append(Accepted(piece.index, data, tuple(sorted(sent.items()))))
        self._pieces.finish(piece, owner)
        if piece.suspects is not None:
            for server in piece.suspects.guilty(blocks):
                self._ban(server, piece.index)

    def _reject(self, piece: Piece, blocks: list[bytes], owner: ServerFlow | None) -> None:
        senders, suspects = sorted(set(piece.senders)), piece.suspects or Suspects()
        blameless = piece.restored
        if not blameless:
            suspects.failed(piece.senders, blocks)
        self._missing += len(blocks)
        for flow in self._flows.values():
            flow.withdraw(range(piece.base, piece.base + BLOCKS_PER_PIECE))
        self._pieces.retry(piece, owner)
        if blameless:
            return
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
