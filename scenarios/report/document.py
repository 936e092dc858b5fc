"""Pure: the report as one HTML document that needs nothing else: no script, no font, no address outside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from scenarios.promql.labels import Labels
from scenarios.report import sections
from scenarios.report.certificate import fidelity_section
from scenarios.report.charts import COLUMNS, MOST_IN_LEGEND, chart, coloured
from scenarios.report.drawings import TITLES, Drawing, Mark
from scenarios.report.numbers import digits, shown
from scenarios.report.stated import invariants_of, reasons_of, stated_claims

if TYPE_CHECKING:
    from scenarios.report.books import Books


MOST_REASONS = 3  # of a void run at its top; all are in the certificate
MOST_FAULTS = 60  # told one by one
MANY = 3  # numbers take two columns
SCRAPED_LABELS = ("instance", "job")  # of every series, and no row of a table
MOST_IN_TILE = 6  # numbers; of more only those that are not 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that a report says.

    Args:
        name: the run directory's.
        record, result: run.json and result.json; `result` is empty for a run that did not end.
        about: the scenario's question and parameters.
        link: what every link did, in words.
        drawings: by dashboard, in their order.
        marks: faults.
        books: the ledger.
        notes: what is missing.
    """

    name: str
    record: Mapping[str, Any]
    result: Mapping[str, Any]
    about: Mapping[str, Any]
    link: str
    drawings: Mapping[str, Sequence[Drawing]]
    marks: Sequence[Mark]
    books: Books
    notes: Sequence[str]


def document(found: Findings, *, style: str) -> str:
    """Return the report; `style` is its style sheet."""
    title = f"{found.record['scenario']}, seed {found.record['seed']} · swarmbed report"
    parts = (
        ("claims", "Theory and measurement", sections.claims_section(found.result)),
        ("plots", "What happened", _plots(found)),
        ("fidelity", "Fidelity certificate", fidelity_section(found.result)),
        ("ledger", "Ledger", sections.ledger_section(found.result, found.books)),
        ("setup", "Set-up, and how to repeat it", sections.setup_section(found.record, found.about)),
        ("counts", "Counts, versions, digest", sections.counts_section(found.record, found.result)),
    )
    contents = "".join(f'<li><a href="#{key}">{heading}</a></li>' for key, heading, _ in parts)
    body = "".join(f'<section id="{key}"><h2>{heading}</h2>{text}</section>' for key, heading, text in parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{style}</style></head><body>'
        f"{_head(found)}<nav><ol>{contents}</ol></nav><main>{body}</main></body></html>\n"
    )


def _head(found: Findings) -> str:
    record = found.record
    first, *more = str(found.about.get("question", "")).split("\n\n")
    question = "".join(f"<p>{escape(text)}</p>" for text in more if not text.startswith("Source:"))
    source = next((text.removeprefix("Source:").strip() for text in more if text.startswith("Source:")), "")
    clock = "simulated time" if record["time"] == "virtual" else "real time, real sockets"
    nodes = digits(record["params"].get("nodes"))
    void = [f"Void, because {reason}" for reason in reasons_of(found.result)[:MOST_REASONS]]
    notes = "".join(f'<p class="warning">{escape(note)}.</p>' for note in (*void, *found.notes))
    return (
        f'<header><p class="brand">swarmbed · report of a run of <strong>{escape(str(record["scenario"]))}</strong></p>'
        f"<h1>{escape(first) or escape(str(record['scenario']))}</h1>{question}"
        f"{f'<p><strong>Source:</strong> {escape(source)}</p>' if source else ''}"
        f'<ul class="verdicts">{"".join(_verdicts(found))}</ul>'
        f'<p class="facts">{nodes} nodes · {escape(found.link)} · {clock} · seed {record["seed"]} · <code>{escape(found.name)}</code></p>'
        f"{notes}</header>"
    )


def _verdicts(found: Findings) -> list[str]:
    """Return the verdicts in a line each; what says it is the word, the colour only helps."""
    result = found.result
    if not result:
        return [_verdict("The run did not end: it has no result", "open")]
    claims = stated_claims(result)
    judged = [claim for claim in claims if claim.ok is not None]
    failed = sum(claim.ok is False for claim in judged)
    void = bool(reasons_of(result)) or not result.get("fidelity", {}).get("valid")
    broken = [name for name, ok in invariants_of(result).items() if not ok]
    said = [
        _verdict("Fidelity: void" if void else "Fidelity: valid", "bad" if void else "good"),
        _verdict(
            f"Claims: {failed} of {len(judged)} fail" if failed else f"Claims: all {len(judged)} hold",
            "bad" if failed else "good",
        )
        if judged
        else _verdict("Claims: none judged", "open"),
        _verdict(
            f"Invariants violated: {', '.join(broken)}" if broken else "Invariants of the bank: all hold",
            "bad" if broken else "good",
        ),
    ]
    return (
        [*said, _verdict("Interrupted: the results cover what was done until then", "open")]
        if result.get("interrupted")
        else said
    )


def _verdict(text: str, look: str) -> str:
    sign = {"good": "✓", "bad": "✗", "open": "•"}[look]
    return f'<li class="{look}"><span aria-hidden="true">{sign}</span> {escape(text)}</li>'


def _plots(found: Findings) -> str:
    legend = (
        '<p class="note">The panels of the dashboards, over the whole run. Solid lines are measured, dashed ones theory or '
        "configuration; dotted vertical marks are faults.</p>"
    )
    return (
        legend
        + _faults(found.marks)
        + "".join(
            f"<h3>{TITLES[name]}</h3>{_numbers(drawings)}{_figures(drawings, found.marks)}"
            for name, drawings in found.drawings.items()
            if drawings
        )
    )


def _faults(marks: Sequence[Mark]) -> str:
    """Tell the faults in their order: where they are many, the charts have no room for their names."""
    told = ", ".join(f"{mark.at_s:.1f} s {escape(mark.kind.replace('_', ' '))}" for mark in marks[:MOST_FAULTS])
    more = f" and {len(marks) - MOST_FAULTS:,} more" if len(marks) > MOST_FAULTS else ""
    return f'<p class="note">Faults: {told}{more}.</p>' if marks else ""


def _numbers(drawings: Sequence[Drawing]) -> str:
    tiles = [_tile(drawing) for drawing in drawings if drawing.panel.look == "stat"]
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def _tile(drawing: Drawing) -> str:
    panel = drawing.panel
    values = []
    lines = [line for line in drawing.lines if not math.isnan(line.last)]
    if len(lines) > MOST_IN_TILE:
        lines = [line for line in lines if line.last]
        values += [] if lines else ["<dd><b>0</b></dd>"]
    for line in lines:
        bad = (panel.limit is not None and line.last >= panel.limit) or (
            panel.bad_below is not None and line.last < panel.bad_below
        )
        name = f" <span>{escape(line.legend.replace('_', ' '))}</span>" if len(drawing.lines) > 1 else ""
        values.append(f"<dd{' class=bad' if bad else ''}><b>{escape(shown(line.last, panel.unit))}</b>{name}</dd>")
    told = "".join(values) or f"<dd>{escape(drawing.trouble or 'no data')}</dd>"
    many = ' class="many"' if len(values) > MANY else ""
    return f'<dl{many} title="{escape(panel.description, quote=True)}"><dt>{escape(panel.title)}</dt>{told}</dl>'


def _figures(drawings: Sequence[Drawing], marks: Sequence[Mark]) -> str:
    figures = [figure(drawing, marks) for drawing in drawings if drawing.panel.look != "stat"]
    return f'<div class="figures">{"".join(figures)}</div>' if figures else ""


def figure(drawing: Drawing, marks: Sequence[Mark]) -> str:
    """Return a panel as a figure: its lines over time, or its table at the end."""
    panel = drawing.panel
    caption = f"<figcaption><strong>{escape(panel.title)}.</strong> {_prose(panel.description)}</figcaption>"
    if not any(not math.isnan(line.last) for line in drawing.lines):
        return f'<figure>{caption}<p class="empty">{escape(drawing.trouble or "No data in this run.")}</p></figure>'
    if panel.look == "table":
        return f"<figure>{caption}{_cells(drawing)}</figure>"
    wide = ' class="broad"' if panel.width == COLUMNS else ""
    return f"<figure{wide}>{caption}{chart(drawing, marks)}{_legend(drawing)}</figure>"


def _cells(drawing: Drawing) -> str:
    """Return the values at the end as a table: a row for each set of labels that tell lines apart, a column for each query."""
    rows: dict[Labels, dict[int, str]] = {}
    for line in drawing.lines:
        told = tuple((name, value) for name, value in line.labels if name not in SCRAPED_LABELS)
        if not math.isnan(end := float(line.values[-1])):  # what ended before has no place in it
            rows.setdefault(told, {})[line.query] = escape(digits(end))
    queries = range(len(drawing.panel.queries))
    names = sorted({name for labels in rows for name, _ in labels})
    head = [*names, *(escape(query.legend) for query in drawing.panel.queries)]
    lines = [
        [*(escape(dict(labels).get(name, "")) for name in names), *(values.get(query, "–") for query in queries)]
        for labels, values in rows.items()
    ]
    return sections.table(head, lines, texts=len(names))


def _legend(drawing: Drawing) -> str:
    """Name the lines; a theory that has a measured line's colour is told once for all."""
    keys = []
    for line, colour in zip(drawing.lines, coloured(drawing.lines), strict=True):
        dash = ' stroke-dasharray="5 3"' if line.theory else ""
        swatch = f'<svg viewBox="0 0 22 8" aria-hidden="true"><path d="M0 4H22" stroke="{colour}" stroke-width="2"{dash}/></svg>'
        keys.append(f"<li>{swatch}{escape(line.legend)}</li>")
    if len(keys) > MOST_IN_LEGEND:
        return f'<p class="note">{len(keys)} lines.</p>'
    return f'<ul class="legend">{"".join(keys)}</ul>'


def _prose(text: str) -> str:
    """Return a text in which what is between backquotes is code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))
