"""trio: the reader of one real UDP socket: datagrams, and runs of them that the kernel hands over whole.

Frames that left together arrive together: as one datagram with the size of its segments beside it (UDP_GRO, Linux), which one
system call reads, and which is cut up here. A quiet socket does without, as reading one datagram that way costs more.

Source: DESIGN section 3 (one receive hub, bounded drain per wake-up).
"""

from __future__ import annotations

import functools
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Protocol

from netem.fates import FateLog
from netem.route import HEADER_BYTES, MAX_DATAGRAM_BYTES, Address

DRAIN_MOST = 64  # datagrams per socket and wake-up, so that no socket starves the others
_RUN_LEAST = 8  # datagrams of one link behind each other in one look: of a crowd, so many never do
_READ_BYTES = 2048  # longer than any datagram of ours, so that a longer foreign one shows
_RUN_BYTES = 65_536  # longer than any run
_SOL_UDP = 17
_UDP_GRO = 104
_BESIDE_BYTES = 32  # room for the size of the segments


class Receiver(Protocol):
    """Whom a reader reads for: see `Endpoint`.

    Attributes:
        open: False once it is closed, which may happen in any call from here.
        sources: link ids of senders whose frames need nothing but to be recorded.
        on_datagram: called as (data, source) with what these send.
    """

    open: bool
    sources: dict[Address, int]
    on_datagram: Callable[[bytes, Address], None]

    def receive(self, frame: bytes, source: Address) -> None:
        """Take any other frame."""
        ...

    def lose(self, frame: bytes, source: Address) -> None:
        """Count a frame that came after the close."""
        ...


class Reader:
    """What reads one socket for its endpoint.

    A quiet socket is read once a look: finding out that it is empty would cost as much as the datagram. One that has more at the
    next look is drained. One in which many datagrams of one sender follow each other gets runs whole from then on, if the kernel
    can do that. All that one system call brings arrived when it was read.
    """

    __slots__ = ("_busy", "_looked", "_merges", "endpoint", "sock")

    def __init__(self, endpoint: Receiver, sock: socket.socket) -> None:
        self.endpoint = endpoint
        self.sock = sock
        self._merges: bool | None = merges(sock) or None  # None: not tried yet
        self._busy = False
        self._looked = -1  # the first look of all is 1

    def read(self, fates: FateLog, *, elapsed_ns: Callable[[], int], look: int) -> None:
        """Hand what waits to the endpoint, which a handler may close meanwhile: at most 64 datagrams and what came with the last."""
        if not self.endpoint.open:
            return
        busy = self._busy or self._looked == look - 1
        self._looked = look
        read = self._read_runs if self._merges else self._read_one_by_one
        self._busy = read(fates, elapsed_ns, DRAIN_MOST if busy else 1)

    def _read_one_by_one(self, fates: FateLog, elapsed_ns: Callable[[], int], most: int) -> bool:
        """Read at most so many datagrams; say whether the socket is busy."""
        receive = self.sock.recvfrom
        endpoint = self.endpoint
        # Taken out of the loop: each is an attribute look-up less for every datagram.
        sources, on_datagram = endpoint.sources, endpoint.on_datagram
        links, headers, arrivals_ns = fates.links, fates.headers, fates.arrivals_ns
        rated = fates.rated
        following, last_id = 0, None
        busy = most > 1
        for count in range(most):
            try:
                frame, source = receive(_READ_BYTES)
            except BlockingIOError:
                busy = count > 1
                break
            link_id = sources.get(source)
            following += link_id == last_id
            last_id = link_id
            if link_id is None or len(frame) < HEADER_BYTES:
                endpoint.receive(frame, source)
            else:  # as `endpoint.receive` does, without its calls
                links.append(link_id)
                headers += frame[:HEADER_BYTES]
                arrivals_ns.append(elapsed_ns())
                if link_id in rated:
                    fates.weigh(link_id, len(frame))
                on_datagram(frame[HEADER_BYTES:], source)
            if not endpoint.open:
                return False
        if following >= _RUN_LEAST and self._merges is None:
            self._merges = merge(self.sock)
        return busy

    def _read_runs(self, fates: FateLog, elapsed_ns: Callable[[], int], most: int) -> bool:
        """Read datagrams and runs until there were so many datagrams; say whether the socket is busy."""
        receive = self.sock.recvmsg
        endpoint = self.endpoint
        count = reads = 0
        while count < most:
            try:
                data, beside, _, source = receive(_RUN_BYTES, _BESIDE_BYTES)
            except BlockingIOError:
                return reads > 1
            reads += 1
            size_bytes = (_segment_bytes(beside) if beside else 0) or len(data)
            link_id = endpoint.sources.get(source)
            if link_id is None or size_bytes < HEADER_BYTES:
                count += self._hand_over(data, size_bytes, source)
            else:
                count += self._hand_over_known(
                    data, size_bytes, source, fates=fates, link_id=link_id, arrived_ns=elapsed_ns()
                )
            if not endpoint.open:
                return False
        return most > 1

    def _hand_over(self, data: bytes, size_bytes: int, source: Address) -> int:
        """Hand over any frames; return how many there were."""
        endpoint = self.endpoint
        frames = _cut(data, size_bytes)
        for frame in frames:
            if endpoint.open:
                endpoint.receive(frame, source)
            else:
                endpoint.lose(frame, source)
        return len(frames)

    def _hand_over_known(
        self, data: bytes, size_bytes: int, source: Address, *, fates: FateLog, link_id: int, arrived_ns: int
    ) -> int:
        """Hand over frames of a known sender, as `endpoint.receive` does, without its calls; the last may be shorter.

        Returns:
            how many there were.
        """
        endpoint = self.endpoint
        on_datagram = endpoint.on_datagram
        headers: list[bytes] = []
        note = headers.append
        rest_bytes = len(data) % size_bytes
        for header, payload in _splitter(size_bytes)(data[:-rest_bytes] if rest_bytes else data):
            note(header)
            on_datagram(payload, source)
            if not endpoint.open:
                break
        packets = len(headers)
        fates.links += [link_id] * packets
        fates.headers += b"".join(headers)
        fates.arrivals_ns += [arrived_ns] * packets
        if link_id in fates.rated:
            fates.weigh(link_id, size_bytes, packets=packets)
        rest = data[packets * size_bytes :]
        return packets + (self._hand_over(rest, size_bytes, source) if rest else 0)


@functools.lru_cache(maxsize=2 * MAX_DATAGRAM_BYTES)
def _splitter(size_bytes: int) -> Callable[[bytes], Iterator[tuple[bytes, bytes]]]:
    """Return what splits segments of one size into netem header and payload: half the time of two slices each."""
    return struct.Struct(f"{HEADER_BYTES}s{size_bytes - HEADER_BYTES}s").iter_unpack


def unread(sock: socket.socket) -> Iterator[tuple[bytes, Address]]:
    """Read what waits in a socket's buffer, to the end, and yield each frame."""
    whole = merges(sock)
    while True:
        try:
            if whole:
                data, beside, _, source = sock.recvmsg(_RUN_BYTES, _BESIDE_BYTES)
                for frame in _cut(data, _segment_bytes(beside)):
                    yield frame, source
            else:
                yield sock.recvfrom(_READ_BYTES)
        except BlockingIOError:
            return


def merge(sock: socket.socket) -> bool:
    """Ask the kernel to hand over whole what arrives together; say whether it will."""
    try:
        sock.setsockopt(_SOL_UDP, _UDP_GRO, 1)
    except OSError:  # before Linux 5.0, and on other systems
        return False
    return merges(sock)


def merges(sock: socket.socket) -> bool:
    """Say whether the kernel hands over whole what arrives together at a socket."""
    try:
        return sys.platform == "linux" and bool(sock.getsockopt(_SOL_UDP, _UDP_GRO))
    except OSError:
        return False


def _segment_bytes(beside: list[tuple[int, int, bytes]]) -> int:
    """Return the size of a run's segments (the last may be shorter), by what came beside it; 0 if it is one datagram."""
    for level, kind, value in beside:
        if level == _SOL_UDP and kind == _UDP_GRO:
            return int.from_bytes(value[:4], sys.byteorder)
    return 0


def _cut(data: bytes, segment_bytes: int) -> list[bytes]:
    """Return the datagrams of a run, or the one that it is, which may be empty."""
    size_bytes = segment_bytes or len(data)
    return [data[begin : begin + size_bytes] for begin in range(0, len(data), size_bytes)] if data else [data]
