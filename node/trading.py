"""trio: a server's dealings with content providers: it buys licences, and keeps its finite store stocked by its storage policy.

Source: huberman-wu, section 2 (a server can only store and serve a small subset of a repertoire, and chooses it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import trio

from netem.errors import Rejection
from netem.events import Event
from node.bidding import Bidding
from node.events import LicenceBought
from node.shelving import Market, Room, shelf_of
from node.storage.base import Storage
from node.tracker_link import ANSWER_S, TrackerLink
from tracker import messages as m


class Restocked(msgspec.Struct, frozen=True, array_like=True):
    """What a server bought, fetched and serves now, and what it dropped, in order."""

    got: list[int]
    dropped: list[int]


class Files(Protocol):
    """The files of a node; see `Peer`."""

    node: bytes

    def has(self, index: int) -> bool:
        """Tell whether the node has a file, served or kept."""
        ...

    def may_take(self, index: int) -> bool:
        """Tell whether the node could serve a file that it does not serve."""
        ...

    def stored(self) -> Mapping[int, int]:
        """Return the sizes in bytes of what was downloaded and is served, by index, the oldest first."""
        ...

    async def fetch(self, index: int, *, serve: bool) -> m.Manifest:
        """Download a file, then serve it or keep it."""
        ...

    async def serve(self, index: int) -> None:
        """Serve a file that is kept."""
        ...

    async def drop(self, index: int) -> None:
        """Delete a file."""
        ...


class Trading:
    """Buy and stock for one node, for one boot.

    Args:
        own: the node's files.
        storage: decides what it stores.
        bidding: knows the odds and p.
        emit: takes the events.
    """

    def __init__(
        self, own: Files, storage: Storage, *, link: TrackerLink, bidding: Bidding, emit: Callable[[Event], None]
    ) -> None:
        self._own = own
        self._storage = storage
        self._link = link
        self._bidding = bidding
        self._emit = emit
        self._files: list[m.Entry] = []  # of the catalogue, as far as it was asked for

    async def buy(self, index: int) -> int:
        """Buy the licence to serve a file and return its price, micro-credits; asked again, it costs nothing.

        Raises:
            Rejection: `insufficient`, `not-for-sale` or `unknown-file`: nothing was paid; `no-answer`: ask again to find out.
        """
        # Cancelled half-way, it would be paid without this node's knowing: so a purchase is seen through.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + ANSWER_S):
            licensed = await self._link.ask(m.Buy(index), m.Licensed)
            self._emit(LicenceBought(self._own.node, index, licensed.price_credits))
            return licensed.price_credits
        raise Rejection("no-answer")

    async def offers(self) -> m.Offers:
        """Return all that providers sell."""
        answer = await self._link.ask(m.GetOffers(), m.Offers)
        files = list(answer.files)
        while answer.files:
            answer = await self._link.ask(m.GetOffers(files[-1].index + 1), m.Offers)
            files += answer.files
        return m.Offers(files, answer.fee_credits, answer.share)

    def surplus(self, room: Room, stored: Mapping[int, int]) -> tuple[int, ...]:
        """Return which of the stored files (sizes by index, the oldest first) are to go, in order, until the others have room."""
        return self._storage.plan(shelf_of(self._bidding, room, stored=stored)).evict

    async def restock(self, room: Room) -> Restocked:
        """Drop what has no room, then make the best purchase there is: buy, fetch, drop what makes way, and serve.

        Others may have got the file meanwhile. What was paid is gone then, and so is the copy if its place earns less than what would
        have to make way.

        Raises:
            Rejection: the purchase or the download failed (see `buy` and `Peer.fetch`); a licence that was bought stays.
        """
        own = self._own
        prices, market = await self._survey()
        plan = self._storage.plan(shelf_of(self._bidding, room, stored=own.stored(), market=market))
        dropped = await self._drop_all(plan.evict)
        if not plan.purchases:
            return Restocked([], dropped)
        wanted = plan.purchases[0].file
        if wanted in prices:
            await self.buy(wanted)
        if not own.has(wanted):
            await own.fetch(wanted, serve=False)
        only = msgspec.structs.replace(market, absent={wanted: market.absent[wanted]}, costs={wanted: 0})
        plan = self._storage.plan(shelf_of(self._bidding, room, stored=own.stored(), market=only))
        if not plan.purchases:
            await own.drop(wanted)
            return Restocked([], dropped)
        dropped += await self._drop_all([*plan.evict, *plan.purchases[0].evict])
        await own.serve(wanted)
        return Restocked([wanted], dropped)

    async def _drop_all(self, files: Sequence[int]) -> list[int]:
        for index in files:
            await self._own.drop(index)
        return list(files)

    async def _survey(self) -> tuple[dict[int, int], Market]:
        """Return the prices of the licences that this node lacks, by file index, and what it can buy."""
        while files := (await self._link.ask(m.GetCatalogue(len(self._files)), m.Catalogue)).files:
            self._files += files
        offers = await self.offers()
        purse = await self._link.ask(m.GetBalance(), m.Balance)
        prices = {offer.index: offer.price_credits for offer in offers.files if not offer.licensed}
        fee_credits, own = offers.fee_credits, self._own
        absent = {file.index: file.size_bytes for file in self._files if own.may_take(file.index)}
        costs = {index: prices.get(index, 0) + (0 if own.has(index) else fee_credits) for index in absent}
        return prices, Market(absent, costs, fee_credits, offers.share, purse.free_credits)
