"""trio: a run's capture file: every datagram with its fate, and the segments of streams. Blocking, buffered, called inline.

A packet is written when its fate is sealed, and has that time: its arrival, or where it was dropped. So the file is in order as
it grows. What it holds, and what not, is told in `netem/README.md`.

Source: DESIGN section 3; `netem.pcapng` for the format.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from netem import pcapng
from netem.clock import Clock
from netem.fates import Cause
from netem.ip_packet import Address, udp_packet

APPLICATION = "swarmbed"
_LATER = "in flight at the end"
Key = tuple[int, int]  # link id and packet number


@dataclasses.dataclass(slots=True)
class Flight:
    """A packet under way: `left` of its `transmissions` have not met their fate; `departed` of them are with the kernel."""

    link: str
    source: Address
    target: Address
    data: bytes
    began_ns: int
    transmissions: int
    left: int
    departed: int = 0


class Capture:
    """Write what becomes of each packet to a pcapng file.

    Args:
        path: the file; it is made anew.
        clock: tells when a fate is sealed.
        on_failure: told once, in words, when the disk failed; nothing more is written then.

    Invariant: every transmission handed to `under_way` is written once, by `settle` or at the end. Memory holds those under way.
    """

    def __init__(self, path: Path, clock: Clock, *, on_failure: Callable[[str], None]) -> None:
        self._path = path
        self._clock = clock
        self._on_failure = on_failure
        self._failed = False
        self._flights: dict[Key, Flight] = {}
        self._names: dict[str, str] = {}
        self._file = path.open("wb")
        self._write(pcapng.head(APPLICATION))

    def name_host(self, ip: str, host: str) -> None:
        """Let readers of the file show a host's name for its address."""
        self._names[ip] = ip if ip in self._names else host  # where hosts share an address, it tells nothing
        self._write(pcapng.name(ip, host))

    def name_of(self, address: Address) -> str:
        """Return the name of the host at an address, else its ip."""
        return self._names.get(address[0], address[0])

    def under_way(self, key: Key, flight: Flight) -> None:
        """Remember a packet until all its transmissions have met their fates."""
        self._flights[key] = flight

    def depart(self, key: Key, *, elsewhere: bool) -> None:
        """Note that the kernel has a transmission; the process of a receiver `elsewhere` writes what becomes of it."""
        if elsewhere:
            self._take(key)
        elif (flight := self._flights.get(key)) is not None:
            flight.departed += 1

    def settle(self, key: Key, cause: Cause | None) -> None:
        """Write the fate of a transmission that was dropped under way, for a cause."""
        flight = self._take(key)
        if flight is not None:
            self.datagram(
                flight.source, flight.target, flight.data, number=key[1], comment=_fate(cause, flight, key[1])
            )

    def delivered(self, key: Key, data: bytes, *, ends: tuple[Address, Address], own_delay_ns: int) -> None:
        """Write the arrival of a transmission from one address at another."""
        source, target = ends
        flight = self._take(key)
        comment = f"delivered: {self.name_of(source)} > {self.name_of(target)} k={key[1]} own_delay={own_delay_ns / 1e6:.6f}ms"
        if flight is not None:
            comment = f"delivered: {flight.link} k={key[1]} own_delay={own_delay_ns / 1e6:.6f}ms"
            comment += f" total={(self._clock.now_ns() - flight.began_ns) / 1e6:.6f}ms{_copy(flight)}"
            comment += " corrupted" if flight.data != data else ""
        self.datagram(source, target, data, number=key[1], comment=comment)

    def datagram(self, source: Address, target: Address, data: bytes, *, number: int, comment: str) -> None:
        """Write a datagram at the present time."""
        self.packet(udp_packet(source, target, data, number=number), comment)

    def packet(self, data: bytes, comment: str) -> None:
        """Write an IP packet at the present time."""
        self._write(pcapng.packet(self._clock.now_ns(), data, comment))

    def _take(self, key: Key) -> Flight | None:
        flight = self._flights.get(key)
        if flight is not None:
            flight.left -= 1
            flight.departed = max(flight.departed - 1, 0)
            if not flight.left:
                del self._flights[key]
        return flight

    def _write(self, block: bytes) -> None:
        if self._failed:
            return
        try:
            self._file.write(block)
        except OSError as fault:
            self._fail(fault)

    def _fail(self, fault: OSError) -> None:
        self._failed = True
        self._on_failure(f"cannot write {self._path}: {fault.strerror}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is still under way, and close the file; the network has ended."""
        for key in list(self._flights):
            while (flight := self._flights.get(key)) is not None:
                # All sockets have been read to the end: what the kernel had, it has dropped.
                self.settle(key, Cause.KERNEL if flight.departed else None)
        try:
            self._file.close()
        except OSError as fault:
            if not self._failed:
                self._fail(fault)


def dropped(cause: Cause) -> str:
    """Return how a comment begins that tells of a drop."""
    return f"dropped ({cause.name.lower()})"


def _fate(cause: Cause | None, flight: Flight, number: int) -> str:
    return f"{_LATER if cause is None else dropped(cause)}: {flight.link} k={number}{_copy(flight)}"


def _copy(flight: Flight) -> str:
    """Say which of a packet's transmissions this is, in the order of their fates."""
    if flight.transmissions == 1:
        return ""
    return f" copy={flight.transmissions - flight.left}/{flight.transmissions}"
