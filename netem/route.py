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
    """What carries a datagram once it is due: memory under virtual time, real sockets under real time."""

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

    def carry(  # noqa: PLR0917 - per packet, keywords cost
        self, link_id: int, sender: Endpoint, receiver: Endpoint, data: bytes, number: int, sent_ns: int, due_ns: int
    ) -> bool:
        """Hand over a packet that was due at `due_ns`; False when the sender's socket buffer is full."""
        ...

    def send_away(self, sender: Endpoint, target: Address, frame: bytes, *, due_ns: int) -> bool:
        """Send a frame to another process; False when the sender's socket buffer is full."""
        ...

    def kernel_drops(self) -> int | None:
        """Return how many frames the kernel dropped at receivers' sockets; None where it does not say."""
        ...


class Route:
    """One ordered pair of hosts: its link, its access queues and its counters.

    Invariant: link.offered + drops in the uplink + copies = carried + drops by every other cause + in_flight, where
    `carried` was handed to the wire. Drops of every cause are counted in `link.dropped`.
    """

    __slots__ = (
        "_admit",
        "_call_at",
        "_carry",
        "_endpoints",
        "_now_ns",
        "_on_arrival",
        "_wire",
        "carried",
        "in_flight",
        "link",
        "link_id",
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
        self._call_at = clock.call_at
        self._now_ns = clock.now_ns
        self._wire = wire
        self._carry = wire.carry
        self._endpoints = wire.endpoints
        self._admit = source.uplink.admit
        # Without a download limit the arrival is the hand-over, and one timer is enough.
        self._on_arrival = self._hand_over if target.download_bytes_per_s == math.inf else self._arrive
        if not target.here:
            self._on_arrival = self._send_away  # the other process runs the downlink

    def offer(self, sender: Endpoint, data: bytes, target: Address) -> None:
        """Judge a packet and schedule its arrival, and its duplicate's."""
        link = self.link
        size = len(data) + HEADER_BYTES
        departure_ns = self._admit(self._now_ns(), size)
        if departure_ns < 0:
            link.dropped[Cause.UPLINK_QUEUE] += 1
            return
        arrival_ns = link.verdict(departure_ns, size)
        if arrival_ns > 0:
            # As in `_schedule`: a call more for each packet would be felt.
            self.in_flight += 1
            sender.in_flight += 1
            sent_ns = arrival_ns - link.delay_ns
            self._call_at(arrival_ns, self._on_arrival, sender, data, target, link.number - 1, sent_ns, arrival_ns)
        if link.copy_at:
            self._schedule(sender, data, target, link.copy_at, link.copy_at - link.copy_delay_ns)

    def _schedule(self, sender: Endpoint, data: bytes, target: Address, arrival_ns: int, sent_ns: int) -> None:  # noqa: PLR0917 - per packet, keywords cost
        self.in_flight += 1
        sender.in_flight += 1
        self._call_at(arrival_ns, self._on_arrival, sender, data, target, self.link.number - 1, sent_ns, arrival_ns)

    def _arrive(self, sender: Endpoint, data: bytes, target: Address, number: int, sent_ns: int, due_ns: int) -> None:  # noqa: PLR0917 - per packet, keywords cost
        departure_ns = self.target.downlink.admit(due_ns, len(data) + HEADER_BYTES)
        if departure_ns < 0:
            self.in_flight -= 1
            self.link.dropped[Cause.DOWNLINK_QUEUE] += 1
            sender.in_flight -= 1
            self._leave(sender)
            return
        sent_ns += departure_ns - due_ns
        self._call_at(departure_ns, self._hand_over, sender, data, target, number, sent_ns, departure_ns)

    def _hand_over(  # noqa: PLR0917 - per packet, keywords cost
        self, sender: Endpoint, data: bytes, target: Address, number: int, sent_ns: int, due_ns: int
    ) -> None:
        self.in_flight -= 1
        sender.in_flight -= 1
        receiver = self._endpoints.get(target)
        if receiver is None:
            self.link.dropped[Cause.DESTINATION_DOWN] += 1
        else:
            self.carried += 1
            if not self._carry(self.link_id, sender, receiver, data, number, sent_ns, due_ns):
                self.carried -= 1
                self.link.dropped[Cause.SEND_BUFFER] += 1
        if not sender.open:
            self._leave(sender)

    def _send_away(  # noqa: PLR0917 - per packet, keywords cost
        self, sender: Endpoint, data: bytes, target: Address, number: int, sent_ns: int, due_ns: int
    ) -> None:
        self.in_flight -= 1
        sender.in_flight -= 1
        if self._wire.send_away(sender, target, HEADER.pack(number, sent_ns) + data, due_ns=due_ns):
            self.carried += 1
        else:
            self.link.dropped[Cause.SEND_BUFFER] += 1
        if not sender.open:
            self._leave(sender)

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

    def _leave(self, sender: Endpoint) -> None:
        if not (sender.open or sender.in_flight):
            self._wire.release(sender)
