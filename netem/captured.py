"""trio: the datagram path of a run that is captured: each part as it is, but it tells a `Capture` what became of every packet.

A run without a capture has none of these, and pays nothing. Frames leave one by one here, not together as they may otherwise.

Source: DESIGN section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netem.backbone import OnDatagram
from netem.capture import Capture, Flight, dropped
from netem.clock import Clock, TrueClock
from netem.departures import Departures
from netem.fates import Cause, FateLog, no_drops
from netem.host import Endpoint, Host
from netem.hub import Hub
from netem.link import Link
from netem.memory import MemoryWire
from netem.route import HEADER, HEADER_BYTES, Address, Path, Route, Wire


class CapturedEndpoint(Endpoint):
    """An endpoint that tells what it sends, and what reaches it over real sockets."""

    __slots__ = ("_capture",)

    def __init__(self, host: Host, on_datagram: OnDatagram, *, port: int, capture: Capture) -> None:
        super().__init__(host, on_datagram, port=port)
        self._capture = capture

    def send(self, data: bytes, target: Address) -> None:
        """Send (see `Endpoint.send`), and tell what was dropped at once or is under way."""
        before, number, under_way = self._counts(target)
        super().send(data, target)
        after, next_number, under_way_now = self._counts(target)
        posted = under_way_now - under_way
        causes = _risen(before, after)
        owner = self._owners.get(target)
        link = f"{self.host.name} > {owner.name if owner else target[0]}"
        transmissions = posted + len(causes)
        judged = next_number > number
        for place, cause in enumerate(causes):
            comment = f"{dropped(cause)}: {link}" + (f" k={number}" if judged else "")
            comment += f" copy={place + 1}/{transmissions}" if transmissions > 1 else ""
            self._capture.datagram(self.address, target, data, number=number, comment=comment)
        if posted:
            assert owner is not None or self._backbone.owner_elsewhere(target) is not None
            route = self._paths[target].route
            now_ns = self._base_ns + self._elapsed_ns()
            flight = Flight(link, self.address, target, data, now_ns, transmissions=transmissions, left=posted)
            self._capture.under_way((route.link_id, number), flight)

    def _counts(self, target: Address) -> tuple[list[int], int, int]:
        """Return drops by cause, packets judged, and transmissions under way, of the link to an address and before it."""
        owner = self._owners.get(target) or self._backbone.owner_elsewhere(target)
        route = self.host.routes.get(owner) if owner is not None else None
        drops = route.link.dropped if route is not None else no_drops()
        counts = [here + there for here, there in zip(self.host.unrouted, drops, strict=True)]
        return (counts, route.link.number, route.in_flight) if route is not None else (counts, 0, 0)

    def receive(self, frame: bytes, source: Address) -> None:
        """Take a frame off the wire, as all must be here: the shortcut of known senders is closed again."""
        super().receive(frame, source)
        self.sources.clear()

    def deliver(self, route: Route, frame: bytes, source: Address, *, arrived_ns: int) -> None:
        """Deliver (see `Endpoint.deliver`), and tell."""
        self._tell_arrival(route, frame, source, arrived_ns=arrived_ns)
        super().deliver(route, frame, source, arrived_ns=arrived_ns)

    def record(self, frame: bytes, source: Address) -> bool:
        """Record (see `Endpoint.record`), and tell."""
        route = self.route_from(frame, source)
        if route is not None:
            self._tell_arrival(route, frame, source, arrived_ns=self._base_ns + self._elapsed_ns())
        return super().record(frame, source)

    def lose(self, frame: bytes, source: Address) -> None:
        """Lose a frame (see `Endpoint.lose`), and tell."""
        super().lose(frame, source)
        route = self.route_from(frame, source)
        if route is not None:
            _tell_late_drop(self._capture, route, frame, ends=(source, self.address), cause=Cause.DESTINATION_DOWN)

    def _tell_arrival(self, route: Route, frame: bytes, source: Address, *, arrived_ns: int) -> None:
        number, sent_ns = HEADER.unpack_from(frame)
        ends = source, self.address
        own_delay_ns = arrived_ns - sent_ns
        self._capture.delivered((route.link_id, number), frame[HEADER_BYTES:], ends=ends, own_delay_ns=own_delay_ns)


class CapturedRoute(Route):
    """A route that tells what its downlink drops."""

    __slots__ = ("_capture",)

    def __init__(
        self, source: Host, target: Host, link: Link, *, clock: Clock, wire: Wire, capture: Capture
    ) -> None:  # a route's and one more
        super().__init__(source, target, link, clock=clock, wire=wire)
        self._capture = capture

    def _arrive(self, path: Path, data: bytes, number: int, sent_ns: int, due_ns: int) -> None:  # noqa: PLR0917  # as `Route` has it
        before = self.link.dropped.copy()
        super()._arrive(path, data, number, sent_ns, due_ns)
        for cause in _risen(before, self.link.dropped):
            self._capture.settle((self.link_id, number), cause)

    def take(self, receiver: Endpoint, frame: bytes, source: Address) -> None:
        """Take a frame (see `Route.take`), and tell when it is dropped."""
        self._watch(super().take, receiver, frame, source)

    def _deliver_late(self, receiver: Endpoint, frame: bytes, source: Address, arrived_ns: int) -> None:
        def deliver(receiver: Endpoint, frame: bytes, source: Address) -> None:
            super(CapturedRoute, self)._deliver_late(receiver, frame, source, arrived_ns)

        self._watch(deliver, receiver, frame, source)

    def _watch(
        self, act: Callable[[Endpoint, bytes, Address], None], receiver: Endpoint, frame: bytes, source: Address
    ) -> None:
        before = self.link.dropped.copy()
        act(receiver, frame, source)
        for cause in _risen(before, self.link.dropped):
            _tell_late_drop(self._capture, self, frame, ends=(source, receiver.address), cause=cause)


class CapturedMemoryWire(MemoryWire):
    """Memory that tells what arrives."""

    def __init__(self, clock: TrueClock, fates: FateLog, *, capture: Capture) -> None:
        super().__init__(clock, fates)
        self._capture = capture
        self._present: tuple[Path, bytes, int, int] | None = None  # what is being handed over
        record = self._received

        def tell_and_record(*fate: int) -> None:
            self._tell_arrival()  # before the receiver acts on it
            record(*fate)

        self._received = tell_and_record

    def _hand_over(self, path: Path, data: bytes, number: int, sent_ns: int, due_ns: int) -> None:  # noqa: PLR0917  # as `MemoryWire` has it
        self._present = path, data, number, due_ns - sent_ns
        before = path.route.link.dropped.copy()
        super()._hand_over(path, data, number, sent_ns, due_ns)
        if self._present is not None:
            self._present = None
            for cause in _risen(before, path.route.link.dropped):
                self._capture.settle((path.route.link_id, number), cause)

    def _tell_arrival(self) -> None:
        assert self._present is not None
        path, data, number, own_delay_ns = self._present
        self._present = None
        ends = path.sender.address, path.target
        self._capture.delivered((path.route.link_id, number), data, ends=ends, own_delay_ns=own_delay_ns)


class CapturedDepartures(Departures):
    """Departures that tell what the kernel did not take."""

    capture: Capture

    def _send(self, path: Path, frames: Sequence[bytes]) -> None:
        route = path.route
        for frame in frames:
            number, _ = HEADER.unpack_from(frame)
            before, under_way = route.link.dropped.copy(), route.in_flight
            super()._send(path, [frame])
            causes = _risen(before, route.link.dropped)
            for cause in causes:
                self.capture.settle((route.link_id, number), cause)
            if not causes and route.in_flight < under_way:
                self.capture.depart((route.link_id, number), elsewhere=not route.target.here)


class CapturedHub(Hub):
    """Real sockets whose departures tell a capture."""

    def __init__(self, clock: Clock, fates: FateLog, *, capture: Capture) -> None:
        super().__init__(clock, fates, departures=CapturedDepartures)
        assert isinstance(self._departures, CapturedDepartures)
        self._departures.capture = capture


def _tell_late_drop(
    capture: Capture, route: Route, frame: bytes, *, ends: tuple[Address, Address], cause: Cause
) -> None:
    """Tell that the receiver's side dropped a frame, whichever process sent it."""
    number, _ = HEADER.unpack_from(frame)
    if route.source.here:
        capture.settle((route.link_id, number), cause)
    else:
        comment = f"{dropped(cause)}: {route.source.name} > {route.target.name} k={number}"
        capture.datagram(*ends, frame[HEADER_BYTES:], number=number, comment=comment)


def _risen(before: list[int], after: list[int]) -> list[Cause]:
    """Return the causes whose counters rose, each as often as it did."""
    if before == after:
        return []
    return [Cause(place) for place, (old, new) in enumerate(zip(before, after, strict=True)) for _ in range(new - old)]
