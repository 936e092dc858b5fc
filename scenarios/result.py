"""Pure: what a run found: claims, invariants, fidelity, counts, and the exit status that follows.

Source: DESIGN section 6 (result.json, exit status).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from netem.certificate import Certificate
from node.events import DownloadFinished, DownloadStopped, OddsHeard, PieceAccepted
from scenarios.claims import Claim, Trace
from scenarios.parameters import Params
from tracker.events import FramesDropped

if TYPE_CHECKING:
    from pathlib import Path

    from netem.accounts import Account

EXIT_OK, EXIT_CLAIM, EXIT_USAGE, EXIT_VOID, EXIT_INTERRUPTED = 0, 1, 2, 3, 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run found. `status` is the exit status of DESIGN section 6."""

    scenario: str
    seed: int
    time: str
    params: Params
    claims: Sequence[Claim]
    invariants: Mapping[str, bool]
    certificate: Certificate
    counts: Mapping[str, int]
    digest: str
    directory: Path
    interrupted: bool

    @property
    def status(self) -> int:
        """Return the exit status: interrupted, void, a failed claim, or 0, in this order."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        if not self.certificate.valid or not all(self.invariants.values()):
            return EXIT_VOID
        return EXIT_CLAIM if any(claim.ok is False for claim in self.claims) else EXIT_OK

    def to_dict(self) -> dict[str, Any]:
        """Return the contents of result.json."""
        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "time": self.time,
            "params": msgspec.to_builtins(self.params),
            "claims": [claim.to_dict() for claim in self.claims],
            "invariants": dict(self.invariants),
            "fidelity": self.certificate.to_dict(),
            "counts": dict(self.counts),
            "digest": self.digest,
            "interrupted": self.interrupted,
            "status": self.status,
        }


def count(trace: Trace, account: Account) -> dict[str, int]:
    """Return a run's counts by name: blocks, downloads, odds pages, datagrams by fate, frames dropped by kind."""
    finished = [event.blocks for _, event in trace.of(DownloadFinished)]
    stopped = [event.blocks for _, event in trace.of(DownloadStopped)]
    dropped: Counter[str] = Counter()
    for _, event in trace.of(FramesDropped):
        dropped.update(dict(event.kinds))
    return {
        "blocks_delivered": sum(finished) + sum(stopped),
        "bytes_accepted": sum(n for _, e in trace.of(PieceAccepted) for _, n in e.sources),
        "downloads_finished": len(finished),
        "downloads_stopped": len(stopped),
        "events": sum(len(events) for events in trace.by_type.values()),
        "odds_pages_heard": sum(event.pages for _, event in trace.of(OddsHeard)),
        "odds_pages_missed": sum(event.missed for _, event in trace.of(OddsHeard)),
        "foreign_datagrams": account.foreign,
        **{f"datagrams_{name}": n for name, n in account.fates().items()},
        **{f"frames_dropped_{kind}": n for kind, n in sorted(dropped.items())},
    }
