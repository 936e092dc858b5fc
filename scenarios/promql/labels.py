"""Pure: label sets, and the matchers that select them.

A label set is a tuple of (name, value) pairs in the order of the names; the metric's name is the label `__name__`. An absent label
and an empty one are the same thing, so empty values are never stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import re2

from scenarios.promql.errors import BadQuery

NAME = "__name__"

Labels = tuple[tuple[str, str], ...]


class Match(Protocol):
    """A successful match of a regular expression."""

    def group(self, group: int | str, /) -> str | None:
        """Return what a group matched, None where it took no part."""


class Pattern(Protocol):
    """A compiled RE2 expression."""

    groups: int
    groupindex: Mapping[str, int]

    def fullmatch(self, text: str, /) -> Match | None:
        """Return the match of the whole text, or None."""


def labels_of(pairs: Mapping[str, str]) -> Labels:
    """Return the label set of a mapping; pairs with an empty value are left out."""
    return tuple(sorted((name, value) for name, value in pairs.items() if value))


def keep(labels: Labels, names: Collection[str]) -> Labels:
    """Return the labels that are named."""
    return tuple(pair for pair in labels if pair[0] in names)


def drop(labels: Labels, names: Collection[str]) -> Labels:
    """Return the labels that are not named."""
    return tuple(pair for pair in labels if pair[0] not in names)


def without_name(labels: Labels) -> Labels:
    """Return the labels less the metric's name, which most operations drop because they change what the number means."""
    return tuple(pair for pair in labels if pair[0] != NAME)


def replaced(labels: Labels, name: str, value: str) -> Labels:
    """Return the labels with one of them set, or removed where the value is empty."""
    return labels_of({**dict(labels), name: value})


@lru_cache(maxsize=256)
def pattern(expression: str) -> Pattern:
    """Return a compiled RE2 expression, the syntax of Prometheus: matching takes linear time whatever the expression.

    Raises:
        BadQuery: it is no RE2 expression.
    """
    quiet = re2.Options()
    quiet.log_errors = False
    try:
        compiled: Pattern = re2.compile(expression, quiet)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise BadQuery(f"{expression!r} is no RE2 expression: {_text(reason)}") from error
    return compiled


def _text(reason: object) -> str:
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label: `op` is `=`, `!=`, `=~` or `!~`; expressions match the whole value, an absent label is empty."""

    name: str
    op: str
    value: str

    def accepts(self, value: str) -> bool:
        """Tell whether a value of the label fulfils the condition.

        Raises:
            BadQuery: the condition is no RE2 expression.
        """
        match self.op:
            case "=":
                return value == self.value
            case "!=":
                return value != self.value
            case "=~":
                return pattern(self.value).fullmatch(value) is not None
            case _:
                return pattern(self.value).fullmatch(value) is None


def accepted(labels: Labels, matchers: Iterable[Matcher]) -> bool:
    """Tell whether a label set fulfils all conditions."""
    values = dict(labels)
    return all(matcher.accepts(values.get(matcher.name, "")) for matcher in matchers)
