"""trio: how a run makes its peers, in whichever process they live."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from netem.clock import Clock
from netem.events import Event
from netem.host import Host
from netem.randomness import keyed_bytes
from node.beliefs import make_beliefs
from node.descriptors import Descriptors
from node.peer import Peer, PeerConfig
from node.policies import make_policy
from node.roles.byzantine import byzantine_role
from node.store import Store
from scenarios.control import PeerPlan
from tracker.identity import Identity

OPEN_FILES = 256  # of all stores of a process together


class Workshop:
    """Make the peers of one process.

    Args:
        directory: the run directory; stores go below it.
        emit: takes the peers' events.
    """

    def __init__(self, clock: Clock, *, directory: Path, emit: Callable[[Event], None]) -> None:
        self._clock = clock
        self._directory = directory
        self._emit = emit
        self._descriptors = Descriptors(OPEN_FILES)

    def make(self, host: Host, plan: PeerPlan, *, role: str = "") -> Peer:
        """Make the peer of a host, with a hostile role if one is named; its keys follow from the run's seed and the host's name.

        Raises:
            ConfigError: the policy, the beliefs or the role are unknown.
        """
        config = PeerConfig(
            upload_bytes_per_s=host.upload_bytes_per_s,
            policy=make_policy(plan.policy),
            beliefs=make_beliefs(plan.beliefs, plan.prior),
            run_seed=plan.run_seed,
            tracker=plan.tracker,
            tracker_key=plan.tracker_key,
        )
        identity = Identity(keyed_bytes(plan.run_seed, "identity", host.name), epoch=1)
        store = Store(self._directory / "stores" / host.name, self._descriptors)
        if role:
            # What a liar says about itself is no evidence: the run's events come from the others.
            return byzantine_role(role)(host, self._clock, identity, store=store, config=config, emit=_unheard)
        return Peer(host, self._clock, identity, store=store, config=config, emit=self._emit)


def _unheard(_event: Event) -> None:
    """Take an event that nobody is to hear."""
