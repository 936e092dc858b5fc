"""trio: a download under way, as its node sees it: from whom, what it has, and what it owes.

Source: DESIGN section 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from netem.route import Address
from node.credit import Credit
from node.partial_file import PartialFile
from node.swarm import Swarm
from tracker import messages as m
from tracker.session import Session


@dataclass(slots=True)
class Source:
    """How to reach one server of a download."""

    server: bytes
    session: Session
    address: Address
    flow: bytes
    answered: bool = False


@dataclass(slots=True)
class Download:
    """A download under way."""

    download: bytes
    index: int
    manifest: m.Manifest
    swarm: Swarm
    file: PartialFile
    order: bytes
    credit: Credit
    sources: dict[bytes, Source] = field(default_factory=dict)
    blocks: int = 0
    receipts_due_ns: int = 0
    check_ns: int | None = None
    over: trio.Event = field(default_factory=trio.Event)

    def close(self) -> m.Close:
        """Return the tracker's message: whom to pay for how much."""
        totals = sorted(self.swarm.totals.items())
        return m.Close(self.download, [(server, nbytes) for server, nbytes in totals if nbytes])
