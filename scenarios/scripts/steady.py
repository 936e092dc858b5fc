"""A steady crowd wants files of fixed popularity: do the odds come to the request shares and stay there?

Question: nothing appears and nothing changes. Half of the nodes hold every file, the crowd asks for them by Zipf's law, and
whoever finishes a download serves it too. Do the odds π settle at the request shares p, as section 3.3 promises, and is every
server paid exactly for what it delivered? It is also the market that `swarmbed up` keeps going, to watch and to disturb.

Source: huberman-wu, section 3.3, eq. (5).
"""

from __future__ import annotations

from collections.abc import Sequence

from scenarios.claims import Claim, Record
from scenarios.market.crowd import CrowdParams, let_crowd_come, open_market, zipf_shares
from scenarios.market.events import Arrival, CrowdLeft
from scenarios.market.odds_claims import odds_claim
from scenarios.shared_claims import shared_claims
from scenarios.testbed import Bed

Params = CrowdParams


async def run(bed: Bed) -> None:
    """Play the scenario: servers publish all files, the crowd comes and stays."""
    p = zipf_shares(len(bed.content), bed.params.zipf)
    bed.facts.update(popularity=p, files=bed.content)
    await open_market(bed, p, bed.content)
    with bed.lasting(bed.params.duration_s):
        await let_crowd_come(bed, p, bed.content)
    bed.emit(CrowdLeft())


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: contents, money and network as always, then the odds."""
    requests = [time_ns for time_ns, arrival in record.trace.of(Arrival) if arrival.node]
    ended = [time_ns for time_ns, _ in record.trace.of(CrowdLeft)]
    first_ns, last_ns = (requests or [2**63])[0], (ended or [2**63])[0]
    return [
        *shared_claims(record),
        odds_claim(record, record.facts["popularity"], requests=len(requests), from_ns=first_ns, to_ns=last_ns),
    ]
