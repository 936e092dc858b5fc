"""trio: the departure scheduler of real sockets: packets by due time, and the fewest system calls that carry them.

Packets that are due in the same tick of 33 us share one entry of a heap and one timer. They leave in the order of their due times,
but those of one endpoint to one address leave together: frames of equal size as one datagram that the kernel cuts into
segments (UDP_SEGMENT, Linux), each a datagram of its own to whoever reads it.

Source: DESIGN section 3 (one scheduler per process, coalesced to 50 us).
"""

from __future__ import annotations

import errno
import heapq
import itertools
import operator
import socket
import struct
import sys
from collections.abc import Callable, Container, Iterable, Sequence

from netem.clock import Clock
from netem.fates import Cause
from netem.real_time import COALESCE_NS
from netem.route import HEADER, HEADER_BYTES, MAX_DATAGRAM_BYTES, Address, Path

_TICK_BITS = 15
TICK_NS = 1 << _TICK_BITS  # a shift is cheaper than a division
BURST = 128  # packets that leave before the receivers are read: fewer than any socket buffer holds
_SOL_UDP = 17
_UDP_SEGMENT = 103
_MOST_SEGMENTS = 65_000 // MAX_DATAGRAM_BYTES  # the kernel takes 64 KiB, and 64 segments, at once
_SIZE = struct.Struct("=H")
_FULL = (errno.EAGAIN, errno.ENOBUFS)
_NEVER = sys.maxsize

_Packet = tuple[int, Path, bytes]
_pack = HEADER.pack
_due_ns = operator.itemgetter(0)


class Departures:
    """Hold packets until they are due, then send them.

    Args:
        clock: real time.
        sockets: by the sender's address.
        endpoints: those that are open here, by address.
        late: is given when packets were due, and when they left, in ns.
        departed: is called after every burst.

    Invariant: a packet posted is in flight until it is carried or dropped, and then counted once by its route.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        sockets: dict[Address, socket.socket],
        endpoints: Container[Address],
        late: Callable[[Sequence[int], int], None],
        departed: Callable[[], None],
    ) -> None:
        self._call_at = clock.call_at
        self._now_ns = clock.now_ns
        self._sockets = sockets
        self._endpoints = endpoints
        self._late = late
        self._departed = departed
        self._ticks: dict[int, list[_Packet]] = {}
        self._order: list[int] = []  # a heap of the ticks
        self._armed = _NEVER  # the tick whose end a timer is set to
        self._segments = sys.platform == "linux"

    def post(self, path: Path, data: bytes, number: int, sent_ns: int, due_ns: int) -> None:  # noqa: PLR0917 - per packet, keywords cost
        """Send a packet when it is due (see `Wire.post`)."""
        tick = due_ns >> _TICK_BITS
        packets = self._ticks.get(tick)
        if packets is None:
            packets = self._add_tick(tick)
        packets.append((due_ns, path, _pack(number, sent_ns) + data))

    def _add_tick(self, tick: int) -> list[_Packet]:
        packets = self._ticks[tick] = []
        heapq.heappush(self._order, tick)
        if tick < self._armed:
            self._arm(tick)
        return packets

    def _arm(self, tick: int) -> None:
        self._armed = tick
        # Timers fire up to COALESCE_NS early: at the end of a tick, none of its packets leaves earlier than that.
        self._call_at((tick + 1) * TICK_NS, self._depart, tick)

    def _depart(self, tick: int) -> None:
        if tick != self._armed:
            return  # an earlier timer has taken its place
        now_ns = self._now_ns()
        dues_ns, paths, frames = zip(*self._take((now_ns + COALESCE_NS) >> _TICK_BITS), strict=True)
        if paths.count(paths[0]) == len(paths):
            self._send(paths[0], frames)
        else:
            for path, run in _by_path(paths, frames).items():
                self._send(path, run)
        self._late(dues_ns, self._now_ns())
        self._armed = _NEVER
        if self._order:
            self._arm(self._order[0])
        self._departed()

    def _take(self, limit: int) -> list[_Packet]:
        """Take out the first packets, in order, at most BURST, of the ticks before `limit`."""
        order = self._order
        packets: list[_Packet] = []
        while order and order[0] < limit and len(packets) < BURST:
            packets += self._ticks.pop(heapq.heappop(order))
        packets.sort(key=_due_ns)
        if len(packets) > BURST:
            rest = packets[BURST:]
            del packets[BURST:]
            tick = rest[0][0] >> _TICK_BITS
            self._ticks[tick] = rest
            heapq.heappush(order, tick)
        return packets

    def _send(self, path: Path, frames: Sequence[bytes]) -> None:
        route = path.route
        if route.held is not None:
            now_ns = self._now_ns()
            route.held += [(path, frame[HEADER_BYTES:], *HEADER.unpack_from(frame), now_ns) for frame in frames]
            return
        sender = path.sender
        sock = self._sockets.get(sender.address)
        dropped = route.link.dropped
        if route.target.here and path.target not in self._endpoints:
            dropped[Cause.DESTINATION_DOWN] += len(frames)
        elif sock is None:
            dropped[Cause.SOURCE_DOWN] += len(frames)
        elif len(frames) == 1:
            if _sent(sock, path.target, frames[0]):
                route.carried += 1
            else:
                dropped[Cause.SEND_BUFFER] += 1
        else:
            carried = self._carry(sock, path.target, frames)
            route.carried += carried
            dropped[Cause.SEND_BUFFER] += len(frames) - carried
        route.leave(sender, len(frames))

    def _carry(self, sock: socket.socket, target: Address, frames: Sequence[bytes]) -> int:
        """Send frames, and return how many the socket's buffer took."""
        if not self._segments:
            return sum(_sent(sock, target, frame) for frame in frames)
        sizes_bytes = list(map(len, frames))
        if len(frames) <= _MOST_SEGMENTS and sizes_bytes.count(sizes_bytes[0]) == len(frames):
            return self._carry_together(sock, target, frames, sizes_bytes[0])
        carried = 0
        for size_bytes, run in itertools.groupby(frames, len):
            equal = list(run)
            for first in range(0, len(equal), _MOST_SEGMENTS):
                carried += self._carry_together(sock, target, equal[first : first + _MOST_SEGMENTS], size_bytes)
        return carried

    def _carry_together(self, sock: socket.socket, target: Address, equal: Sequence[bytes], size_bytes: int) -> int:
        try:
            sock.sendmsg(equal, [(_SOL_UDP, _UDP_SEGMENT, _SIZE.pack(size_bytes))], 0, target)
        except OSError as error:
            if error.errno in _FULL:
                return 0
            # Not every kernel, nor every device on the way, can do this; each frame on its own is the same to the receiver.
            self._segments = False
            return sum(_sent(sock, target, frame) for frame in equal)
        return len(equal)


def _by_path(paths: Iterable[Path], frames: Iterable[bytes]) -> dict[Path, list[bytes]]:
    """Return each path's frames, all in order."""
    runs: dict[Path, list[bytes]] = {}
    for path, frame in zip(paths, frames, strict=True):
        run = runs.get(path)
        if run is None:
            runs[path] = [frame]
        else:
            run.append(frame)
    return runs


def _sent(sock: socket.socket, target: Address, frame: bytes) -> bool:
    try:
        sock.sendto(frame, target)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        return False
    return True
