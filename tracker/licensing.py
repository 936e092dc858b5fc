"""trio: the tracker's counter for licences: providers put their repertoires on offer, servers buy.

Source: huberman-wu, section 2 (a content provider supplies a repertoire of files at a fixed price per file).
"""

from __future__ import annotations

from collections.abc import Callable

from netem.clock import Clock
from netem.errors import Rejection
from netem.events import Event
from tracker import messages as m
from tracker.bank.bank import Bank
from tracker.bank.movements import licence, offer
from tracker.bank.transactions import user_account
from tracker.events import LicenceSold
from tracker.market import Market
from tracker.membership import Member
from tracker.repertoire import Terms

OFFERS_PER_ANSWER = 4096  # a frame of 1 MiB holds several times as many


class Licensing:
    """Carry out the requests about repertoires; each raises `Rejection` for a legal no.

    Args:
        market: whose catalogue's repertoire this is; a licence is granted there once its payment is durable.
    """

    def __init__(
        self, market: Market, clock: Clock, *, bank: Bank, fee_credits: int, emit: Callable[[Event], None]
    ) -> None:
        self._market = market
        self._catalogue = market.catalogue
        self._repertoire = market.catalogue.repertoire
        self._clock = clock
        self._bank = bank
        self._fee_credits = fee_credits
        self._emit = emit

    def reserve(self, member: Member, message: m.Sell) -> int:
        """Return the index of a provider's file, the next free one for a new file, which from now on has these terms.

        Raises:
            Rejection: `other-terms`: it is there, free or another's or at another price.
        """
        terms = Terms(member.node, message.price_credits)
        is_new = not self._catalogue.has(message.manifest.root)
        index = self._catalogue.reserve(message.manifest)
        if is_new:  # at once, for nobody may hold it on other terms the moment it is known
            self._repertoire.add(index, terms)
        elif self._repertoire.terms(index) != terms:
            raise Rejection("other-terms", f"file {index}")
        return index

    async def enter(self, member: Member, message: m.Sell, *, index: int, board: int) -> None:
        """Return once a reserved file and its terms are durable."""
        await self._bank.apply(
            offer(
                message.manifest,
                index=index,
                provider=member.node,
                price_credits=message.price_credits,
                board=board,
                time_ns=self._clock.now_ns(),
            )
        )

    async def buy(self, member: Member, message: m.Buy, *, board: int) -> m.Licensed:
        """Sell a licence and return it once the payment is durable; one that was bought before costs nothing.

        Raises:
            Rejection: `unknown-file`, `not-for-sale`, or `insufficient`; nothing changed.
        """
        self._catalogue.manifest(message.index)  # refuses a file that there is not
        terms = self._repertoire.for_sale(message.index, to=member.node)
        payment = licence(
            message.index,
            buyer=user_account(member.node),
            provider=user_account(terms.provider),
            price_credits=terms.price_credits,
            board=board,
            time_ns=self._clock.now_ns(),
        )
        await self._bank.apply(payment)
        if self._repertoire.grant(message.index, member.node):
            self._emit(LicenceSold(member.node, message.index, terms.provider, terms.price_credits))
        return m.Licensed(message.index, terms.price_credits)

    def offers(self, member: Member, message: m.GetOffers) -> m.Offers:
        """Return what providers sell, and whether the asking node may serve it."""
        answer = []
        for index, terms in self._repertoire.files(message.first, len(self._catalogue))[:OFFERS_PER_ANSWER]:
            licensed = self._repertoire.may_serve(index, member.node)
            answer.append(m.Offer(index, terms.provider, terms.price_credits, licensed))
        share = self._market.prospect(member.node, now_ns=self._clock.now_ns())
        return m.Offers(answer, self._fee_credits, share)
