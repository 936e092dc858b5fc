"""trio: a small market to test in: a network, a tracker and peers, under either clock."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio

from netem.certificate import Certificate
from netem.events import Event, EventStream
from netem.link import LinkConfig
from netem.network import Network
from netem.randomness import keyed_bytes, keyed_generator
from netem.real_time import RealTime
from netem.virtual_time import VirtualTime, schedule_deterministically
from node.beliefs.given import Given
from node.events import DownloadFinished
from node.peer import Peer, PeerConfig
from node.policies import make_policy
from node.policies.base import Policy
from node.store import Store
from tracker.bank.audit import audit
from tracker.bank.bank import Bank
from tracker.desk import Terms
from tracker.events import DownloadSettled, FeeHeld
from tracker.identity import Identity
from tracker.tracker import Tracker

MB = 1_000_000
LONGEST_S = 1_000.0


class World:
    """A tracker and peers by name on one network; every event is kept with its time.

    After the program all downloads are settled; then the packets and the journal must balance.
    """

    def __init__(self, clock: VirtualTime | RealTime, directory: Path, *, link: LinkConfig, terms: Terms) -> None:
        self.clock = clock
        self.directory = directory
        self.terms = terms
        self.run_seed = 1
        self.network = Network(clock, run_seed=self.run_seed, default_link=link)
        self.events: list[tuple[int, Event]] = []
        self.stream = EventStream(clock.now_ns)
        self.stream.subscribe(self._note)
        self.bank = Bank(directory / "ledger.sqlite", clock)
        self.identities: dict[str, Identity] = {}
        self.stores: dict[str, Store] = {}
        self.certificate: Certificate | None = None
        self._news = trio.lowlevel.ParkingLot()
        self._lives: dict[str, list[trio.CancelScope]] = {}

    async def open(self, nursery: trio.Nursery) -> None:
        """Start the tracker; what is started later lives in `nursery`."""
        self.nursery = nursery
        self.network.add_host("tracker")
        await self._start_tracker(port=0)

    async def _start_tracker(self, *, port: int) -> None:
        self.tracker = Tracker(
            self.network.hosts["tracker"],
            self.clock,
            identity=Identity(keyed_bytes(self.run_seed, "identity", "tracker"), epoch=self.bank.next_boot),
            bank=self.bank,
            emit=self.stream.emit,
            terms=self.terms,
            port=port,
        )
        await self.nursery.start(partial(self.live, "tracker", self.tracker.run))

    async def restart_tracker(self, *, after_s: float) -> None:
        """Crash the tracker, and start another boot of it at the same address on the same ledger."""
        port = self.tracker.address[1]
        self.crash("tracker")
        await trio.sleep(after_s)
        self.network.restart("tracker")
        self.bank = Bank(self.directory / "ledger.sqlite", self.clock)
        await self._start_tracker(port=port)

    async def join(
        self,
        name: str,
        *,
        upload: float = MB,
        policy: str | Policy = "fixed",
        prior: tuple[float, ...] | np.ndarray = (),
        epoch: int = 1,
        store: Store | None = None,
        kind: type[Peer] = Peer,
    ) -> Peer:
        """Start a boot of a node and return it once it has joined; the store stays over boots."""
        if name not in self.network.hosts:
            self.network.add_host(name, upload_bytes_per_s=upload)
        identity = self.identities[name] = Identity(keyed_bytes(self.run_seed, "identity", name), epoch=epoch)
        self.stores[name] = store or self.stores.get(name) or Store(self.directory / "stores" / name)
        config = PeerConfig(
            upload_bytes_per_s=upload,
            policy=make_policy(policy) if isinstance(policy, str) else policy,
            beliefs=Given(prior),
            run_seed=self.run_seed,
            tracker=self.tracker.address,
            tracker_key=self.tracker.sign_key,
        )
        peer = kind(
            self.network.hosts[name],
            self.clock,
            identity,
            store=self.stores[name],
            config=config,
            emit=self.stream.emit,
        )
        await self.nursery.start(partial(self.live, name, peer.run))
        return peer

    async def live(self, name: str, action: Callable[..., Awaitable[object]], *args: object, **options: object) -> None:
        """Run something that ends with the node's present boot."""
        with trio.CancelScope() as scope:
            self._lives.setdefault(name, []).append(scope)
            await action(*args, **options)

    def spawn(self, name: str, action: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start something that ends with the node's present boot."""
        self.nursery.start_soon(self.live, name, action, *args)

    def crash(self, name: str) -> None:
        """Crash a node: its host goes down and its tasks end."""
        self.network.crash(name)
        for scope in self._lives.pop(name):
            scope.cancel()

    def _note(self, now_ns: int, event: Event) -> None:
        self.events.append((now_ns, event))
        self._news.unpark_all()

    async def until(self, kind: type[Event]) -> None:
        """Wait until there was an event of a kind."""
        while not self.of(kind):
            await self._news.park()

    def file(self, name: str, size_bytes: int) -> Path:
        """Make a file of pseudo-random bytes."""
        path = self.directory / name
        path.write_bytes(keyed_generator(self.run_seed, "content", name).bytes(size_bytes))
        return path

    def name_of(self, node: bytes) -> str:
        """Return the name of the host of a node."""
        return next(name for name, identity in self.identities.items() if identity.node == node)

    def of(self, kind: type[Event]) -> list[Event]:
        """Return all events of a kind, in order."""
        return [event for _, event in self.events if isinstance(event, kind)]

    def balance(self, name: str) -> int:
        """Return what a node's account has gained since it was endowed, micro-credits."""
        return self.bank.ledger.balance("user/" + self.identities[name].node.hex()) - self.terms.endowment_credits

    def assert_identical(self, path: Path, *, copies: int = 1) -> None:
        """Check that `copies` downloads finished, and that all have the contents of one file."""
        finished = self.of(DownloadFinished)
        assert len(finished) == copies
        assert {event.sha256 for event in finished} == {hashlib.sha256(path.read_bytes()).digest()}

    def check(self) -> None:
        """Check what must hold after every program: packets conserved, journal sound, each fee paid out exactly."""
        assert self.network.conservation().missing == 0
        report = audit(self.directory / "ledger.sqlite")
        assert report.ok, report.violations
        assert report.held_credits == 0
        settled = {event.download: event for event in self.of(DownloadSettled)}
        fees = {event.download: event.fee_credits for event in self.of(FeeHeld)}
        assert len(settled) == len(self.of(DownloadSettled))
        for download, fee_credits in fees.items():
            assert sum(paid for _, paid in settled[download].payouts) + settled[download].refund_credits == fee_credits


Program = Callable[[World], Awaitable[None]]


def _play(
    program: Program,
    clock: VirtualTime | RealTime,
    directory: Path,
    *,
    link: LinkConfig | None = None,
    terms: Terms | None = None,
) -> World:
    world = World(clock, directory, link=link or LinkConfig(), terms=terms or Terms())

    async def main() -> None:
        # The clock outlives the network, and the network the peers: each needs the next to end cleanly.
        async with trio.open_nursery() as ground:
            ground.start_soon(clock.run)
            async with trio.open_nursery() as wires:
                await wires.start(world.network.run)
                async with trio.open_nursery() as services:
                    with trio.fail_after(LONGEST_S):
                        await world.open(services)
                        await program(world)
                        await world.tracker.wait_settled()
                    services.cancel_scope.cancel()
                await trio.sleep(0.5)  # what is under way arrives and is counted
                world.certificate = world.network.certificate()
                wires.cancel_scope.cancel()
            ground.cancel_scope.cancel()

    try:
        trio.run(main, clock=clock if clock.virtual else None)
    finally:
        world.bank.close()
        for store in world.stores.values():
            store.close()
    world.check()
    return world


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., World]:
    """Run `program(world)` in virtual time and return the world, checked; each run has a directory of its own."""
    schedule_deterministically(1)
    runs = itertools.count()

    def run(program: Program, **parameters: Any) -> World:
        directory = tmp_path / str(next(runs))
        directory.mkdir()
        return _play(program, VirtualTime(), directory, **parameters)

    return run


@pytest.fixture
def play_live(tmp_path: Path) -> Callable[..., World]:
    """Run `program(world)` over real sockets and return the world, checked."""
    return lambda program, **parameters: _play(program, RealTime(), tmp_path, **parameters)
