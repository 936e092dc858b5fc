"""Pure: the claims of many scenarios as one table for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scenarios.summaries import VERDICTS
from scenarios.tables import claim_cells, plain_table, table_lines

if TYPE_CHECKING:
    from scenarios.jobs import Outcome

_COLUMNS = ("scenario", "claim", "predicted", "measured", "tolerance", "verdict")


def overview_lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield the lines: every scenario's own claims, and in one row what all scenarios claim alike."""
    results = {outcome.job.scenario: outcome.result for outcome in outcomes if outcome.result is not None}
    common = _common([result["claims"] for result in results.values()])
    table = plain_table(_COLUMNS, left={"scenario", "claim", "verdict"})
    for outcome in outcomes:
        name = outcome.job.scenario
        for claim in outcome.result["claims"] if outcome.result else ():
            if claim["name"] not in common:
                table.add_row(name, *claim_cells(claim))
                name = ""
        table.add_row(name, *_summary(outcome, common))
    yield from table_lines(table)
    if common:
        yield f"common claims: {'; '.join(sorted(common))}"
    claims = [claim for result in results.values() for claim in result["claims"]]
    told = Counter(claim["ok"] for claim in claims)
    yield f"{len(outcomes)} scenarios, {len(claims)} claims: {told[True]} hold, {told[False]} fail, {told[None]} not judged"


def _common(claims: Sequence[Sequence[Mapping[str, Any]]]) -> set[str]:
    """Return the names of the claims that all scenarios make; none, if there is only one scenario."""
    names = [{claim["name"] for claim in each} for each in claims]
    return set.intersection(*names) if len(names) > 1 else set()


def _summary(outcome: Outcome, common: set[str]) -> tuple[str, ...]:
    verdict = VERDICTS[outcome.status] + (f": {outcome.said}" if outcome.said else "")
    if outcome.result is None:
        return "(no result)", "-", "-", "-", verdict
    held = [claim["ok"] for claim in outcome.result["claims"] if claim["name"] in common]
    return "common claims" if common else "", f"{len(held)}", f"{held.count(True)}", "exact", verdict
