"""Pure: a finished run as the live page's `View`: nothing changes any more, and nothing can be done to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netem.run_fates import RunFates
from scenarios.hosts import TRACKER
from scenarios.page.node_map import MOST_DRAWN_NODES, MOST_PAIRS
from scenarios.page.ticker import Ticker
from scenarios.report.stated import invariants_of, reasons_of, stated_claims

Told = dict[str, Any]


class FinishedView:
    """What the page says of a run that is over.

    Args:
        facts: see `View.facts`.
        result: result.json; empty for a run that did not end.
        ticker: its last events.
        drawn: see `View.drawn`.
        length_s: from its first to its last moment.
        sample_s: between two of its samples.
    """

    def __init__(
        self, facts: Told, result: Mapping[str, Any], *, ticker: Ticker, drawn: Told, length_s: float, sample_s: float
    ) -> None:
        self._facts = facts
        self._drawn = drawn
        self._ticker = ticker
        reasons = reasons_of(result)
        valid = bool(result) and not reasons and bool(result.get("fidelity", {}).get("valid"))
        light = "green" if valid else "void" if result else "waiting"
        self._told = {
            "phase": "ended",
            "at_s": length_s,
            "show_s": None,
            "light": light,
            "reasons": reasons or ["the certificate is valid" if valid else "the run did not end: it has no result"],
            "claims": [claim.to_dict() for claim in stated_claims(result)],
            "note": "" if result else "The run did not end: nothing was judged.",
            "invariants": invariants_of(result) or None,
            "digest": result.get("digest"),
            "status": result.get("status"),
            "ended": True,
            "sample_s": sample_s,
        }

    def facts(self) -> Told:
        """See `View`."""
        return self._facts

    def told(self, *, after: int) -> Told:
        """See `View`."""
        return self._told | {"events": self._ticker.since(after)}

    def drawn(self) -> Told:
        """See `View`."""
        return self._drawn


def drawn_of(fates: RunFates | None, names: Sequence[str]) -> Told:
    """Return the nodes and who exchanged how many datagrams with whom over the whole run; nothing without fates."""
    if fates is None:
        return {}
    hosts = sorted({TRACKER, *names, *(host for ends in fates.links for host in ends)}, key=_place)
    numbers = {host: number for number, host in enumerate(hosts)}
    busy = [0] * len(hosts)
    sent, lost = [0] * len(hosts), [0] * len(hosts)
    pairs: dict[tuple[int, int], list[float]] = {}
    for (source, target), link in fates.links.items():
        one, other = numbers[source], numbers[target]
        received, missed = len(link.numbers), link.dropped.get("loss", 0)
        busy[other] += received
        sent[one] += link.offered
        lost[one] += missed
        pair = pairs.setdefault((min(one, other), max(one, other)), [0, 0.0])
        pair[0] += received
        pair[1] = max(pair[1], missed / max(1, link.offered))
    busiest = sorted(pairs.items(), key=lambda item: (-item[1][0], item[0]))[:MOST_PAIRS]
    rows = [[one, other, datagrams, 0, round(loss, 4)] for (one, other), (datagrams, loss) in busiest if datagrams]
    return {
        "names": hosts,
        "up": [1] * len(hosts),
        "paused": [0] * len(hosts),
        "elsewhere": 0,
        "busy": busy,
        "cut": [0] * len(hosts),
        "loss": [round(missed / max(1, offered), 4) for missed, offered in zip(lost, sent, strict=True)],
        "links": len(fates.links),
        "pairs": rows if len(hosts) <= MOST_DRAWN_NODES + 1 else None,
    }


def _place(host: str) -> tuple[bool, int, str]:
    """Sort the tracker first, then nodes by number."""
    number = host.rpartition("-")[2]
    return host != TRACKER, int(number) if number.isdecimal() else 0, host
