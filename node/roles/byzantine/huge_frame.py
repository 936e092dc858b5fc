"""trio: announce huge frames: a length prefix of 4 GiB, and the largest allowed one before any join, filled with junk.

Aim: make the tracker allocate. Defence: a length is checked before anything is kept, and a stranger's frame must be small.
"""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

import trio

from netem.framing import LENGTH_BYTES, MAX_FRAME_BYTES
from node.roles.base import Role

EVERY_S = 0.2
JUNK_BYTES = 16 * 1024
LENGTHS = (2**32 - 1, MAX_FRAME_BYTES)


class HugeFrame(Role):
    """Announce huge frames over ever new connections."""

    name: ClassVar[str] = "huge_frame"
    symptom: ClassVar[str] = "oversized"

    async def act(self) -> None:
        """Announce one every fifth of a second, of either length in turn (see `Role.act`)."""
        async with trio.open_nursery() as nursery:
            while True:
                for length in LENGTHS:
                    nursery.start_soon(self._announce, length)
                    await trio.sleep(EVERY_S)

    async def _announce(self, length: int) -> None:
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            async with await self._connect() as stream:
                await stream.send_all(length.to_bytes(LENGTH_BYTES, "big") + bytes(JUNK_BYTES))
                self.done["huge frames"] += 1
                while await stream.receive_some():
                    pass
