"""Pure: the sections of a report that are text and tables: claims, ledger, set-up, counts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from scenarios.claims import Claim
from scenarios.report.numbers import digits
from scenarios.report.stated import command_of, invariants_of, stated_claims
from tracker.bank.invariants import INVARIANTS
from tracker.bank.transactions import credits_text

if TYPE_CHECKING:
    from scenarios.report.books import Books

Told = Mapping[str, Any]
VERDICTS: dict[bool | None, tuple[str, str]] = {
    True: ("holds", "good"),
    False: ("FAILS", "bad"),
    None: ("not judged", "open"),
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1) -> str:
    """Return a table of cells that are HTML already; the first `texts` columns are text, the others numbers."""
    kinds = [' class="text"' if place < texts else "" for place in range(len(head))]
    top = "".join(f"<th{kind}>{cell}</th>" for kind, cell in zip(kinds, head, strict=True))
    lines = [
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    ]
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def verdict(ok: bool | None) -> str:
    """Return a verdict in a word, which a colour only helps."""
    word, look = VERDICTS[ok]
    return f'<span class="{look}">{word}</span>'


def claims_section(result: Told) -> str:
    """Return every claim: theory beside measurement."""
    claims = stated_claims(result)
    if not claims:
        return "<p>No claims were judged.</p>"
    rows = []
    for claim in claims:
        tolerance = "–" if claim.predicted is None else f"± {digits(claim.tolerance)}" if claim.tolerance else "exact"
        note = f'<br><span class="note">{escape(claim.note)}</span>' if claim.note else ""
        name = f"<strong>{escape(claim.name)}</strong>"
        about = f'{name}<br><span class="note">{escape(claim.source)}</span>{note}'
        numbers = escape(digits(claim.predicted)), escape(digits(claim.measured)), tolerance
        rows.append((about, *numbers, _deviation(claim), verdict(claim.ok)))
    head = ("Claim, source and note", "Predicted", "Measured", "Tolerance", "Deviation", "Verdict")
    legend = (
        '<p class="note">Deviation: the band is the tolerance, its middle the prediction, the dot the measurement. '
        "Tolerances come from the models, not from runs.</p>"
    )
    return table(head, rows) + legend


def _deviation(claim: Claim) -> str:
    """Draw a band for the tolerance, a dashed tick for the prediction and a dot for the measurement."""
    if not isinstance(claim.predicted, int | float) or not isinstance(claim.measured, int | float):
        return ""
    off = claim.measured - claim.predicted
    share = max(-2.0, min(2.0, off / claim.tolerance)) if off and claim.tolerance else 2.0 * ((off > 0) - (off < 0))
    told = f"{share:+.2f} tolerances" if claim.tolerance else "equal" if not off else "not equal"
    colour = "#007f5f" if claim.ok else "#b00020" if claim.ok is False else "#666"
    return (
        f'<svg class="deviation" viewBox="0 0 90 14" role="img" aria-label="{told}"><rect x="25" y="2" width="40" height="10" '
        f'rx="3" fill="#dfe3e8"/><path d="M45 0V14" stroke="#222" stroke-dasharray="3 2"/>'
        f'<circle cx="{45 + 20 * share:.1f}" cy="7" r="4" fill="{colour}"/></svg>'
    )


def ledger_section(result: Told, books: Books) -> str:
    """Return what the bank did, and its invariants."""
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(books.transactions.items()))
    money = [
        ("entered by mint", credits_text(books.minted)),
        ("fees held", credits_text(books.held)),
        ("paid to servers", credits_text(books.paid)),
        ("refunded", credits_text(books.refunded)),
        ("still held", credits_text(books.held - books.paid - books.refunded)),
    ]
    users = books.users
    accounts = [
        ("nodes' accounts", digits(len(users))),
        *(
            (name, credits_text(users[place]))
            for name, place in (("poorest", 0), ("median", len(users) // 2), ("richest", -1))
            if users
        ),
        ("transactions", digits(books.transactions.total())),
    ]
    verdicts = invariants_of(result)
    invariants = [(name, escape(text), verdict(verdicts.get(name))) for name, text in INVARIANTS.items()]
    trouble = f'<p><span class="bad">The ledger is damaged:</span> {escape(books.trouble)}</p>' if books.trouble else ""
    return (
        f'{trouble}<div class="columns">{table(("Credits", ""), money)}{table(("Accounts, in credits", ""), accounts)}</div>'
        f'<p class="note">Transactions by kind: {kinds or "none"}. Every one is in the journal; '
        f"<code>swarmbed why RUN_DIR ACCOUNT</code> explains an account, <code>swarmbed audit RUN_DIR</code> checks all again.</p>"
        + table(("Invariant", "What must hold", "Verdict"), invariants, texts=3)
    )


def setup_section(record: Told, about: Told) -> str:
    """Return the parameters, those that were changed marked, and the command that repeats the run."""
    params, described = record["params"], about.get("params", {})
    changed = [key for key in params if key in described and params[key] != described[key].get("default")]
    rows = []
    for key, value in params.items():
        row = described.get(key, {})
        unit = row.get("unit", "")
        text = f"{escape(digits(value) or '–')}{f' {escape(unit)}' if unit not in {'', '1'} else ''}"
        was = escape(digits(row.get("default"))) if key in changed else ""
        name = f"<code>{escape(key)}</code>"
        rows.append(
            (
                f"<strong>{name} ●</strong>" if key in changed else name,
                f"<strong>{text}</strong>" if key in changed else text,
                was,
                escape(row.get("description", "")),
            )
        )
    content = record.get("content", {})
    files = content.get("files", [])
    shared = (
        f"{len(files)} files, {digits(content.get('bytes'))} bytes: {escape(str(content.get('source', '')))}"
        if files
        else "unknown"
    )
    own = "".join(
        f'<li><code>{escape(str(file["path"]))}</code>, SHA-256 <code class="hash">{escape(str(file["sha256"]))}</code></li>'
        for file in record.get("own_code", ())
    )
    command = shlex.join(command_of(record, changed if described else list(params)))
    return (
        f"<p>To run it again:</p><pre><code>{escape(command)}</code></pre>"
        f"<p>Content shared: {shared}.</p>{f'<p>Own code:</p><ul>{own}</ul>' if own else ''}"
        + _with_text_last(("Parameter (● changed)", "Value", "Default, if changed", "What it is"), rows)
    )


def counts_section(record: Told, result: Told) -> str:
    """Return what was counted, and with which versions."""
    counts = [(escape(words(key)), digits(number)) for key, number in result.get("counts", {}).items() if number]
    versions = [(escape(name), escape(str(version))) for name, version in record.get("versions", {}).items()]
    tables = table(("Counts", ""), counts), table(("Versions", ""), versions, texts=2)
    return (
        f'<div class="columns">{"".join(tables)}</div><p>Platform: {escape(str(record.get("platform", "unknown")))}.</p>'
        f'<p>Digest of the run: <code class="hash">{escape(str(result.get("digest", "none")))}</code></p>'
    )


def _with_text_last(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return table(head, rows).replace("<table>", '<table class="last-text">', 1)


def words(name: str) -> str:
    """Return a key as words, with its unit in brackets."""
    return re.sub(r" s$", " (s)", name.replace("_", " "))
