"""trio: send wrong pieces: blocks with good tags and one bit wrong.

Aim: spoil downloads and be paid for it. Defence: a piece counts when its hash is right; who certainly spoiled one is not asked again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import ClassVar

import trio

from netem.clock import Clock
from netem.events import Event
from netem.host import Host
from node.peer import PeerConfig
from node.roles.base import Role
from node.store import Store
from tracker.identity import Identity


class _Spoiled(Store):
    """A store that reads wrong once told to."""

    def __init__(self, honest: Store, done: Counter[str]) -> None:
        super().__init__(honest.directory)
        self._done = done
        self.lies = False

    def read_block(self, root: bytes, piece: int, block: int) -> bytes:
        data = super().read_block(root, piece, block)
        if not self.lies:
            return data
        self._done["wrong blocks"] += 1
        return data[:-1] + bytes([data[-1] ^ 1])


class WrongPieces(Role):
    """Serve files with one bit of each block wrong."""

    name: ClassVar[str] = "wrong_pieces"
    symptom: ClassVar[str] = "banned"
    serves: ClassVar[bool] = True

    def __init__(
        self,
        host: Host,
        clock: Clock,
        identity: Identity,
        *,
        store: Store,
        config: PeerConfig,
        emit: Callable[[Event], None],
    ) -> None:
        done: Counter[str] = Counter()
        self._spoiled = _Spoiled(store, done)
        super().__init__(host, clock, identity, store=self._spoiled, config=config, emit=emit)
        self.done = done

    async def act(self) -> None:
        """Serve wrong blocks (see `Role.act`)."""
        self._spoiled.lies = True
        try:
            await trio.sleep_forever()
        finally:
            self._spoiled.lies = False
