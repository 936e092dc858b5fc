"""Pure: the repertoires of content providers: which files need a licence to be served, what it costs, and who has one.

Source: huberman-wu, section 2 (a content provider supplies a repertoire of files at a fixed price per file).
"""

from __future__ import annotations

from dataclasses import dataclass

from netem.errors import Rejection


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a file of a repertoire may be served: whose it is, and the price of a licence in micro-credits."""

    provider: bytes
    price_credits: int


class Repertoire:
    """The files that providers sell, and the licences they sold.

    A file that is not here is free for everybody to serve. Invariant: the terms of a file never change, a licence is never
    taken back.
    """

    __slots__ = ("_licences", "_terms")

    def __init__(self) -> None:
        self._terms: dict[int, Terms] = {}
        self._licences: set[tuple[int, bytes]] = set()

    def add(self, index: int, terms: Terms) -> None:
        """Note a provider's file."""
        self._terms[index] = terms

    def terms(self, index: int) -> Terms | None:
        """Return a file's terms; None for one that is free."""
        return self._terms.get(index)

    def files(self, first: int, end: int) -> list[tuple[int, Terms]]:
        """Return the files that providers sell, from index `first` to before `end`, ascending, with their terms."""
        return sorted(((i, terms) for i, terms in self._terms.items() if first <= i < end), key=lambda item: item[0])

    def for_sale(self, index: int, *, to: bytes) -> Terms:
        """Return the terms on which a node may buy a licence.

        Raises:
            Rejection: `not-for-sale`: it needs none, for the file is free or its own.
        """
        terms = self._terms.get(index)
        if terms is None:
            raise Rejection("not-for-sale", "anybody may serve it")
        if terms.provider == to:
            raise Rejection("not-for-sale", "its provider needs no licence")
        return terms

    def grant(self, index: int, node: bytes) -> bool:
        """Note that a node has bought a licence; say whether that is news."""
        news = (index, node) not in self._licences
        self._licences.add((index, node))
        return news

    def may_serve(self, index: int, node: bytes) -> bool:
        """Say whether a node may serve a file: it is free, its own, or licensed to it."""
        terms = self._terms.get(index)
        return terms is None or terms.provider == node or (index, node) in self._licences

    def check(self, index: int, node: bytes) -> None:
        """Raise `Rejection` (`no-licence`) unless a node may serve a file."""
        if not self.may_serve(index, node):
            raise Rejection("no-licence", f"file {index} is {self._terms[index].provider.hex()}'s")
