"""Peers lie, cheat and flood: what do they gain, and what does it cost the honest?

Question: in a busy market, nodes begin to forge odds, replay and equivocate receipts, claim bandwidth they lack, send wrong
pieces, announce huge frames, drip bytes and flood requests. Is what each gains zero, or within the bound that the protocol states? Do the honest keep
at least 80 % of their goodput? Do the tables that strangers can make grow stay within their bounds?

Source: DESIGN section 4 (wire, odds, settlement); the bounds of `node/tabs.py`, `tracker/doors.py` and `tracker/odds.py`.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import trio

from netem.errors import ConfigError, Rejection
from netem.events import Event
from node.peer import Peer
from node.roles.base import Role
from node.roles.byzantine import byzantine_names, byzantine_role
from scenarios.claims import Claim, Record
from scenarios.market.arrivals import fetch_and_drop
from scenarios.market.attack_samples import sample
from scenarios.market.hostile_claims import judge
from scenarios.parameters import Params as CommonParams
from scenarios.parameters import param
from scenarios.testbed import Bed
from tracker.desk import Terms

FILES = 2  # few, so that somebody always wants each, and no reserved bandwidth idles
HOLD_S = 45.0
WARM_S = 10.0  # until the queues are full
CALM_SHARE = 0.25  # of the show
SAMPLE_S = 1.0


class Params(CommonParams, frozen=True, kw_only=True):
    """How many attack, and how."""

    one_process: ClassVar[bool] = True  # attackers are told when to begin, and everybody's tables are looked at
    nodes: Annotated[int, param("honest nodes; the attackers come on top", unit="nodes", ge=2, le=5_000)] = 12
    duration_s: Annotated[
        float, param("how long the market is watched, a quarter of it before the attack", gt=0, le=86_400)
    ] = 150.0
    attack: Annotated[str, param("the role of the attackers, or all of them at once")] = "all"
    attackers: Annotated[int, param("attackers of each role", unit="nodes", ge=1, le=100)] = 1

    def __post_init__(self) -> None:
        """Refuse an unknown attack."""
        if self.attack not in ("all", *byzantine_names()):
            raise ConfigError("attack", self.attack, ", ".join(["all", *byzantine_names()]))

    def roles(self) -> list[str]:
        """Return the roles that attack, sorted."""
        return byzantine_names() if self.attack == "all" else [self.attack]


class Watched(Event, frozen=True):
    """A phase begins: `calm`, `attack`, and `over` when it ends."""

    phase: str


async def run(bed: Bed) -> None:
    """Play the scenario: half of the honest serve, half fetch one file after the other; then the attackers begin."""
    params: Params = bed.params
    names = [name for name in params.roles() for _ in range(params.attackers)]
    terms = Terms(endowment_credits=10**10, hold_s=HOLD_S)
    await bed.start(terms=terms, policy="fixed", beliefs="given", roles=names)
    peers = [peer for peer in bed.peers if isinstance(peer, Peer)]
    honest = params.nodes
    servers, fetchers = peers[: honest // 2], peers[honest // 2 : honest]
    attackers = [peer for peer in peers if isinstance(peer, Role)]
    files = sorted(bed.content, key=lambda file: (-file.size_bytes, file.name))[:FILES]
    samples: list[dict[str, Any]] = []
    bed.facts.update(
        files=files,
        honest=[peer.node for peer in (*servers, *fetchers)],
        servers=[peer.node for peer in servers],
        attackers={peer.node: peer.name for peer in attackers},
        samples=samples,
        symptoms={name: byzantine_role(name).symptom for name in params.roles()},
        done={name: Counter[str]() for name in params.roles()},
    )
    with bed.lasting(math.inf):
        for peer in (*servers, *(role for role in attackers if role.serves)):
            for file in files:
                await peer.publish(file.name, file.path)
    with bed.lasting(WARM_S + params.duration_s):
        async with trio.open_nursery() as crowd:
            for number, peer in enumerate(fetchers):
                crowd.start_soon(_keep_fetching, peer, number)
            await trio.sleep(WARM_S)
            bed.emit(Watched("calm"))
            await trio.sleep(CALM_SHARE * params.duration_s)
            bed.emit(Watched("attack"))
            for attacker in attackers:
                crowd.start_soon(attacker.act)
            while True:
                await trio.sleep(SAMPLE_S)
                samples.append(sample(bed, [*servers, *fetchers], attackers))
    bed.emit(Watched("over"))
    bed.facts["served_bytes"] = {peer.node: peer.served_bytes() for peer in servers}
    for attacker in attackers:
        bed.facts["done"][attacker.name].update(attacker.done)


async def _keep_fetching(peer: Peer, number: int) -> None:
    """Fetch the files in turn for ever; each is dropped again, so that all supply is the servers'."""
    while True:
        index = number % FILES
        number += 1
        with contextlib.suppress(Rejection):  # told by the DownloadStopped event
            await fetch_and_drop(peer, index)


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: bytes, money and network of the honest, their goodput, and what each role gained."""
    return judge(record, phases={event.phase: now_ns for now_ns, event in record.trace.of(Watched)})
