"""trio: how a run makes its peers, in whichever process they live."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from netem.events import Event
from netem.host import Host
from netem.randomness import keyed_bytes, keyed_generator
from node.beliefs import make_beliefs
from node.descriptors import Descriptors
from node.peer import Peer, PeerConfig
from node.policies import make_policy
from node.roles import ordinary_names, ordinary_role
from node.roles.byzantine import byzantine_role
from node.storage import make_storage
from node.store import Store
from node.turns import make_turns
from scenarios.control import PeerPlan
from scenarios.rebooting import Boots
from tracker.identity import Identity

OPEN_FILES = 256  # of all stores of a process together


class Workshop:
    """Make the peers of one process.

    Args:
        directory: the run directory; stores go below it.
        emit: takes the peers' events.
    """

    def __init__(self, *, directory: Path, emit: Callable[[Event], None]) -> None:
        self._directory = directory
        self._emit = emit
        self._descriptors = Descriptors(OPEN_FILES)

    def boots(self, host: Host, plan: PeerPlan, *, on_boot: Callable[[Peer], None] | None = None) -> Boots:
        """Make the node of a host; its keys and its own randomness follow from the run's seed and the host's name.

        Raises:
            ConfigError: the policy, its turns, the beliefs, the storage policy or the role are unknown.
        """
        store = Store(self._directory / "stores" / host.name, self._descriptors)
        return Boots(host, lambda epoch: self._make(host, plan, store=store, epoch=epoch), on_boot=on_boot)

    def _make(self, host: Host, plan: PeerPlan, *, store: Store, epoch: int) -> Peer:
        cast = plan.cast(host.name)
        chance = keyed_generator(plan.run_seed, "beliefs", host.name)
        config = PeerConfig(
            upload_bytes_per_s=host.upload_bytes_per_s,
            policy=make_policy(cast.policy),
            turns=make_turns(cast.turns) if cast.turns else None,
            beliefs=make_beliefs(cast.beliefs, cast.prior, noise=cast.noise, chance=chance),
            storage=make_storage(cast.storage),
            run_seed=plan.run_seed,
            tracker=plan.tracker,
            tracker_key=plan.tracker_key,
        )
        identity = Identity(keyed_bytes(plan.run_seed, "identity", host.name), epoch=epoch)
        if cast.role and cast.role not in ordinary_names():
            # What a liar says about itself is no evidence: the run's events come from the others.
            return byzantine_role(cast.role)(host, host.clock, identity, store=store, config=config, emit=_unheard)
        kind = ordinary_role(cast.role) if cast.role else Peer
        return kind(host, host.clock, identity, store=store, config=config, emit=self._emit)


def _unheard(_event: Event) -> None:
    """Take an event that nobody is to hear."""
