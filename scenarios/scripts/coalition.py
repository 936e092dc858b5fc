"""Nodes conspire against the market: what do they gain beyond what they serve?

Question: while a crowd is served by honest nodes that follow the odds, members of a coalition over-claim bandwidth, deal with
themselves through second identities, refuse, replay and equivocate receipts, and send wrong pieces. Does any of it earn credits for bytes
that nobody accepted? Those that serve put all their upload on the most popular file and seem mightier than they are, so that the
honest leave that file to them: how much more do they sell than the honest, and is it within what their upload can carry?

Source: huberman-wu, section 2 and eq. (1): pay by delivered fraction; DESIGN section 4 (odds from proven rates, settlement).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Annotated, ClassVar

import trio

from netem.errors import ConfigError
from node.peer import Peer
from node.roles.base import Role
from node.roles.byzantine import byzantine_names, byzantine_role
from scenarios.claims import Claim, Record
from scenarios.market.attack_samples import sample
from scenarios.market.coalition_claims import dealing_claim, income_claim
from scenarios.market.crowd import CrowdParams, let_crowd_come, open_market, publish, zipf_shares
from scenarios.market.events import CrowdLeft
from scenarios.market.hostile_bounds import unpaid_claim
from scenarios.market.hostile_claims import role_claims
from scenarios.parameters import param
from scenarios.shared_claims import byte_identical, fees_conserved, network_claims, payouts_match_trace
from scenarios.testbed import Bed

COALITION = "equivocate_receipts,overclaim_bandwidth,refuse_receipts,replay_receipts,self_deal,wrong_pieces"
SAMPLE_S = 1.0


class Params(CrowdParams, frozen=True, kw_only=True):
    """The crowd's, and who conspires."""

    one_process: ClassVar[bool] = True  # attackers are told when to begin, and what servers gave them is looked at
    coalition: Annotated[str, param("roles of the coalition, separated by commas")] = COALITION
    members: Annotated[int, param("members of each role", unit="nodes", ge=1, le=50)] = 1
    duration_s: Annotated[float, param("how long the crowd keeps coming", gt=0, le=86_400)] = 90.0

    def __post_init__(self) -> None:
        """Refuse a role that there is not."""
        super().__post_init__()
        for name in self.names():
            if name not in byzantine_names():
                raise ConfigError("coalition", name, ", ".join(byzantine_names()))

    def names(self) -> list[str]:
        """Return the roles, sorted."""
        return sorted({name.strip() for name in self.coalition.split(",")})


async def run(bed: Bed) -> None:
    """Play the scenario: the honest open a market, the crowd comes, and the coalition acts from the start."""
    params: Params = bed.params
    files = sorted(bed.content, key=lambda file: (-file.size_bytes, file.name))
    p = zipf_shares(len(files), params.zipf)
    await open_market(bed, p, files, roles=[name for name in params.names() for _ in range(params.members)])
    peers = [peer for peer in bed.peers if isinstance(peer, Peer)]
    honest, members = peers[: params.nodes], [peer for peer in peers if isinstance(peer, Role)]
    samples: list[dict[str, object]] = []
    bed.facts.update(
        files=files,
        popularity=p,
        honest=[peer.node for peer in honest],
        servers=[peer.node for peer in honest[: params.initial_servers()]],
        attackers={member.node: member.name for member in members},
        accomplices=[member.node for member in members if member.serves],
        symptoms={name: byzantine_role(name).symptom for name in params.names()},
        samples=samples,
        done={name: Counter[str]() for name in params.names()},
    )
    with bed.lasting(math.inf):
        for member in members:
            if member.serves:
                await publish(member, files[0])
    with bed.lasting(params.duration_s):
        async with trio.open_nursery() as show:
            for member in members:
                show.start_soon(member.act)
            show.start_soon(partial(let_crowd_come, bed, p, files, customers=slice(params.nodes)))
            while True:
                await trio.sleep(SAMPLE_S)
                samples.append(sample(bed, honest, members))
    bed.emit(CrowdLeft())
    bed.facts["served_bytes"] = {peer.node: peer.served_bytes() for peer in honest}
    for member in members:
        bed.facts["done"][member.name].update(member.done)


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: bytes, money and network of the honest, then what each role, all dealings and all that serve gained."""
    return [
        byte_identical(record),
        fees_conserved(record),
        payouts_match_trace(record, downloaders=frozenset(record.facts["honest"])),
        *network_claims(record),
        *role_claims(record),
        unpaid_claim(record, attack_s=record.params.duration_s),
        dealing_claim(record),
        income_claim(record),
    ]
