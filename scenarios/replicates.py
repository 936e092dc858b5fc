"""Pure: the result of several runs that differ by their seed alone, for `replicates.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scenarios.summaries import LEVEL, summarise

if TYPE_CHECKING:
    from scenarios.campaign import Findings


def replicates_dict(findings: Findings) -> dict[str, Any]:
    """Return the claims' means over the runs that can be relied on, and all runs: each its result.json, or what it said."""
    campaign = findings.campaign
    return {
        "scenario": campaign.scenario.name,
        "time": campaign.time,
        "seeds": [job.seed for job in campaign.jobs],
        "level": LEVEL,
        "claims": [summary.to_dict() for summary in summarise(findings.results())],
        "runs": [
            outcome.result or {"seed": outcome.job.seed, "status": outcome.status, "said": outcome.said}
            for outcome in findings.outcomes
        ],
        "interrupted": not findings.complete,
        "status": findings.status,
    }
