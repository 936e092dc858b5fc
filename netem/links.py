"""trio: the directed links of a network: what each does, its route and its lane, and which are cut or held.

Routes and lanes are made when the first packet needs them.

Source: DESIGN section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import trio

from netem.clock import Clock
from netem.fates import FateLog
from netem.faults import Counts, Pair
from netem.host import Host
from netem.lane import Lane
from netem.layers import Layers, LinkOf
from netem.link import Link, LinkConfig
from netem.randomness import BlockUniforms
from netem.route import Route, Wire


class Links:
    """All links of a network.

    Args:
        clock: the run's clock.
        wire: what carries datagrams.
        fates: the receivers' log, which is told what each link should do.
        run_seed: keys the links' randomness.
        link_of: what a link does at first, by source and target.
        route: makes routes, called as the class.

    Attributes:
        routes: those there are so far, by link id.
    """

    def __init__(
        self,
        clock: Clock,
        wire: Wire,
        fates: FateLog,
        *,
        run_seed: int,
        link_of: LinkOf,
        route: Callable[..., Route] = Route,
    ) -> None:
        self.routes: list[Route] = []
        self._clock = clock
        self._wire = wire
        self._fates = fates
        self._uniforms = BlockUniforms(run_seed)
        self._layers = Layers(link_of)
        self._route = route
        self._by_ends: dict[Pair, Route] = {}
        self._lanes: dict[Pair, Lane] = {}
        self._cuts, self._holds = Counts(), Counts()
        self._opened = trio.lowlevel.ParkingLot()

    def make_route(self, source: Host, target: Host) -> Route:
        """Make the route of a pair of hosts that has none yet."""
        ends = source.name, target.name
        link = Link(
            self._layers.config(ends), source=ends[0], target=ends[1], uniforms=self._uniforms, link_id=len(self.routes)
        )
        if not self._cuts.is_free(ends):
            link.open = False
        route = source.routes[target] = self._route(source, target, link, clock=self._clock, wire=self._wire)
        route.held = None if self._holds.is_free(ends) else []
        self._by_ends[ends] = route
        self.routes.append(route)
        self._classify(route, since=0)
        return route

    def _classify(self, route: Route, *, since: int | None) -> None:
        config = route.link.config
        self._fates.classify(route.link_id, config.impairments, law=config.delay_law, since=since)
        if config.rate_bytes_per_s != math.inf:
            self._fates.rated[route.link_id] = config.rated_bytes

    def lane(self, source: Host, target: Host) -> Lane:
        """Return the lane of a pair of hosts."""
        ends = source.name, target.name
        if ends not in self._lanes:
            route = source.routes.get(target) or self.make_route(source, target)
            self._lanes[ends] = Lane(route, uniforms=self._uniforms, clock=self._clock, opened=self._opened)
        return self._lanes[ends]

    def impair(self, serial: int, pairs: Sequence[Pair] | None, config: LinkConfig) -> None:
        """Set what links do, from the next packet on; None is all, those to come included."""
        self._layers.add(serial, pairs, config)
        self._reconfigure(pairs)

    def restore(self, serial: int) -> None:
        """Take back what `impair` set under a serial number."""
        self._layers.remove(serial)
        self._reconfigure(None)

    def clear(self, serial: int, pairs: Sequence[Pair] | None) -> None:
        """Let links do again what they did at first."""
        self._layers.clear(serial, pairs)
        self._reconfigure(pairs)

    def _reconfigure(self, pairs: Iterable[Pair] | None) -> None:
        for ends in self._by_ends if pairs is None else pairs:
            route = self._by_ends.get(ends)
            config = self._layers.config(ends)
            if route is not None and route.link.config != config:
                route.link.reconfigure(config)
                # Only the sender's process knows which packet is the first that meets the change.
                self._classify(route, since=route.link.number if route.source.here else None)
                if ends in self._lanes:
                    self._lanes[ends].reconfigure(config)

    def cut(self, pairs: Iterable[Pair]) -> None:
        """Cut pairs once more: what is sent from now on is lost; streams stall."""
        self._cuts.add(pairs)
        self._open_and_close(pairs)

    def mend(self, pairs: Iterable[Pair]) -> None:
        """Undo one cut of each pair."""
        self._cuts.remove(pairs)
        self._open_and_close(pairs)
        self._opened.unpark_all()

    def _open_and_close(self, pairs: Iterable[Pair]) -> None:
        for ends in pairs:
            if ends in self._by_ends:
                self._by_ends[ends].link.open = self._cuts.is_free(ends)

    def hold(self, pairs: Iterable[Pair]) -> None:
        """Hold pairs once more: what would arrive from now on waits; streams stall."""
        self._holds.add(pairs)
        for ends in pairs:
            route = self._by_ends.get(ends)
            if route is not None and route.held is None:
                route.held = []

    def release(self, pairs: Iterable[Pair]) -> None:
        """Undo one hold of each pair; what was held goes on, in the order in which it would have arrived."""
        self._holds.remove(pairs)
        for ends in pairs:
            if ends in self._by_ends and self._holds.is_free(ends):
                self._by_ends[ends].let_go()
        self._opened.unpark_all()

    def config(self, ends: Pair) -> LinkConfig:
        """Return what a link does now."""
        return self._layers.config(ends)

    def common(self) -> LinkConfig | None:
        """Return what was said last about all links; None while they do what they did at first."""
        return self._layers.common()

    def changed(self) -> list[Pair]:
        """Return the pairs whose links were changed apart from the others, sorted."""
        return self._layers.changed()

    def cut_pairs(self) -> list[Pair]:
        """Return the pairs that are cut, sorted."""
        return self._cuts.pairs()

    def held_pairs(self) -> list[Pair]:
        """Return the pairs that are held, sorted."""
        return self._holds.pairs()
