"""Pure: claims about repertoires: what providers earn, and who may serve.

Source: huberman-wu, section 2 (a content provider supplies a repertoire at a fixed price per file).
"""

from __future__ import annotations

from netem.events import Event
from node.events import LicenceBought, PieceAccepted
from scenarios.claims import Claim, Record, compare, unjudged
from tracker.events import FileHeld

REVENUE = "huberman-wu, section 2: a repertoire at a fixed price per file"
LICENCE = "huberman-wu, section 2: servers serve what providers supplied them with"


class Tried(Event, frozen=True):
    """A node without a licence tried to serve a provider's file, by some way; `reason` is why it was refused, "" if it was not."""

    node: bytes
    index: int
    way: str
    reason: str


def repertoire_claims(record: Record) -> list[Claim]:
    """Judge sales and licences."""
    return [*revenue_claims(record), *licence_claims(record)]


def revenue_claims(record: Record) -> list[Claim]:
    """Claim of each provider that the journal paid it its price times the licences that servers say they bought."""
    bought = [event for _, event in record.trace.of(LicenceBought)]
    found = []
    for number, node in enumerate(record.facts["providers"]):
        sales = len({(e.node, e.index) for e in bought if e.index in record.facts["repertoires"][number]})
        name = f"revenue of provider {number} (µcr)"
        revenue_credits = record.facts["sales"].get(node)
        if not sales or revenue_credits is None:
            found.append(unjudged(name, "nothing was sold, or the journal not read", REVENUE))
            continue
        claim = compare(
            name,
            predicted=sales * record.params.price_credits,
            measured=revenue_credits,
            tolerance=0,
            source=REVENUE,
            note=f"{sales} licences by the servers' own books; measured is the journal's",
        )
        found.append(claim)
    return found


def licence_claims(record: Record) -> list[Claim]:
    """Claim that nobody held or served a provider's file without a licence, and that each try was refused."""
    tries = [event for _, event in record.trace.of(Tried)]
    refused = sum(event.reason == "no-licence" for event in tries)
    licensed = {(event.node, event.index) for _, event in record.trace.of(LicenceBought)}
    for number, node in enumerate(record.facts["providers"]):
        licensed |= {(node, index) for index in record.facts["repertoires"][number]}
    held = {(event.node, event.index) for _, event in record.trace.of(FileHeld) if event.holds}
    served = {(server, e.index) for _, e in record.trace.of(PieceAccepted) for server, _ in e.sources}
    trespasses = len((held | served) - licensed)
    return [
        Claim(
            name="tries to serve without a licence, refused",
            predicted=len(tries),
            measured=refused,
            tolerance=0,
            ok=bool(tries) and refused == len(tries),
            source=LICENCE,
            detectable=1,
            note="" if tries else "nobody tried: too little data",
        ),
        Claim(
            name="files held or served without a licence",
            predicted=0,
            measured=trespasses,
            tolerance=0,
            ok=bool(served) and not trespasses,
            source=LICENCE,
            detectable=1,
            note=f"of {len(held | served)} files on servers",
        ),
    ]
