"""trio: what a network is made of: the plain parts, or those that tell a capture.

Chosen once, when a network is made, so that a run without a capture has no branch for it anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from netem.capture import Capture
from netem.captured import CapturedEndpoint, CapturedHub, CapturedMemoryWire, CapturedRoute
from netem.captured_streams import CapturedStreams
from netem.clock import TrueClock
from netem.fates import FateLog
from netem.host import Endpoint
from netem.hub import Hub
from netem.memory import MemoryStreams, MemoryWire
from netem.route import Route, Wire
from netem.socket_stream import SocketStreams
from netem.tcp import StreamWire


@dataclass(frozen=True, slots=True)
class Parts:
    """How the parts of a network are made, each called as its class: wires and streams for either clock.

    `name_host(ip, name)` is told of every host.
    """

    endpoint: Callable[..., Endpoint] = Endpoint
    route: Callable[..., Route] = Route
    virtual_wire: Callable[[TrueClock, FateLog], Wire] = MemoryWire
    virtual_streams: Callable[[], StreamWire] = MemoryStreams
    real_wire: Callable[[TrueClock, FateLog], Wire] = Hub
    real_streams: Callable[[], StreamWire] = SocketStreams
    name_host: Callable[[str, str], None] = lambda ip, name: None  # noqa: ARG005  # nobody listens


PLAIN = Parts()


def captured(capture: Capture) -> Parts:
    """Return parts that tell `capture` of every packet."""
    return Parts(
        endpoint=partial(CapturedEndpoint, capture=capture),
        route=partial(CapturedRoute, capture=capture),
        virtual_wire=partial(CapturedMemoryWire, capture=capture),
        virtual_streams=lambda: CapturedStreams(MemoryStreams(), capture),
        real_wire=partial(CapturedHub, capture=capture),
        real_streams=lambda: CapturedStreams(SocketStreams(), capture),
        name_host=capture.name_host,
    )
