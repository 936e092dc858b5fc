"""trio: what a shaped stream asks of the bytes' real carrier: a socket, or memory."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """What carries the bytes of a stream, once they are due."""

    def put(self, data: bytes) -> int:
        """Hand over as many bytes as fit now and return how many; raise trio.BrokenResourceError when the other end is gone."""
        ...

    async def writable(self) -> None:
        """Wait until `put` takes something; raise trio.ClosedResourceError once closed."""
        ...

    def end(self) -> None:
        """End the sending direction."""
        ...

    def interrupt(self) -> None:
        """Let a receive that waits, and every later one, return nothing."""
        ...

    async def receive_some(self, max_bytes: int) -> bytes:
        """Wait for bytes and return at most `max_bytes`; none once the other end has ended its direction.

        Raises:
            trio.BrokenResourceError: the other end is gone.
            trio.ClosedResourceError: this end was closed.
        """
        ...

    def close(self) -> None:
        """Close both directions. Idempotent."""
        ...
