"""Pure: why a query has no answer, in the two kinds that the Prometheus query API tells apart."""

from __future__ import annotations

from typing import ClassVar

from netem.errors import SwarmbedError


class QueryError(SwarmbedError):
    """Report a query without an answer; `kind` and `status` are what the query API says."""

    kind: ClassVar[str]
    status: ClassVar[int]


class BadQuery(QueryError):
    """Report a query that is malformed, or outside the subset that is evaluated here; nothing was evaluated."""

    kind = "bad_data"
    status = 400


class ExecutionError(QueryError):
    """Report a query that is well formed and has no answer on these samples, such as an ambiguous vector match."""

    kind = "execution"
    status = 422


def outside_subset(construct: str) -> BadQuery:
    """Return the refusal of a construct that Prometheus knows and this evaluator does not."""
    return BadQuery(
        f"{construct} is outside the PromQL subset that is evaluated here (scenarios/promql/README.md lists it)"
    )
