"""Pure: what a store holds: series, label names, label values and descriptions, for a query editor to offer.

Series are told by the matchers they fulfil. Times only decide whether there is anything: a range in which nothing was scraped is empty.
"""

from __future__ import annotations

from collections.abc import Sequence

from promql_parser import VectorSelector

from scenarios.promql.errors import BadQuery
from scenarios.promql.labels import Labels, Matcher
from scenarios.promql.queries import parsed
from scenarios.promql.selectors import matchers_of
from scenarios.promql.store import SampleStore

Range = tuple[int, int]


def selectors(texts: Sequence[str]) -> list[tuple[Matcher, ...]]:
    """Return the matchers of some series selectors.

    Raises:
        BadQuery: one is no plain selector.
    """
    return [_selector(text) for text in texts]


def _selector(text: str) -> tuple[Matcher, ...]:
    tree = parsed(text)
    if not isinstance(tree, VectorSelector) or tree.offset is not None:
        raise BadQuery(f"{text!r} is no series selector")
    return matchers_of(tree)


def series(store: SampleStore, chosen: Sequence[tuple[Matcher, ...]], between_ms: Range) -> list[Labels]:
    """Return the label sets that any of the selectors accepts, in order; all of them without selectors."""
    first_ms, last_ms = store.bounds_ms()
    if last_ms < between_ms[0] or first_ms > between_ms[1] or first_ms > last_ms:
        return []
    numbers = {number for matchers in chosen or [()] for number in store.select(matchers).tolist()}
    return sorted(store.labels(number) for number in numbers)


def label_names(found: Sequence[Labels]) -> list[str]:
    """Return the names of the labels of some series, in order."""
    return sorted({name for labels in found for name, _ in labels})


def label_values(found: Sequence[Labels], name: str) -> list[str]:
    """Return the values that a label has in some series, in order."""
    return sorted({value for labels in found for key, value in labels if key == name})


def descriptions(store: SampleStore, *, metric: str, limit: int | None) -> dict[str, list[dict[str, str]]]:
    """Return type, help and unit of metric families: of one, or of at most `limit`."""
    known = sorted(store.descriptions.items())
    found = [(name, it) for name, it in known if not metric or name == metric][:limit]
    return {name: [{"type": it.kind, "help": it.help, "unit": it.unit}] for name, it in found}
