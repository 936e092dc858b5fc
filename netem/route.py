"""trio: the way of a datagram between two hosts: uplink, link, wait, downlink, wire.

One route per ordered pair of hosts, made when the first packet needs it. Everything here is synchronous; a packet costs
one timer, two when the receiver's download rate is finite, and as many again for a duplicate.

The send time in the netem header is the departure from the uplink plus every later wait that is queueing (the link's
rate, the downlink). So `receive time - send time`, which the receiver measures, is the impairments' delay plus the
lateness of timer, kernel and event loop: the delay certificate judges these and no queue.

Source: DESIGN section 3.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Protocol

from netem.clock import Clock
from netem.fates import Cause
from netem.link import Link

if TYPE_CHECKING:
    from netem.host import Endpoint, Host

HEADER = struct.Struct("<IQ")  # packet number of the link, send time in Unix ns
HEADER_BYTES = HEADER.size
MAX_DATAGRAM_BYTES = 1200  # with the header: below every common path MTU

Address = tuple[str, int]


class Wire(Protocol):
    """What carries a datagram to its due time and then to its receiver: memory under virtual time, real sockets under real time."""

    endpoints: dict[Address, Endpoint]  # those that are open now

    def open(self, endpoint: Endpoint, *, port: int) -> None:
        """Bind an endpoint and set its address; port 0 picks one. Raises ConfigError when the port is taken."""
        ...

    def close(self, endpoint: Endpoint) -> None:
        """Unbind an endpoint; what waited in its receive buffer is counted as DESTINATION_DOWN."""
        ...

    def release(self, endpoint: Endpoint) -> None:
        """Free what was kept for the packets in flight of a closed endpoint: the last of them is gone."""
        ...

    def post(self, path: Path, data: bytes, number: int, sent_ns: int, due_ns: int) -> None:  # noqa: PLR0917 - per packet, keywords cost
        """Hand over a packet at `due_ns`, and then take it off the counts of what is in flight."""
        ...

    def kernel_drops(self) -> int | None:
        """Return how many frames the kernel dropped at receivers' sockets; None where it does not say."""
        ...


class Path:
    """The way from one endpoint to one address; `receiver` is who was last found there, if the wire is memory."""

    __slots__ = ("link", "receiver", "route", "sender", "target")

    def __init__(self, route: Route, sender: Endpoint, target: Address) -> None:
        self.route = route
        self.link = route.link
        self.sender = sender
        self.target = target
        self.receiver: Endpoint | None = None


Held = tuple[Path, bytes, int, int, int]  # data, packet number, send time (ns), when it was due (ns)


class Route:
    """One ordered pair of hosts: its link, its access queues and its counters.

    `admit` is the source's uplink; `post(path, data, number, sent_ns, arrival_ns)` schedules what the link let through.

    Invariant: link.offered + drops in the uplink + copies = carried + drops by every other cause + in_flight, where
    `carried` was handed to the wire. Drops of every cause are counted in `link.dropped`.

    `held` is None, or what would have arrived since a hold began, in order: it is still in flight. `held_back` counts what was
    ever held and let go.
    """

    __slots__ = (
        "_call_at",
        "_now_ns",
        "_wire",
        "admit",
        "carried",
        "held",
        "held_back",
        "in_flight",
        "link",
        "link_id",
        "post",
        "source",
        "target",
    )

    def __init__(self, source: Host, target: Host, link: Link, *, clock: Clock, wire: Wire) -> None:
        self.source = source
        self.target = target
        self.link = link
        self.link_id = link.link_id
        self.carried = 0
        self.in_flight = 0
        self.held: list[Held] | None = None
        self.held_back = 0
        self.admit = source.uplink.admit
        self._call_at = clock.call_at
        self._now_ns = clock.now_ns
        self._wire = wire
        # Without a download limit the arrival is the hand-over; for a host elsewhere, its own process runs the downlink.
        queues = target.here and target.download_bytes_per_s != math.inf
        self.post = self._post_arrival if queues else wire.post

    def _post_arrival(self, path: Path, data: bytes, number: int, sent_ns: int, due_ns: int) -> None:  # noqa: PLR0917 - per packet, keywords cost
        self._call_at(due_ns, self._arrive, path, data, number, sent_ns, due_ns)

    def _arrive(self, path: Path, data: bytes, number: int, sent_ns: int, due_ns: int) -> None:  # noqa: PLR0917 - per packet, keywords cost
        if self.held is not None:
            self.held.append((path, data, number, sent_ns, due_ns))
            return
        departure_ns = self.target.downlink.admit(due_ns, len(data) + HEADER_BYTES)
        if departure_ns < 0:
            self.link.dropped[Cause.DOWNLINK_QUEUE] += 1
            self.leave(path.sender, 1)
        else:
            self._wire.post(path, data, number, sent_ns + departure_ns - due_ns, departure_ns)

    def let_go(self) -> None:
        """Hold nothing more; what was held arrives now. Its wait is queueing, so the send time moves along."""
        held, self.held = self.held, None
        now_ns = self._now_ns()
        self.held_back += len(held or ())
        for path, data, number, sent_ns, due_ns in held or ():
            self.post(path, data, number, sent_ns + now_ns - due_ns, now_ns)

    def leave(self, sender: Endpoint, packets: int) -> None:
        """Take packets off the counts of what is in flight."""
        self.in_flight -= packets
        sender.in_flight -= packets
        if not (sender.open or sender.in_flight):
            self._wire.release(sender)

    def take(self, receiver: Endpoint, frame: bytes, source: Address) -> None:
        """Take a frame that another process sent by this route, through the downlink that ends here."""
        now_ns = self._now_ns()
        departure_ns = self.target.downlink.admit(now_ns, len(frame))
        if departure_ns < 0:
            self.link.dropped[Cause.DOWNLINK_QUEUE] += 1
        elif departure_ns <= now_ns:
            receiver.deliver(self, frame, source, arrived_ns=now_ns)
        else:
            self.in_flight += 1
            self._call_at(departure_ns, self._deliver_late, receiver, frame, source, now_ns)

    def _deliver_late(self, receiver: Endpoint, frame: bytes, source: Address, arrived_ns: int) -> None:
        self.in_flight -= 1
        if receiver.open:
            receiver.deliver(self, frame, source, arrived_ns=arrived_ns)
        else:
            self.link.dropped[Cause.DESTINATION_DOWN] += 1
