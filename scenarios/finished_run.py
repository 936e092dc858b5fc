"""trio: reads a finished run's directory, and compares two. Blocking, called outside a run.

Source: DESIGN section 6.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netem.errors import ConfigError
from netem.fate_reading import read_fates
from netem.run_fates import RunFates
from scenarios.comparison import Comparison, Difference, differences, part, part_links
from scenarios.trace_file import Trace
from tracker.bank.journal import read_journal

_MAY_DIFFER = ("versions", "platform", "content.source")  # with the same digest all the same
_RECORD = ("scenario", "seed", "time", "params", "versions")


class FinishedRun:
    """A run directory; `field` is how a command calls it.

    Raises:
        ConfigError: it is no run directory of this version.
    """

    def __init__(self, directory: Path, *, field: str = "RUN_DIR") -> None:
        self.directory = directory
        self.field = field
        self.record = self._json("run.json")
        missing = [key for key in _RECORD if key not in self.record]
        if missing:
            raise ConfigError(field, str(directory), f"a run directory of this version: run.json lacks {missing[0]}")
        # A run that was killed has none.
        self.result = self._json("result.json") if (directory / "result.json").is_file() else {}

    def _json(self, name: str) -> dict[str, Any]:
        path = self.directory / name
        if not path.is_file():
            raise ConfigError(self.field, str(self.directory), f"a run directory, with a {name} in it")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as fault:
            raise ConfigError(self.field, str(path), f"a run directory with a readable {name} ({fault})") from None
        if not isinstance(value, dict):
            raise ConfigError(self.field, str(path), f"a run directory with a {name} of this version")
        return value

    @property
    def exact(self) -> bool:
        """Tell whether the run has times that another one can repeat."""
        return bool(self.record["time"] == "virtual")

    def fates(self) -> RunFates | None:
        """Read the fates of the run's datagrams; None if it has none, as a run that was killed."""
        path = self.directory / "fates.msgpack"
        return read_fates(path) if path.is_file() and self.result else None

    def trace(self) -> Trace:
        """Return the run's trace."""
        return Trace(self.directory / "events.msgpack")

    def journal(self, *, exact: bool) -> Iterator[tuple[Any, ...]]:
        """Yield the journal's transactions as plain values; without `exact` those that another run could repeat."""
        for entry in read_journal(self.directory / "ledger.sqlite"):
            movement = entry.transaction
            postings = [(posting.account, posting.amount_credits) for posting in movement.postings]
            told = movement.kind, movement.ref, postings
            yield (movement.time_ns, *told) if exact else told


def compare(a: FinishedRun, b: FinishedRun) -> Comparison:
    """Compare two runs; times count only if both have simulated time.

    Raises:
        ConfigError: a file in one of them is damaged.
        LedgerError: a ledger cannot be read.
    """
    exact = a.exact and b.exact
    asked = list(differences(a.record, b.record))
    notes = [found for found in asked if found.path.startswith(_MAY_DIFFER)]
    traces = a.trace(), b.trace()
    events = part(*(trace.read() if exact else (event for _, event in trace.read()) for trace in traces))
    one, other = a.fates(), b.fates()
    return Comparison(
        runs=(str(a.directory), str(b.directory)),
        setup=[found for found in asked if found not in notes],
        notes=notes,
        digests=(a.result.get("digest", ""), b.result.get("digest", "")),
        counts=_counts(a, b),
        exact=exact,
        events=events,
        cut_off=[str(trace.path) for trace in traces if trace.cut_off],
        links=None if one is None or other is None else part_links(one, other, exact=exact),
        journal=part(a.journal(exact=exact), b.journal(exact=exact)),
    )


def _counts(a: FinishedRun, b: FinishedRun) -> list[Difference]:
    return list(differences(a.result.get("counts", {}), b.result.get("counts", {})))
