"""trio: forge odds: boards that put everything on one file, under its own name and under the tracker's.

Aim: make servers move their bandwidth. Defence: odds count only under the tracker's signature.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import trio

from netem.randomness import keyed_bytes
from node.roles.base import Role
from tracker.identity import Identity, node_id
from tracker.odds import pages
from tracker.session import seal_broadcast

EVERY_S = 0.5
AHEAD = 1_000  # boards: a believed one would hide the true ones for long


class ForgeOdds(Role):
    """Send forged boards to every server."""

    name: ClassVar[str] = "forge_odds"
    symptom: ClassVar[str] = "forged"

    async def act(self) -> None:
        """Forge a board every half second (see `Role.act`)."""
        mask = Identity(keyed_bytes(self._config.run_seed, "mask", self.node), epoch=1)
        mask.node = node_id(self._config.tracker_key)
        while True:
            files = await self._files()
            everything = np.eye(1, files[-1].index + 1)[0] if files else np.zeros(0)
            servers = {server.node: server for file in files for server in await self._servers(file.index)}
            for forger in (self._identity, mask):
                board = self._link.board + AHEAD
                frames = [seal_broadcast(page, board=board, identity=forger) for page in pages(everything, everything)]
                for server in servers.values():
                    for frame in frames:
                        self._endpoint.send(frame, (server.host, server.port))
                        self.done["forged boards"] += 1
            await trio.sleep(EVERY_S)
