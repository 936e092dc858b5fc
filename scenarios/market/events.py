"""Pure: what a crowd tells the run's event stream."""

from __future__ import annotations

from netem.events import Event


class Arrival(Event, frozen=True):
    """One of the crowd wants a file; `node` is who will fetch it, empty when everybody has it or is fetching it."""

    index: int
    node: bytes


class CrowdLeft(Event, frozen=True):
    """No more requests come; downloads under way are closed."""
