"""trio: drip bytes: many connections to the tracker, each a frame that comes a byte at a time and never ends.

Aim: use up the tracker's connections. Defence: a stranger has a few seconds, and a newer one pushes out the oldest.
"""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

import trio

from netem.framing import LENGTH_BYTES
from node.roles.base import Role

CONNECTIONS_PER_S = 20.0
DRIP_S = 1.0
FRAME_BYTES = 1000  # so small that it is allowed


class SlowLoris(Role):
    """Open connections that never say anything whole."""

    name: ClassVar[str] = "slow_loris"
    symptom: ClassVar[str] = "too-slow"

    async def act(self) -> None:
        """Open twenty connections a second and keep each as long as the tracker lets it (see `Role.act`)."""
        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(self._drip)
                await trio.sleep(1 / CONNECTIONS_PER_S)

    async def _drip(self) -> None:
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            async with await self._connect() as stream:
                await stream.send_all(FRAME_BYTES.to_bytes(LENGTH_BYTES, "big"))
                self.done["slow connections"] += 1
                while True:
                    await stream.send_all(b"x")
                    await trio.sleep(DRIP_S)
