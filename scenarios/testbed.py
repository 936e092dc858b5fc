"""trio: the testbed: one emulated network with a tracker and N peers on it, for a scenario to play with.

Source: DESIGN sections 2 (composition root) and 3 (two clocks, same node code).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trio

from netem.clock import Clock
from netem.events import Event
from netem.network import Network
from netem.randomness import KeyPart, keyed_bytes, keyed_generator
from node.beliefs.base import Beliefs
from node.peer import Peer, PeerConfig
from node.policies import make_policy
from node.store import Descriptors, Store
from scenarios.content import Shared
from scenarios.parameters import Params
from tracker.bank.bank import Bank
from tracker.desk import Terms
from tracker.identity import Identity
from tracker.tracker import Tracker

TRACKER = "tracker"
OPEN_FILES = 256  # of all stores together


class Bed:
    """What a scenario's `run(bed)` gets: parameters, content, network, tracker and peers.

    Args:
        network: the emulated network, already running.
        params: the scenario's parameters.
        content: the real files to share.
        directory: where stores and the ledger live.
        emit: takes every event of the run.
        launch: starts a service that lives until the run is settled (`nursery.start`).
    """

    def __init__(
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
    ) -> None:
        self.network = network
        self.params: Any = params
        self.clock = clock
        self.run_seed = run_seed
        self.content = content
        self.emit = emit
        self.facts: dict[str, Any] = {}
        self.peers: list[Peer] = []
        self.bank = Bank(directory / "ledger.sqlite", clock)
        self.interrupted = False
        self._directory = directory
        self._launch = launch
        self._show: trio.CancelScope | None = None
        self._descriptors = Descriptors(OPEN_FILES)
        self._tracker: Tracker | None = None

    @property
    def tracker(self) -> Tracker:
        """Return the tracker that `start` started."""
        assert self._tracker is not None
        return self._tracker

    async def start(self, *, terms: Terms, policy: str, beliefs: Callable[[], Beliefs]) -> None:
        """Start the tracker, then all peers at once; return when every one has joined.

        Raises:
            ConfigError: the tracker's port is taken, or the policy is unknown.
        """
        self._tracker = Tracker(
            self.network.add_host(TRACKER),
            self.clock,
            identity=Identity(keyed_bytes(self.run_seed, "identity", TRACKER), epoch=1),
            bank=self.bank,
            emit=self.emit,
            terms=terms,
            port=self.params.port,
        )
        await self._launch(self._tracker.run)
        self.peers = [self._peer(f"node-{n}", policy=policy, beliefs=beliefs()) for n in range(self.params.nodes)]
        async with trio.open_nursery() as joining:
            for peer in self.peers:
                joining.start_soon(self._launch, peer.run)

    def _peer(self, name: str, *, policy: str, beliefs: Beliefs) -> Peer:
        params = self.params
        host = self.network.add_host(
            name,
            upload_bytes_per_s=params.upload_bytes_per_s,
            download_bytes_per_s=params.download_bytes_per_s,
        )
        config = PeerConfig(
            upload_bytes_per_s=params.upload_bytes_per_s,
            policy=make_policy(policy),
            beliefs=beliefs,
            run_seed=self.run_seed,
            tracker=self.tracker.address,
            tracker_key=self.tracker.sign_key,
        )
        identity = Identity(keyed_bytes(self.run_seed, "identity", name), epoch=1)
        store = Store(self._directory / "stores" / name, self._descriptors)
        return Peer(host, self.clock, identity, store=store, config=config, emit=self.emit)

    def chance(self, *key: KeyPart) -> np.random.Generator:
        """Return this run's random generator for a key."""
        return keyed_generator(self.run_seed, *key)

    def lasting(self, duration_s: float) -> trio.CancelScope:
        """Return the scope of the scenario's show: it ends after `duration_s`, or at Ctrl-C; then all is settled."""
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
            peer.close()
        self.bank.close()
