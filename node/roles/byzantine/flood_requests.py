"""trio: flood requests: with one paid order a file, ask every server for everything, all the time, and sign nothing.

Aim: use up the servers' upload and time. An old order comes first in every line, so a server that trusted it would serve nobody else.
Defence: a server lets a downloader owe little, and takes few requests beside one for each block it sends.
"""

from __future__ import annotations

from typing import ClassVar

import trio

from netem.errors import Rejection
from netem.randomness import keyed_bytes
from node.roles.base import Role
from tracker import messages as m

REQUESTS_PER_S = 40.0  # to each server
REFRESH_S = 2.0
RUNS = 16
ORDERS_S = 25.0


class FloodRequests(Role):
    """Ask for whole files, over and over."""

    name: ClassVar[str] = "flood_requests"
    symptom: ClassVar[str] = "flooded"
    _rounds: int = 0

    async def act(self) -> None:
        """Open every file, ask forty times a second, and open anew before the orders run out (see `Role.act`)."""
        while True:
            opened = [found for file in await self._files() if (found := await self._open(file))]
            until_s = trio.current_time() + ORDERS_S
            while trio.current_time() < until_s:
                for file, order, download in opened:
                    pieces = min(RUNS, -(-file.size_bytes // m.PIECE_BYTES))
                    runs = [(piece, 0, 256) for piece in range(pieces - 1)] + [(pieces - 1, 0, 1)]
                    request = m.Request(download, file.index, runs, order)
                    await self._ask(request, await self._servers(file.index))

    async def _open(self, file: m.Entry) -> tuple[m.Entry, bytes, bytes] | None:
        self._rounds += 1
        download = keyed_bytes(self._config.run_seed, "flood", self.node, self._rounds, size=16)
        try:
            opened = await self._link.ask(m.Open(download, file.index), m.Opened)
        except Rejection:
            return None
        return file, opened.order, download

    async def _ask(self, request: m.Request, servers: list[m.Server]) -> None:
        """Ask all servers of a file for two seconds."""
        for _ in range(round(REFRESH_S * REQUESTS_PER_S)):
            for server in servers:
                session = self._acquaintances.of_server(server)
                frame = session.seal(request, board=self._link.board)
                self._endpoint.send(frame, (server.host, server.port))
                self.done["requests"] += 1
            await trio.sleep(1 / REQUESTS_PER_S)
