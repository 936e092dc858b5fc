"""Pure: a finished run, or many, as lines for a terminal: claims, fidelity, where the results are."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from netem.certificate import Certificate
from netem.fates import Cause
from scenarios.claims import Claim, Value
from scenarios.summaries import JUDGED, VERDICTS, summarise

if TYPE_CHECKING:
    from netem.link_report import LinkReport
    from scenarios.campaign import Findings
    from scenarios.result import Result

_WIDE = 200
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
    yield f"fidelity    {verdict} ({certificate.report.tests:,} checks)"
    if told := "; ".join(_realised(certificate.report)):
        yield f"            {told}"
    yield (
        f"            {kept.sent:,} datagrams on {certificate.links:,} links: {kept.delivered:,} delivered, "
        f"{kept.copies:,} copies, dropped: {drops or 'none'}, {kept.missing:,} unaccounted for"
    )
    yield (
        f"            p99 lateness {host['lateness_p99'] / 1e6:.2f} ms, p99 event-loop lag {host['lag_p99'] / 1e6:.2f} ms "
        f"(each at most 10 ms)"
    )


def _realised(report: LinkReport) -> Iterator[str]:
    """Say what the links did: all of them, or, if they are all configured alike, in detail; ± is what an honest run may be off by."""
    alike = len(report.columns.configs) == 1
    told = dict(report.tell_config(0)) if alike else {}
    rows = [("loss", "loss", 100.0, "%"), ("mean burst", "burst", 1.0, "")]
    rows += [(f"delay {name}", f"delay_{name}", 1e3, "ms") for name in ("p50", "p99")]
    for title, name, unit, word in (*rows, ("jitter", "jitter", 1e3, "ms")):
        values = told.get(name, {})
        if "ok" in values and (values["configured"] or values["realised"]):
            room = max(values["high"] - values["configured"], values["configured"] - values["low"])
            yield _beside(title, (values["realised"], values["configured"], room), unit, word)
    if not alike:
        for title, quantity, unit, word in (
            ("loss", report.loss, 100.0, "%"),
            ("mean delay", report.delay_s, 1e3, "ms"),
        ):
            if quantity.realised is not None and quantity.configured is not None and quantity.tolerance is not None:
                yield _beside(title, (quantity.realised, quantity.configured, quantity.tolerance), unit, word)
        yield f"{len(report.columns.configs)} configurations"


def _beside(title: str, values: tuple[float, float, float], unit: float, word: str) -> str:
    realised, configured, room = (f"{value * unit:.3g}" for value in values)
    return f"{title} {realised} {word} (configured {configured} ± {room})".replace("  ", " ")


def _claims(claims: Sequence[Claim]) -> Iterator[str]:
    table = plain_table(("claim", "predicted", "measured", "tolerance", "verdict"), left={"claim", "verdict"})
    for claim in claims:
        table.add_row(*claim_cells(claim.to_dict()))
    yield from table_lines(table)
    for claim in claims:
        if claim.ok is not True and claim.note:
            yield f"  {claim.name}: {claim.note}"


def findings_lines(findings: Findings) -> Iterator[str]:
    """Yield the lines at the end of many runs: per combination of swept values, every claim's mean over the seeds."""
    groups = {tuple(outcome.job.labels.items()): outcome.job.labels for outcome in findings.outcomes}
    keys = list(findings.campaign.jobs[0].labels)
    columns = (*keys, "claim", "predicted", "measured, mean", "95 % interval", "held")
    table = plain_table(columns, left={*keys, "claim"})
    for labels in groups.values():
        for row in summarise(findings.results(**labels)):
            mean = row.measured
            interval = "-" if mean.low is None else f"{_mean(mean.low)} .. {_mean(mean.high)}"
            held = f"{row.held} of {row.judged}" if row.judged else "not judged"
            table.add_row(*labels.values(), row.name, _mean(row.predicted), _mean(mean.mean), interval, held)
    yield from table_lines(table)
    ended = Counter(outcome.status for outcome in findings.outcomes)
    told = ", ".join(f"{VERDICTS[status]} {n}" for status, n in sorted(ended.items()))
    yield f"runs        {len(findings.outcomes)} of {len(findings.campaign.jobs)}: {told or 'none'}"
    if not ended.keys() <= JUDGED:
        yield "            void, refused and interrupted runs are in no mean"
    yield f"results     {findings.campaign.directory}"
    if not findings.complete:
        yield "interrupted: the results cover what was done until then"


def plain_table(columns: Sequence[str], *, left: Container[str]) -> Table:
    """Return an empty table without lines; the columns in `left` are aligned to the left."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", overflow="fold")
    return table


def table_lines(table: Table) -> Iterator[str]:
    """Yield a table's lines, as wide as the terminal, or as it needs when there is none."""
    console = Console(width=None if sys.stdout.isatty() else _WIDE, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
    yield from (line.rstrip() for line in capture.get().rstrip("\n").split("\n"))


def claim_cells(claim: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Return name, prediction, measurement, tolerance and verdict of a claim as in result.json."""
    room = f"± {_number(claim['tolerance'])}" if claim["tolerance"] else "exact"
    return (
        claim["name"],
        _number(claim["predicted"]),
        _number(claim["measured"]),
        "-" if claim["predicted"] is None else room,
        _VERDICT[claim["ok"]],
    )


def _mean(value: float | None) -> str:
    """Show a mean; one of whole numbers that are all the same looks like them."""
    return _number(int(value) if value is not None and value.is_integer() else value)


def _number(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else value
