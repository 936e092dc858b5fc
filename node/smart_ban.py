"""Pure: who sent the wrong blocks of a piece that several servers sent together.

A piece that fails its hash is kept as one digest and sender per block. Once the piece is verified, whoever sent a block that
differs from the verified one is guilty with certainty; until then nobody is. To get there in few tries the servers are
halved again and again: a bad server spoils only the tries of its own group, and a group of one that fails is guilty.

Source: libtorrent's smart ban; group testing by halves (Dorfman 1943).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence


def _digest(block: bytes) -> bytes:
    return hashlib.blake2b(block, digest_size=16).digest()


class Suspects:
    """The failed tries of one piece.

    Attributes:
        group: the only servers the next try may use; None as long as there was no try.
    """

    __slots__ = ("_groups", "_tries", "group")

    def __init__(self) -> None:
        self._tries: list[list[tuple[bytes, bytes]]] = []  # per try and block: (sender, digest)
        self._groups: Iterator[frozenset[bytes]] = iter(())
        self.group: frozenset[bytes] | None = None

    def failed(self, senders: Sequence[bytes], blocks: Sequence[bytes]) -> None:
        """Keep a failed try: the sender and the bytes of every block, in order."""
        self._tries.append([(sender, _digest(block)) for sender, block in zip(senders, blocks, strict=True)])

    def regroup(self, servers: Sequence[bytes]) -> None:
        """Choose the group for the next try from the servers there are, fastest first, at least one."""
        here = frozenset(servers)
        for group in self._groups:
            if group & here:
                self.group = group & here
                return
        self._groups = _halves(list(servers))
        self.group = next(self._groups)

    def guilty(self, blocks: Sequence[bytes]) -> list[bytes]:
        """Return the servers that sent a block different from the verified `blocks`, sorted."""
        if not self._tries:
            return []
        verified = [_digest(block) for block in blocks]
        return sorted(
            {
                sender
                for attempt in self._tries
                for (sender, digest), right in zip(attempt, verified, strict=True)
                if digest != right
            }
        )


def _halves(servers: list[bytes]) -> Iterator[frozenset[bytes]]:
    """Yield the halves of the servers, then the quarters, down to each one alone; dealt out like cards, so as to be alike."""
    parts = 1
    while parts < len(servers):
        parts = min(2 * parts, len(servers))
        for first in range(parts):
            yield frozenset(servers[first::parts])
    if len(servers) == 1:
        yield frozenset(servers)
