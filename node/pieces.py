"""Pure: which piece, and which blocks of it, to ask a server for next.

Every server of a file holds all of it, so that rarest first is a tie between all pieces; a keyed shuffle breaks it, and
different downloaders spread. A server takes whole pieces for itself (so that blame for a bad one is certain). When none is left
it helps with the piece that would be done last, from the end.

Source: DESIGN section 4; Legout et al. (IMC 2006) on BitTorrent's rarest first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from node.content import BLOCKS_PER_PIECE
from node.server_flow import ServerFlow
from node.smart_ban import Suspects

Runs = list[tuple[int, int, int]]
MAX_RUNS = 64


class Piece:
    """A piece being fetched.

    Attributes:
        owner: the server that fetches it, or None.
        todo: blocks free to be asked; the owner takes from the left, helpers from the right. May name blocks that came late, and some twice.
        blocks: what has come, by block.
        senders: who sent it, by block.
        copies: at how many servers each block is outstanding.
        missing: blocks that have not come.
        suspects: earlier tries that failed, if any.
        restored: whether some blocks are of an earlier boot: the disk may have lost them, so nobody is to blame for them.
    """

    __slots__ = ("base", "blocks", "copies", "index", "missing", "owner", "restored", "senders", "suspects", "todo")

    def __init__(self, index: int, n_blocks: int) -> None:
        self.index = index
        self.base = index * BLOCKS_PER_PIECE
        self.owner: bytes | None = None
        self.suspects: Suspects | None = None
        self.restart(n_blocks)

    def restart(self, n_blocks: int) -> None:
        """Forget what has come and begin again."""
        self.restored = False
        self.todo: deque[int] = deque(range(n_blocks))
        self.blocks: list[bytes | None] = [None] * n_blocks
        self.senders: list[bytes] = [b""] * n_blocks
        self.copies = bytearray(n_blocks)
        self.missing = n_blocks

    def allows(self, server: bytes) -> bool:
        """Say whether the server may send blocks of this piece now."""
        group = self.suspects.group if self.suspects else None
        return group is None or server in group

    def restore(self, blocks: Mapping[int, tuple[bytes, bytes]]) -> None:
        """Put the blocks of an earlier boot, (sender, bytes) each, into a piece that was not begun."""
        self.restored = True
        for block, (sender, data) in sorted(blocks.items()):
            self.put(block, data, sender=sender, outstanding=False)
        self.todo = deque(block for block in self.todo if self.blocks[block] is None)

    def take(self, count: int, *, from_end: bool) -> list[int]:
        """Take up to `count` free blocks and return their keys, ascending if they were in order."""
        todo = self.todo
        taken: list[int] = []
        while todo and len(taken) < count:
            block = todo.pop() if from_end else todo.popleft()
            if self.blocks[block] is None and not self.copies[block]:
                self.copies[block] += 1
                taken.append(self.base + block)
        if from_end:
            taken.reverse()
        return taken

    def put(self, block: int, data: bytes, *, sender: bytes, outstanding: bool) -> bool:
        """Keep a block that came, asked (`outstanding`) or given up before; False if it is there already."""
        if outstanding:
            self.copies[block] -= 1
        if self.blocks[block] is not None:
            return False
        self.blocks[block] = data
        self.senders[block] = sender
        self.missing -= 1
        return True

    def give_back(self, block: int) -> None:
        """Note that one request for a block is given up; it is free again if that was the only one."""
        self.copies[block] -= 1
        if not self.copies[block] and self.blocks[block] is None:
            self.todo.appendleft(block)

    def drop(self, server: bytes) -> int:
        """Forget the blocks that a server sent, and return how many they were."""
        dropped = [
            block for block, sender in enumerate(self.senders) if sender == server and self.blocks[block] is not None
        ]
        for block in dropped:
            self.blocks[block] = None
            if not self.copies[block]:
                self.todo.appendleft(block)
        self.missing += len(dropped)
        return len(dropped)


class Pieces:
    """The pieces of one download that are not yet verified.

    Args:
        order: piece indices in the order to fetch them.
        sizes: blocks per piece, by index.
    """

    def __init__(self, order: Sequence[int], sizes: Mapping[int, int]) -> None:
        self.active: dict[int, Piece] = {}
        self._fresh = list(reversed(order))
        self._orphans: list[Piece] = []
        self._sizes = sizes

    def restore(self, index: int, blocks: Mapping[int, tuple[bytes, bytes]]) -> None:
        """Begin a piece with the blocks of an earlier boot; the first server that is free takes it over."""
        piece = self.active[index] = Piece(index, self._sizes[index])
        piece.restore(blocks)
        self._fresh.remove(index)
        self._orphans.append(piece)

    def pick(self, flow: ServerFlow, count: int, *, flows: Mapping[bytes, ServerFlow]) -> list[int]:
        """Take up to `count` blocks for a server and return their keys in the order to ask for them."""
        keys: list[int] = []
        for index in flow.owned:
            keys += self.active[index].take(count - len(keys), from_end=False)
        while len(keys) < count and (piece := self._claim(flow)):
            keys += piece.take(count - len(keys), from_end=False)
        while len(keys) < count and (piece := self._slowest(flow, flows)):
            keys += piece.take(count - len(keys), from_end=True)
        return keys

    def _claim(self, flow: ServerFlow) -> Piece | None:
        """Make the server the owner of the next piece that has none."""
        for piece in self._orphans:
            if piece.allows(flow.server):
                self._orphans.remove(piece)
                break
        else:
            if not self._fresh:
                return None
            index = self._fresh.pop()
            piece = self.active[index] = Piece(index, self._sizes[index])
        piece.owner = flow.server
        flow.owned.append(piece.index)
        return piece

    def _slowest(self, flow: ServerFlow, flows: Mapping[bytes, ServerFlow]) -> Piece | None:
        """Return the piece with free blocks whose owner would be the last to finish it."""
        slowest, latest_ns = None, -1.0
        for piece in self.active.values():
            if piece.todo and piece.owner is not None and piece.owner != flow.server and piece.allows(flow.server):
                owner = flows[piece.owner]
                # A silent owner (rate 0) comes last of all.
                needs_ns = (len(piece.todo) + len(owner.outstanding)) / owner.rate if owner.rate else float("inf")
                if needs_ns > latest_ns:
                    slowest, latest_ns = piece, needs_ns
        return slowest

    def release(self, flow: ServerFlow) -> None:
        """Make a server's pieces free for others."""
        for index in flow.owned:
            piece = self.active[index]
            piece.owner = None
            self._orphans.append(piece)
        flow.owned.clear()

    def retry(self, piece: Piece, owner: ServerFlow | None) -> None:
        """Fetch a piece again from the start, by whoever may."""
        piece.restart(self._sizes[piece.index])
        self._disown(piece, owner)
        piece.owner = None
        if piece not in self._orphans:
            self._orphans.append(piece)

    def finish(self, piece: Piece, owner: ServerFlow | None) -> None:
        """Forget a verified piece."""
        del self.active[piece.index]
        self._disown(piece, owner)
        if piece in self._orphans:
            self._orphans.remove(piece)

    def _disown(self, piece: Piece, owner: ServerFlow | None) -> None:
        if owner is not None:
            owner.owned.remove(piece.index)


def join_runs(keys: Sequence[int]) -> tuple[Runs, int]:
    """Join consecutive keys of a piece into at most `MAX_RUNS` runs; return them and how many keys they cover."""
    runs: Runs = []
    start = 0
    for end in range(1, len(keys) + 1):
        if end < len(keys) and keys[end] == keys[end - 1] + 1 and keys[end] % BLOCKS_PER_PIECE:
            continue
        runs.append((keys[start] // BLOCKS_PER_PIECE, keys[start] % BLOCKS_PER_PIECE, end - start))
        start = end
        if len(runs) == MAX_RUNS:
            break
    return runs, start
