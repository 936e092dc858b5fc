"""trio: who may stay connected to the tracker: strangers briefly, members once each.

Whoever connects costs a task and a socket before anything is known of it, so that must be bounded: a stranger has
`JOIN_S` to introduce itself in a small frame, and when `STRANGERS` wait, the one that has waited longest makes way. A member has one
connection, its newest, for as long as it is a member.

Source: DESIGN section 4 (TCP); the eviction of half-open connections as in TCP's SYN caches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from netem.channel import FrameChannel
from netem.errors import RemoteProtocolError
from tracker.limits import FRAME_S, JOIN_BYTES, JOIN_S, STRANGERS


class Seat:
    """A member's connection: what waits for the member can be given up, what is done for it cannot."""

    def __init__(self, channel: FrameChannel) -> None:
        self._channel = channel
        self._waiting = trio.CancelScope()
        self._left = False

    async def send(self, data: bytes) -> None:
        """Send one frame; raise as `FrameChannel.send`, and `RemoteProtocolError` (`replaced`) when the seat was left."""
        with self._wait():
            return await self._channel.send(data)
        raise RemoteProtocolError("replaced")

    async def receive(self) -> bytes | None:
        """Wait for the next frame; raise as `FrameChannel.receive`, and `RemoteProtocolError` (`replaced`)."""
        with self._wait():
            return await self._channel.receive()
        raise RemoteProtocolError("replaced")

    def leave(self) -> None:
        """Give up waiting, now and later."""
        self._left = True
        self._waiting.cancel()

    def _wait(self) -> trio.CancelScope:
        self._waiting = trio.CancelScope()
        if self._left:
            self._waiting.cancel()
        return self._waiting


class Doors:
    """The connections there are.

    Args:
        strangers: how many may wait at a time.

    Invariant: at most `strangers` connections without a join, and one of each member.
    """

    def __init__(self, strangers: int = STRANGERS) -> None:
        self._limit = strangers
        self._strangers: dict[trio.CancelScope, FrameChannel] = {}
        self._members: dict[bytes, Seat] = {}

    def channel(self, stream: trio.abc.Stream) -> FrameChannel:
        """Return the channel for a stranger's connection."""
        return FrameChannel(stream, frame_s=FRAME_S, limit_bytes=JOIN_BYTES)

    @contextmanager
    def stranger(self, channel: FrameChannel) -> Iterator[None]:
        """Wait in here for a stranger's first frame.

        Raises:
            RemoteProtocolError: `too-slow`: it took too long, or made way for another.
        """
        if len(self._strangers) >= self._limit:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.cancel()
        with trio.move_on_after(JOIN_S) as scope:
            self._strangers[scope] = channel
            try:
                yield
            finally:
                self._strangers.pop(scope, None)
        if scope.cancelled_caught:
            raise RemoteProtocolError("too-slow", "connected without a join")

    @contextmanager
    def member(self, node: bytes, channel: FrameChannel) -> Iterator[Seat]:
        """Talk with a member in here, until a newer connection of it takes over, or `expel`."""
        self.expel(node)
        channel.admit()
        seat = self._members[node] = Seat(channel)
        try:
            yield seat
        finally:
            if self._members.get(node) is seat:
                del self._members[node]

    def expel(self, node: bytes) -> None:
        """Hang up on a node, if it is connected, as soon as its present request is carried out."""
        seat = self._members.pop(node, None)
        if seat is not None:
            seat.leave()

    def sizes(self) -> dict[str, int]:
        """Return how many strangers wait, how many of their bytes are kept, and how many members are connected."""
        return {
            "strangers": len(self._strangers),
            "strangers_bytes": sum(channel.kept_bytes for channel in self._strangers.values()),
            "connections": len(self._members),
        }
