"""trio: the tracker's desk: carries out the requests of joined nodes, and settlements.

Source: DESIGN section 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from netem.clock import Clock, S
from netem.errors import InvariantViolation, Rejection
from netem.events import Event
from tracker import messages as m
from tracker.bank.bank import Bank
from tracker.bank.movements import close, hold, publish, settle
from tracker.bank.transactions import HoldMemo, user_account
from tracker.catalogue import Catalogue
from tracker.events import DownloadSettled, EquivocationSeen, FeeHeld, FileHeld, FileOffered, FilePublished
from tracker.identity import Identity
from tracker.licensing import Licensing
from tracker.market import Market, OpenDownload, Settlement
from tracker.membership import Member, Membership
from tracker.settlement import split_fee
from tracker.wire import encode_signed

SERVERS_TOLD = 64  # to one who asks for a file's servers: a download uses fewer, and an answer must fit a frame


@dataclass(frozen=True, slots=True)
class Terms:
    """What the tracker charges and grants: amounts in micro-credits, times in seconds.

    After a restart no download settles for `return_s`, so that its servers can come back and deposit their receipts again.
    """

    fee_credits: int = 1_000_000
    endowment_credits: int = 100_000_000
    hold_s: float = 600.0
    board_interval_s: float = 1.0
    member_timeout_s: float = 10.0
    return_s: float = 15.0
    floor: float = 1e-6


class Desk:
    """Answer requests; each private method handles one message type and raises `Rejection` for a legal no."""

    def __init__(
        self, identity: Identity, clock: Clock, *, terms: Terms, bank: Bank, emit: Callable[[Event], None]
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._terms = terms
        self._bank = bank
        self._emit = emit
        self._orders = 0
        self._publishing: dict[int, bytes] = {}  # by whom, of files that are not known yet
        self.board = 0
        self.catalogue = Catalogue()
        self.membership = Membership()
        self.market = Market(self.catalogue)
        self._licensing = Licensing(self.market, clock, bank=bank, fee_credits=terms.fee_credits, emit=emit)
        self._handlers: dict[type[m.Message], Callable[[Member, Any], Awaitable[m.Message]]] = {
            m.Publish: self._publish,
            m.GetCatalogue: self._get_catalogue,
            m.GetManifest: self._get_manifest,
            m.Hold: self._hold,
            m.Open: self._open,
            m.GetServers: self._get_servers,
            m.Close: self._close,
            m.GetBalance: self._get_balance,
            m.Sell: self._sell,
            m.Buy: self._buy,
            m.GetOffers: self._get_offers,
        }

    async def answer(self, member: Member, message: m.Message) -> m.Message:
        """Carry out a request; a legal no comes back as `Reject`."""
        handler = self._handlers.get(type(message), self._not_a_request)
        try:
            return await handler(member, message)
        except Rejection as no:
            if no.reason == "equivocation":
                self._emit(EquivocationSeen(member.node, no.detail))
            return m.Reject(no.reason, no.detail)

    async def settle(self, settlement: Settlement) -> None:
        """Pay the servers of a download and refund the rest; return once that is durable.

        Raises:
            InvariantViolation: the bank refuses it, so that tracker and ledger disagree about a hold.
        """
        download, totals = settlement.download, settlement.totals
        payouts, refund_credits = split_fee(download.fee_credits, size_bytes=download.size_bytes, totals=totals)
        transaction = settle(
            download.download,
            downloader=user_account(download.downloader),
            fee_credits=download.fee_credits,
            size_bytes=download.size_bytes,
            totals=totals,
            board=self.board,
            time_ns=self._clock.now_ns(),
        )
        try:
            await self._bank.apply(transaction)
        except Rejection as no:
            raise InvariantViolation(f"the bank refuses to settle {download.download.hex()}: {no}") from no
        self.market.settled(download, now_ns=self._clock.now_ns())
        self._emit(DownloadSettled(download.download, settlement.how, sorted(payouts.items()), refund_credits))

    async def _not_a_request(self, _member: Member, message: m.Message) -> m.Message:
        raise Rejection("not-a-request", type(message).__name__)

    async def _publish(self, member: Member, message: m.Publish) -> m.Message:
        manifest = message.manifest
        index = self.catalogue.reserve(manifest)
        self.catalogue.repertoire.check(index, member.node)
        # Also when another is publishing it right now: an index is told once it is durable.
        if index >= len(self.catalogue):
            self._publishing.setdefault(index, member.node)
            await self._bank.apply(publish(manifest, index=index, board=self.board, time_ns=self._clock.now_ns()))
        self._make_known(manifest)
        self._note_holding(member, index, holds=True)
        return m.Published(index)

    async def _sell(self, member: Member, message: m.Sell) -> m.Message:
        index = self._licensing.reserve(member, message)
        if index >= len(self.catalogue):
            self._publishing.setdefault(index, member.node)
            await self._licensing.enter(member, message, index=index, board=self.board)
        self._make_known(message.manifest)
        self._note_holding(member, index, holds=True)
        return m.Published(index)

    def _make_known(self, manifest: m.Manifest) -> None:
        """Let everybody know of a file that is durable, and of those before it: they are too, but their tasks may not have come to it."""
        known = len(self.catalogue)
        for new in range(known, self.catalogue.publish(manifest) + 1):
            file = self.catalogue.manifest(new)
            self._emit(FilePublished(new, file.name, file.size_bytes, file.root, self._publishing.pop(new)))
            if terms := self.catalogue.repertoire.terms(new):
                self._emit(FileOffered(new, terms.provider, terms.price_credits))

    async def _buy(self, member: Member, message: m.Buy) -> m.Message:
        return await self._licensing.buy(member, message, board=self.board)

    async def _get_offers(self, member: Member, message: m.GetOffers) -> m.Message:
        return self._licensing.offers(member, message)

    async def _get_catalogue(self, _member: Member, message: m.GetCatalogue) -> m.Message:
        return m.Catalogue(self.catalogue.entries(message.first))

    async def _get_manifest(self, _member: Member, message: m.GetManifest) -> m.Message:
        return self.catalogue.manifest(message.index)

    async def _hold(self, member: Member, message: m.Hold) -> m.Message:
        self._note_holding(member, message.index, holds=message.holds)
        return m.Ok()

    def _note_holding(self, member: Member, index: int, *, holds: bool) -> None:
        if self.catalogue.hold(member.node, index, holds=holds):
            self.market.declare(member.node, member.split, now_ns=self._clock.now_ns())
            self._emit(FileHeld(member.node, index, holds))

    async def _open(self, member: Member, message: m.Open) -> m.Message:
        download = self.market.downloads.get(message.download)
        if download is None and message.download not in self.market.closes:
            download = await self._hold_fee(member, message)
        # Whoever lost the answer with its connection asks again, and must not pay for a download that it cannot begin.
        elif download is None or (download.downloader, download.index, download.close) != (
            member.node,
            message.index,
            None,
        ):
            raise Rejection("download-id-reused")
        return m.Opened(
            self._order(member, download), download.fee_credits, self._servers(message.index, but=member.node)
        )

    async def _hold_fee(self, member: Member, message: m.Open) -> OpenDownload:
        manifest = self.catalogue.manifest(message.index)
        now_ns = self._clock.now_ns()
        expires_ns = now_ns + round(self._terms.hold_s * S)
        fee = self._terms.fee_credits
        account = user_account(member.node)
        await self._bank.apply(
            hold(
                message.download,
                account,
                fee,
                terms=HoldMemo(expires_ns, message.index, manifest.size_bytes, member.sign_key),
                board=self.board,
                time_ns=now_ns,
            )
        )
        download = OpenDownload(
            message.download,
            message.index,
            member.node,
            fee_credits=fee,
            size_bytes=manifest.size_bytes,
            expires_ns=expires_ns,
            settles_ns=expires_ns,
        )
        self.market.open(download, now_ns=self._clock.now_ns())
        self._emit(FeeHeld(message.download, message.index, member.node, fee))
        return download

    def _order(self, member: Member, download: OpenDownload) -> bytes:
        order = m.Order(
            download.download,
            download.index,
            member.node,
            member.sign_key,
            member.exchange_key,
            member.epoch,
            download.expires_ns,
        )
        self._orders += 1
        return encode_signed(order, identity=self._identity, to=m.EVERYBODY, seq=self._orders, board=self.board)

    async def _get_servers(self, member: Member, message: m.GetServers) -> m.Message:
        self.catalogue.manifest(message.index)  # refuses a file that there is not
        return m.Servers(self._servers(message.index, but=member.node))

    def _servers(self, index: int, *, but: bytes) -> list[m.Server]:
        """Return who serves a file, to a node that asks; of many, always the same as good as random few for that node."""
        nodes = [node for node in self.catalogue.servers(index) if node != but and self.membership.get(node)]
        if len(nodes) > SERVERS_TOLD:
            nodes = sorted(nodes, key=lambda node: hashlib.blake2b(but + node, digest_size=8).digest())[:SERVERS_TOLD]
        members = [self.membership.get(node) for node in nodes]
        return [m.Server(s.node, s.sign_key, s.exchange_key, s.epoch, s.host, s.port) for s in members if s is not None]

    async def _close(self, member: Member, message: m.Close) -> m.Message:
        now_ns = self._clock.now_ns()
        settles_ns = self.market.close(message, sender=member.node, now_ns=now_ns)
        # Said again, it must wait for the first to be durable.
        await self._bank.apply(close(message.download, dict(message.totals), board=self.board, time_ns=now_ns))
        return m.Closed(settles_ns)

    async def _get_balance(self, member: Member, _message: m.GetBalance) -> m.Message:
        account = user_account(member.node)
        return m.Balance(self._bank.ledger.balance(account), self._bank.ledger.held(account))
