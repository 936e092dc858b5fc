"""Pure: a finished run as lines for a terminal: claims, fidelity, where the results are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from netem.certificate import Certificate
from netem.fates import Cause
from scenarios.claims import Claim, Value

if TYPE_CHECKING:
    from scenarios.runner import Result

_VERDICT = {True: "holds", False: "FAILS", None: "not judged"}


def result_lines(result: Result, *, again: str) -> Iterator[str]:
    """Yield the lines that `swarmbed run` prints at its end; `again` is the command that repeats the run."""
    yield from _claims(result.claims)
    yield from _fidelity(result.certificate)
    broken = [name for name, holds in result.invariants.items() if not holds]
    yield f"invariants  {'violated: ' + ', '.join(broken) if broken else 'all hold: ' + ' '.join(result.invariants)}"
    yield f"digest      {result.digest}"
    yield f"results     {result.directory}"
    if result.interrupted:
        yield "interrupted: the results cover what was done until then"
    if result.status:
        yield f"again       {again}   (seed {result.seed})"


def _fidelity(certificate: Certificate) -> Iterator[str]:
    kept, host = certificate.conservation, certificate.host_ns
    drops = ", ".join(
        f"{cause.name.lower().replace('_', ' ')} {kept.dropped[cause]:,}" for cause in Cause if kept.dropped[cause]
    )
    verdict = "valid" if certificate.valid else "VOID: " + "; ".join(certificate.reasons)
    yield f"fidelity    {verdict}"
    yield (
        f"            {kept.sent:,} datagrams on {certificate.links:,} links: {kept.delivered:,} delivered, "
        f"{kept.copies:,} copies, dropped: {drops or 'none'}, {kept.missing:,} unaccounted for"
    )
    yield (
        f"            p99 lateness {host['lateness_p99'] / 1e6:.2f} ms, p99 event-loop lag {host['lag_p99'] / 1e6:.2f} ms "
        f"(each at most 10 ms)"
    )


def _claims(claims: Sequence[Claim]) -> Iterator[str]:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for column in ("claim", "predicted", "measured", "tolerance", "verdict"):
        table.add_column(column, justify="left" if column in {"claim", "verdict"} else "right", overflow="fold")
    for claim in claims:
        table.add_row(
            claim.name,
            _number(claim.predicted),
            _number(claim.measured),
            _tolerance(claim),
            _VERDICT[claim.ok],
        )
    console = Console()
    with console.capture() as capture:
        console.print(table)
    yield from capture.get().rstrip("\n").split("\n")
    for claim in claims:
        if claim.ok is not True and claim.note:
            yield f"  {claim.name}: {claim.note}"


def _tolerance(claim: Claim) -> str:
    if claim.predicted is None:
        return "-"
    return f"± {_number(claim.tolerance)}" if claim.tolerance else "exact"


def _number(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else value
