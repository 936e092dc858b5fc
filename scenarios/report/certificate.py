"""Pure: the section of a report that is the fidelity certificate, as result.json states it, and whatever else is in it.

Source: DESIGN section 3 (fidelity is certified).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from scenarios.report.numbers import digits
from scenarios.report.sections import Told, table, verdict, words
from scenarios.report.stated import reasons_of

_MOST_OF_A_LIST = 12
_MOST_CONFIGURATIONS = 6
_FATES = ("sent", "copies", "delivered", "in_flight", "missing")
_CHECKED_S = ("lateness_p50_s", "lateness_p99_s", "lag_p50_s", "lag_p99_s", "lag_max_s")
_KNOWN = frozenset({"valid", "reasons", "dropped", *_FATES, *_CHECKED_S})


def fidelity_section(result: Told) -> str:
    """Return the certificate: whether the network was what it was told to be, and the host could keep up."""
    told = result.get("fidelity", {})
    if not told:
        return "<p>The run has no certificate.</p>"
    overall = {name: part for name, part in told.items() if _is_judged(part)}
    links = told.get("links")
    by_link = _configurations(links) if isinstance(links, Mapping) and "configurations" in links else ""
    shown = {*_KNOWN, *overall, *(["links"] if by_link else [])}
    rest = {key: value for key, value in told.items() if key not in shown}
    head = ("Over all links", "Configured", "Realised", "Allowed", "Datagrams", "Verdict")
    rows = [_row(name, part, digits(part.get("packets"))) for name, part in overall.items()]
    return f"{_lead(result)}{table(head, rows) if rows else ''}{_counts(told)}{by_link}{_plain(rest)}"


def _lead(result: Told) -> str:
    reasons = reasons_of(result)
    if not reasons and result["fidelity"].get("valid"):
        return '<p><span class="good">Valid.</span> Packets are conserved, links did what they were told, and the host kept up.</p>'
    more = [f"and {len(reasons) - _MOST_OF_A_LIST} more"] if len(reasons) > _MOST_OF_A_LIST else []
    told = "".join(f"<li>{escape(reason)}</li>" for reason in (*reasons[:_MOST_OF_A_LIST], *more))
    return f'<p><span class="bad">The run is void.</span> Nothing follows from its numbers:</p><ul>{told}</ul>'


def _counts(told: Told) -> str:
    """Return what became of the datagrams, and how late the host was."""
    dropped = told.get("dropped")
    causes = dropped.items() if isinstance(dropped, Mapping) else ()
    drops = [(escape(words(cause)), digits(number)) for cause, number in causes if number]
    fates = [(escape(words(key)), digits(told[key])) for key in _FATES if key in told]
    host = [(escape(words(key.removesuffix("_s"))), _ms(told[key])) for key in _CHECKED_S if key in told]
    tables = (
        table(("Datagrams", ""), fates),
        table(("Dropped, by cause", ""), drops or [("none", "0")]),
        table(("The host (99th percentiles at most 10 ms)", ""), host),
    )
    return f'<div class="columns">{"".join(tables)}</div>'


def _configurations(links: Told) -> str:
    """Return what each configuration's links did together, and every single link that failed."""
    parts = [
        (
            f"<p>{digits(links.get('count'))} links, judged in one family of {digits(links.get('tests'))} tests: each at level "
            f"{digits(links.get('level'))}.</p>"
        )
    ]
    configurations = [one for one in links["configurations"] if isinstance(one, Mapping)]
    head = ("Quantity", "Configured", "Realised", "Allowed", "Verdict")
    for one in configurations[:_MOST_CONFIGURATIONS]:
        rows = [_row(name, part) for name, part in one.items() if _is_judged(part)]
        left = [
            f"{escape(words(name))} ({escape(str(part.get('why', '')))})"
            for name, part in one.items()
            if isinstance(part, Mapping) and not _is_judged(part)
        ]
        title = f"{escape(str(one.get('impair', '')))}: {digits(one.get('links'))} links, {digits(one.get('packets'))} datagrams"
        parts.append(f"<h3>{title}</h3>{table(head, rows)}")
        parts.append(f'<p class="note">Not judged: {", ".join(left)}.</p>' if left else "")
    if len(configurations) > _MOST_CONFIGURATIONS:
        parts.append(f'<p class="note">And {len(configurations) - _MOST_CONFIGURATIONS} more configurations.</p>')
    failed = list(_failed(links))
    if failed:
        parts.append(f"<h3>Links that failed</h3>{table(head, failed[:_MOST_OF_A_LIST])}")
    return "".join(parts)


def _failed(links: Told) -> Iterator[tuple[str, ...]]:
    for link in (*links.get("each", ()), *links.get("worst", ())):
        for name, part in link.items():
            if _is_judged(part) and part.get("ok") is False:
                yield _row(f"{link.get('source')} → {link.get('target')}: {words(name)}", part)


def _is_judged(part: object) -> bool:
    return isinstance(part, Mapping) and {"configured", "realised"} <= part.keys()


def _row(name: str, part: Told, *more: str) -> tuple[str, ...]:
    bounds = (
        f"{digits(part['low'])} to {digits(part['high'])}"
        if {"low", "high"} <= part.keys()
        else f"± {digits(part.get('tolerance'))}"
    )
    ok = part.get("ok")
    numbers = escape(digits(part["configured"])), escape(digits(part["realised"])), escape(bounds)
    return escape(words(name)), *numbers, *more, verdict(ok if isinstance(ok, bool) else None)


def _plain(rest: Told) -> str:
    """Tell of whatever else a certificate holds, in any shape."""
    told = [f"{escape(words(key))}: {_brief(value)}" for key, value in rest.items()]
    return f'<p class="note">{"; ".join(told)}.</p>' if told else ""


def _brief(value: Any) -> str:
    if isinstance(value, Mapping):
        parts = [f"{escape(words(str(key)))} {_brief(part)}" for key, part in list(value.items())[:_MOST_OF_A_LIST]]
    elif isinstance(value, list | tuple):
        parts = [_brief(part) for part in value[:_MOST_OF_A_LIST]]
    else:
        return escape(digits(value))
    more = len(value) - len(parts)
    return f"({', '.join(parts)}{f', and {more} more' if more else ''})" if parts else "none"


def _ms(value: Any) -> str:
    return f"{1000 * value:,.2f} ms" if isinstance(value, int | float) else digits(value)
