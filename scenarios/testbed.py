"""trio: the testbed: one emulated network with a tracker and N peers on it, for a scenario to play with.

Source: DESIGN sections 2 (composition root) and 3 (two clocks, same node code).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import trio

from netem.clock import Clock
from netem.errors import ConfigError, Rejection, RemoteProtocolError
from netem.events import Event
from netem.host import Host
from netem.layout import Layout
from netem.network import QUEUE_BYTES, Network
from netem.randomness import KeyPart, keyed_bytes, keyed_generator
from netem.topology import Access
from node.peer import Peer
from scenarios.content import Shared
from scenarios.control import Cast, PeerPlan
from scenarios.hosts import TRACKER, node_names
from scenarios.live import Live
from scenarios.parameters import Params
from scenarios.peers import Workshop
from scenarios.remote_peer import RemotePeer
from scenarios.spread import Spread
from tracker.bank.bank import Bank
from tracker.desk import Terms
from tracker.identity import Identity
from tracker.tracker import Tracker

AnyPeer = Peer | RemotePeer
POLICY = "proportional_response"
STORAGE = "best_earning"
HOLD_MARGIN_S = 60.0  # a download that began at the end must still be paid for


class Bed:
    """What a scenario's `run(bed)` gets: parameters, content, network, tracker and peers.

    Args:
        network: the emulated network, already running.
        params: the scenario's parameters.
        content: the real files to share.
        directory: where stores and the ledger live.
        emit: takes every event of the run.
        launch: starts a service that lives until the run is settled (`nursery.start`).
        layout: where hosts are in the run's topology; None for one without regions.
        spread: the processes that the peers live in; None for all peers in this process.

    Attributes:
        journal: where the bank's journal is.
        show_began_ns: when the first show with an end began; None before.
    """

    def __init__(  # noqa: PLR0913 - it ties together everything that a run is made of
        self,
        network: Network,
        params: Params,
        *,
        clock: Clock,
        run_seed: int,
        content: Sequence[Shared],
        directory: Path,
        emit: Callable[[Event], None],
        launch: Callable[..., Awaitable[Any]],
        layout: Layout | None = None,
        spread: Spread | None = None,
    ) -> None:
        self.network = network
        self.params: Any = params
        self.clock = clock
        self.run_seed = run_seed
        self.content = content
        self.emit = emit
        self.facts: dict[str, Any] = {"files": content}
        self.peers: Sequence[AnyPeer] = ()
        self.live = Live(network)  # what a person changes, by whichever way
        self.journal = directory / "ledger.sqlite"
        self.bank = Bank(self.journal, clock)
        self.interrupted = False
        self.show_began_ns: int | None = None
        self._directory = directory
        self._layout = layout or Layout.parse("", params.link())
        self._launch = launch
        self._spread = spread
        self._show: trio.CancelScope | None = None
        self._tracker: Tracker | None = None

    @property
    def tracker(self) -> Tracker:
        """Return the tracker that `start` started."""
        assert self._tracker is not None
        return self._tracker

    async def start(  # noqa: PLR0913 - a cast's parts, one by one: most scenarios name one or two
        self,
        *,
        terms: Terms | None = None,
        policy: str = POLICY,
        beliefs: str = "learned",
        prior: Sequence[float] | np.ndarray = (),
        turns: str = "",
        noise: float = 0.0,
        storage: str = STORAGE,
        casts: Sequence[Cast] = (),
        roles: Sequence[str] = (),
    ) -> None:
        """Start the tracker, then all peers at once; return when every one has joined.

        Args:
            terms: the tracker's; by default holds outlast the scenario's duration by a minute.
            policy: how every server splits its upload, a name or a file (see `make_policy`).
            beliefs: what servers believe of p, by name; `prior` is handed to each.
            prior: see `node.beliefs.make_beliefs`.
            turns: when every server decides anew (see `make_turns`); "" leaves that to the policy.
            noise: how far beliefs scatter among servers; see `node.beliefs.Beliefs`.
            storage: what every server's store keeps, by name (see `make_storage`).
            casts: what the first peers play, in order, instead of all that.
            roles: hostile roles, by name, of further peers; they join like any other, and act when they are told to.

        Raises:
            ConfigError: the tracker's port is taken, the policy, its turns, the beliefs or a role are unknown, or roles are asked
                for in a run that is spread over processes.
        """
        if roles and self._spread is not None:
            raise ConfigError(
                "--procs", "several", "1 with hostile roles: they are played in the scenario's own process"
            )
        terms = terms or Terms(hold_s=self.params.duration_s + HOLD_MARGIN_S)
        self._tracker = Tracker(
            self._add_host(TRACKER, here=True),
            self.clock,
            identity=Identity(keyed_bytes(self.run_seed, "identity", TRACKER), epoch=self.bank.next_boot),
            bank=self.bank,
            emit=self.emit,
            terms=terms,
            port=self.params.port,
        )
        await self._launch(self._tracker.run)
        prior = [float(share) for share in prior]
        default = Cast(policy=policy, turns=turns, beliefs=beliefs, prior=prior, noise=noise, storage=storage)
        names = node_names(self.params.nodes + len(roles))
        hostile = [msgspec.structs.replace(default, role=role) for role in roles]
        plan = PeerPlan(
            default=default,
            casts=dict(zip(names, casts, strict=False)) | dict(zip(names[self.params.nodes :], hostile, strict=True)),
            run_seed=self.run_seed,
            tracker=self._tracker.address,
            tracker_key=self._tracker.sign_key,
        )
        hosts = [self._add_host(name, here=self._spread is None) for name in names]
        if self._spread is not None:
            await self._launch(self._spread.keep)
            self.peers = await self._spread.start(plan, names, layout=self._layout, link=self.params.link())
            return
        workshop = Workshop(directory=self._directory, emit=self.emit)
        present: list[AnyPeer] = []
        nodes = [
            workshop.boots(host, plan, on_boot=partial(present.__setitem__, number))
            for number, host in enumerate(hosts)
        ]
        present += [node.peer for node in nodes]
        self.peers = present
        async with trio.open_nursery() as joining:
            for node in nodes:
                joining.start_soon(self._launch, node.run)

    def _add_host(self, name: str, *, here: bool) -> Host:
        access = self._layout.add(name, access=self._own_access(name))
        return self.network.add_host(name, here=here, **msgspec.structs.asdict(access))

    def _own_access(self, name: str) -> Access:
        """Return the access link that a host has without a topology; the tracker's is no part of what is emulated."""
        if name == TRACKER:
            return Access(math.inf, math.inf, QUEUE_BYTES)
        return Access(self.params.upload_bytes_per_s, self.params.download_bytes_per_s, QUEUE_BYTES)

    async def fetch_all(self, index: int) -> None:
        """Let every peer that lacks a file download it, all at once; return when all have ended, with it or without.

        A download that failed is told by its `DownloadStopped` event.
        """
        async with trio.open_nursery() as fetching:
            for peer in self.peers:
                if not peer.holds(index):
                    fetching.start_soon(self._try_to_fetch, peer, index)

    async def _try_to_fetch(self, peer: AnyPeer, index: int) -> None:
        with contextlib.suppress(Rejection, RemoteProtocolError):
            await peer.fetch(index)

    def chance(self, *key: KeyPart) -> np.random.Generator:
        """Return this run's random generator for a key."""
        return keyed_generator(self.run_seed, *key)

    def lasting(self, duration_s: float) -> trio.CancelScope:
        """Return the scope of the scenario's show: it ends after `duration_s`, or at Ctrl-C; then all is settled.

        The host's lag is judged from the first show with an end on: what comes before is preparation.
        """
        if math.isfinite(duration_s) and self.show_began_ns is None:
            self.show_began_ns = self.clock.now_ns()
            self.network.begin()
        self._show = trio.move_on_after(duration_s)
        if self.interrupted:
            self._show.cancel()
        return self._show

    def interrupt(self) -> None:
        """End the show early; what was delivered so far is settled and judged."""
        self.interrupted = True
        if self._show is not None:
            self._show.cancel()

    def close(self) -> None:
        """Close the stores and the bank's database."""
        for peer in self.peers:
            if isinstance(peer, Peer):
                peer.close()
        self.bank.close()
