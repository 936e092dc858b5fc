"""trio: streams that tell a `Capture` their bytes as TCP segments, at the time the receiving side has them.

A segment here is what one hand-over gave the other end: up to 16 KiB, after all delay. Losses of a stream are time (see
`netem.streams`), so no segment is seen twice. Acknowledgements ride on data only.

Source: DESIGN section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netem.capture import Capture
from netem.ip_packet import Flags, tcp_packet
from netem.route import Address
from netem.tcp import Listener, StreamWire
from netem.transport import Transport


class CapturedTransport:
    """One end of a stream (a `Transport`); it tells what it sends.

    Invariant: `_sent` and `_received` count bytes, so that sequence numbers of both ends agree.
    """

    def __init__(self, below: Transport, capture: Capture, *, ends: tuple[Address, Address], flags: Flags) -> None:
        self.below = below
        self._capture = capture
        self._here, self._there = ends
        self._sent = self._received = 0
        self._ended = False
        self.severed = False
        self._opening(flags)

    def _opening(self, flags: Flags) -> None:
        acknowledged = 1 if flags & Flags.ACK else 0
        packet = tcp_packet(self._here, self._there, b"", sequence=0, acknowledged=acknowledged, flags=flags)
        self._capture.packet(packet, f"stream opened: {self._names()}")

    def _names(self) -> str:
        return f"{self._capture.name_of(self._here)} > {self._capture.name_of(self._there)}"

    def _tell(self, what: str, flags: Flags, data: bytes = b"") -> None:
        counts = {"sequence": 1 + self._sent, "acknowledged": 1 + self._received}
        packet = tcp_packet(self._here, self._there, data, flags=flags | Flags.ACK, **counts)
        self._capture.packet(packet, f"stream {what}: {self._names()}")

    def put(self, data: bytes) -> int:
        """Hand bytes over (see `Transport.put`)."""
        taken = self.below.put(data)
        if taken:
            self._tell(f"data ({taken} bytes)", Flags.PSH, data[:taken])
            self._sent += taken
        return taken

    async def writable(self) -> None:
        """Wait until there is room (see `Transport.writable`)."""
        await self.below.writable()

    def end(self) -> None:
        """End the sending direction (see `Transport.end`)."""
        self._finish()
        self.below.end()

    def interrupt(self) -> None:
        """Let receives return nothing (see `Transport.interrupt`)."""
        self.below.interrupt()

    async def receive_some(self, max_bytes: int) -> bytes:
        """Wait for bytes (see `Transport.receive_some`)."""
        data = await self.below.receive_some(max_bytes)
        self._received += len(data)
        return data

    def close(self) -> None:
        """Close both directions (see `Transport.close`)."""
        self._finish()
        self.below.close()

    def _finish(self) -> None:
        if not self._ended:
            self._ended = True
            self._tell("reset" if self.severed else "ended", Flags.RST if self.severed else Flags.FIN)


class CapturedListener:
    """A listener whose streams are captured (a `Listener`)."""

    def __init__(self, below: Listener, capture: Capture) -> None:
        self.address = below.address
        self._below = below
        self._capture = capture

    async def accept(self) -> Sequence[tuple[Transport, Address]]:
        """Wait for streams (see `Listener.accept`)."""
        return [(self._captured(transport, client), client) for transport, client in await self._below.accept()]

    def _captured(self, transport: Transport, client: Address) -> CapturedTransport:
        return CapturedTransport(transport, self._capture, ends=(self.address, client), flags=Flags.SYN | Flags.ACK)

    def close(self) -> None:
        """Refuse further streams (see `Listener.close`)."""
        self._below.close()


class CapturedStreams:
    """What carries streams, and tells a capture of them (a `StreamWire`)."""

    def __init__(self, below: StreamWire, capture: Capture) -> None:
        self._below = below
        self._capture = capture

    async def listen(self, ip: str, port: int) -> CapturedListener:
        """Listen (see `StreamWire.listen`)."""
        return CapturedListener(await self._below.listen(ip, port), self._capture)

    async def connect(self, ip: str, address: Address, announce: Callable[[Address], None]) -> CapturedTransport:
        """Connect (see `StreamWire.connect`)."""
        clients: list[Address] = []

        def announce_too(client: Address) -> None:
            clients.append(client)
            announce(client)

        below = await self._below.connect(ip, address, announce_too)
        return CapturedTransport(below, self._capture, ends=(clients[-1], address), flags=Flags.SYN)

    def sever(self, transport: Transport) -> None:
        """Let the peer see a reset (see `StreamWire.sever`)."""
        assert isinstance(transport, CapturedTransport)
        transport.severed = True
        self._below.sever(transport.below)
