"""The desk, with a bank that only remembers: requests of one member and what it answers."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from netem.clock import S
from netem.errors import InvariantViolation, Rejection
from tracker import messages as m
from tracker.bank.transactions import HoldMemo, LicenceMemo, OfferMemo, SettleMemo, user_account
from tracker.catalogue import ENTRIES_PER_ANSWER
from tracker.desk import Desk, Terms
from tracker.events import DownloadSettled, FeeHeld, FileHeld, FileOffered, FilePublished, LicenceSold
from tracker.identity import Identity
from tracker.manifest import manifest_root, piece_count
from tracker.wire import open_signed

TRACKER = Identity(bytes([9]) * 32, epoch=1)
D = b"d" * 16
FEE = 100
PRICE = 250


class FakeBank:
    """A bank that does whatever it is told, or refuses."""

    def __init__(self):
        self.applied, self.refusal = [], None

    async def apply(self, transaction):
        if self.refusal:
            raise Rejection(self.refusal)
        self.applied.append(transaction)


class FakeClock:
    ns = 1_000 * S

    def now_ns(self):
        return self.ns


class Scene:
    def __init__(self):
        self.bank, self.events, self.clock = FakeBank(), [], FakeClock()
        terms = Terms(fee_credits=FEE, hold_s=60)
        self.desk = Desk(TRACKER, self.clock, terms=terms, bank=self.bank, emit=self.events.append)

    def member(self, number, *, epoch=1):
        who = Identity(bytes([number]) * 32, epoch=epoch)
        join = m.Join(who.sign_key, who.exchange_key, f"host {number}", number, 1_000.0)
        member = self.desk.membership.join(join, epoch=epoch, now_ns=self.clock.ns)
        self.desk.market.rates.admit(member.node, claimed_bytes_per_s=1_000.0, now_ns=self.clock.ns)
        return member

    async def holding(self, number, manifest):
        member = self.member(number)
        await self.desk.answer(member, m.Publish(manifest))
        return member


def manifest(number=0, size_bytes=10):
    name, pieces = f"f{number}", [bytes(32)] * piece_count(size_bytes)
    return m.Manifest(name, size_bytes, pieces, manifest_root(name, size_bytes, pieces))


async def test_a_file_is_published_once_and_keeps_its_index():
    scene = Scene()
    a, b = scene.member(1), scene.member(2)
    answers = [await scene.desk.answer(who, m.Publish(manifest(number))) for who, number in ((a, 0), (b, 1), (b, 0))]
    assert [answer.index for answer in answers] == [0, 1, 0]
    assert [(e.index, e.by) for e in scene.events if isinstance(e, FilePublished)] == [(0, a.node), (1, b.node)]
    # Who publishes holds.
    held = [(e.index, e.node) for e in scene.events if isinstance(e, FileHeld)]
    assert held == [(0, a.node), (1, b.node), (0, b.node)]
    assert await scene.desk.answer(a, m.GetManifest(1)) == manifest(1)


async def test_files_published_at_the_same_time_are_all_told_whoever_goes_on_first():
    scene = Scene()
    a, b = scene.member(1), scene.member(2)
    durable = [trio.Event(), trio.Event()]
    calls = iter(durable)
    scene.bank.apply = lambda _: next(calls).wait()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.desk.answer, a, m.Publish(manifest(0)))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(scene.desk.answer, b, m.Publish(manifest(1)))
        await trio.testing.wait_all_tasks_blocked()
        durable[1].set()
        await trio.testing.wait_all_tasks_blocked()
        assert len(scene.desk.catalogue) == 2
        durable[0].set()
    published = sorted((e.index, e.name, e.by) for e in scene.events if isinstance(e, FilePublished))
    assert published == [(0, "f0", a.node), (1, "f1", b.node)]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (m.GetManifest(5), "unknown-file"),
        (m.Hold(5, holds=True), "unknown-file"),
        (m.Open(D, 5), "unknown-file"),
        (m.GetServers(5), "unknown-file"),
        (m.Close(D, []), "unknown-download"),
        (m.Publish(m.Manifest("f", 10, [], bytes(32))), "bad-manifest"),
        (m.Ok(), "not-a-request"),
    ],
)
async def test_a_legal_no_carries_its_reason(request_, reason):
    scene = Scene()
    assert (await scene.desk.answer(scene.member(1), request_)).reason == reason
    assert scene.events == []
    assert scene.bank.applied == []


async def test_the_catalogue_is_read_in_parts():
    scene = Scene()
    member = scene.member(1)
    for number in range(ENTRIES_PER_ANSWER + 3):
        await scene.desk.answer(member, m.Publish(manifest(number)))
    files = []
    while part := (await scene.desk.answer(member, m.GetCatalogue(len(files)))).files:
        files += part
    assert [file.index for file in files] == list(range(ENTRIES_PER_ANSWER + 3))


async def test_servers_are_the_members_that_hold_a_file_but_the_one_that_asks():
    scene = Scene()
    a, b, c = [await scene.holding(number, manifest()) for number in (1, 2, 3)]
    scene.desk.membership.leave(c.node)
    answer = await scene.desk.answer(a, m.GetServers(0))
    assert answer.servers == [m.Server(b.node, b.sign_key, b.exchange_key, 1, "host 2", 2)]
    await scene.desk.answer(b, m.Hold(0, holds=False))
    assert (await scene.desk.answer(a, m.GetServers(0))).servers == []
    assert [event.holds for event in scene.events if isinstance(event, FileHeld)] == [True, True, True, False]


async def test_saying_again_that_a_file_is_held_is_no_news():
    scene = Scene()
    a = await scene.holding(1, manifest())
    assert await scene.desk.answer(a, m.Hold(0, holds=True)) == m.Ok()
    assert len([event for event in scene.events if isinstance(event, FileHeld)]) == 1


async def test_an_order_names_the_downloader_and_its_keys_and_when_the_hold_ends():
    scene = Scene()
    seller, buyer = await scene.holding(1, manifest()), scene.member(2, epoch=4)
    opened = await scene.desk.answer(buyer, m.Open(D, 0))
    assert open_signed(opened.order, TRACKER.sign_key) == m.Order(
        D, 0, buyer.node, buyer.sign_key, buyer.exchange_key, 4, scene.clock.ns + 60 * S
    )
    assert [server.node for server in opened.servers] == [seller.node]
    assert scene.bank.applied[-1].memo == HoldMemo(scene.clock.ns + 60 * S, 0, 10, buyer.sign_key)
    assert isinstance(scene.events[-1], FeeHeld)


async def test_a_fee_that_the_bank_refuses_opens_nothing():
    scene = Scene()
    buyer = scene.member(2)
    await scene.holding(1, manifest())
    scene.bank.refusal = "insufficient"
    assert (await scene.desk.answer(buyer, m.Open(D, 0))).reason == "insufficient"
    assert scene.desk.market.downloads == {}
    scene.bank.refusal = None
    assert isinstance(await scene.desk.answer(buyer, m.Open(D, 0)), m.Opened)


async def test_settling_pays_by_the_totals_and_forgets_the_download():
    scene = Scene()
    seller, buyer = await scene.holding(1, manifest()), scene.member(2)
    await scene.desk.answer(buyer, m.Open(D, 0))
    await scene.desk.answer(buyer, m.Close(D, [(seller.node, 4)]))
    (settlement,) = scene.desk.market.due(scene.clock.ns + 3 * S)
    await scene.desk.settle(settlement)
    assert scene.events[-1] == DownloadSettled(D, "close", [(seller.node, 40)], 60)
    assert scene.bank.applied[-1].memo == SettleMemo(FEE, 10, ((seller.node, 4),))
    assert scene.desk.market.downloads == {}


async def test_a_settlement_that_the_bank_refuses_breaks_an_invariant_and_is_no_legal_no():
    scene = Scene()
    await scene.holding(1, manifest())
    await scene.desk.answer(scene.member(2), m.Open(D, 0))
    (settlement,) = scene.desk.market.due(scene.clock.ns + 60 * S)
    scene.bank.refusal = "unknown-hold"
    with pytest.raises(InvariantViolation, match="refuses to settle"):
        await scene.desk.settle(settlement)


async def test_a_close_that_comes_while_its_hold_is_settled_by_expiry_is_refused_and_not_promised():
    scene = Scene()
    seller, buyer = await scene.holding(1, manifest()), scene.member(2)
    await scene.desk.answer(buyer, m.Open(D, 0))
    (settlement,) = scene.desk.market.due(scene.clock.ns + 60 * S)
    applied = len(scene.bank.applied)
    for _ in range(2):
        assert (await scene.desk.answer(buyer, m.Close(D, [(seller.node, 4)]))).reason == "already-settled"
    assert len(scene.bank.applied) == applied
    await scene.desk.settle(settlement)
    assert scene.bank.applied[-1].memo == SettleMemo(FEE, 10, ())


async def test_a_close_and_a_file_are_told_when_the_bank_has_them_and_not_before():
    scene = Scene()
    seller, buyer = await scene.holding(1, manifest()), scene.member(2)
    await scene.desk.answer(buyer, m.Open(D, 0))
    scene.bank.refusal = "out-of-order"
    assert (await scene.desk.answer(buyer, m.Close(D, [(seller.node, 4)]))).reason == "out-of-order"
    assert (await scene.desk.answer(seller, m.Publish(manifest(1)))).reason == "out-of-order"
    assert len((await scene.desk.answer(buyer, m.GetCatalogue())).files) == 1
    assert (await scene.desk.answer(buyer, m.GetManifest(1))).reason == "unknown-file"


# -- repertoires -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def scene():
    return Scene()


async def provider_of(scene, *numbers, who=9):
    member = scene.member(who)
    for number in numbers:
        await scene.desk.answer(member, m.Sell(manifest(number), PRICE))
    return member


def holders(scene, index=0):
    return scene.desk.catalogue.servers(index)


async def test_a_provider_offers_and_holds_a_file_on_terms_that_never_change(scene):
    provider, other = await provider_of(scene, 0), scene.member(1)
    assert scene.bank.applied[-1].memo == OfferMemo(0, manifest(), provider.node, PRICE)
    assert [type(event) for event in scene.events] == [FilePublished, FileOffered, FileHeld]
    assert await scene.desk.answer(provider, m.Sell(manifest(), PRICE)) == m.Published(0)  # its answer was lost
    for who, price in ((provider, PRICE + 1), (other, PRICE)):
        assert (await scene.desk.answer(who, m.Sell(manifest(), price))).reason == "other-terms"
    assert len(scene.bank.applied) == 1
    await scene.desk.answer(other, m.Publish(manifest(1)))
    assert (await scene.desk.answer(provider, m.Sell(manifest(1), PRICE))).reason == "other-terms"


async def test_a_server_without_a_licence_holds_nothing_bids_nothing_and_is_named_to_nobody(scene):
    provider, pirate, buyer = await provider_of(scene, 0), scene.member(1), scene.member(2)
    pirate.split = {0: 1.0}
    assert (await scene.desk.answer(pirate, m.Hold(0, holds=True))).reason == "no-licence"
    assert (await scene.desk.answer(pirate, m.Publish(manifest()))).reason == "no-licence"
    scene.desk.market.declare(pirate.node, {0: 1.0}, now_ns=scene.clock.ns)
    assert scene.desk.market.splits[pirate.node] == {}
    assert holders(scene) == [provider.node]
    opened = await scene.desk.answer(buyer, m.Open(D, 0))  # a downloader needs no licence
    assert [server.node for server in opened.servers] == [provider.node]
    assert [event.node for event in scene.events if isinstance(event, FileHeld)] == [provider.node]


async def test_who_has_paid_may_hold_and_pays_once(scene):
    provider, server = await provider_of(scene, 0), scene.member(1)
    for _ in range(2):
        assert await scene.desk.answer(server, m.Buy(0)) == m.Licensed(0, PRICE)
    payment = scene.bank.applied[1]
    assert payment.memo == LicenceMemo(0)
    accounts = [user_account(node) for node in (server.node, provider.node)]
    assert [(leg.account, leg.amount_credits) for leg in payment.postings] == [
        (accounts[0], -PRICE),
        (accounts[1], PRICE),
    ]
    assert {transaction.id for transaction in scene.bank.applied[1:]} == {payment.id}  # the bank takes it once
    sold = [event for event in scene.events if isinstance(event, LicenceSold)]
    assert sold == [LicenceSold(server.node, 0, provider.node, PRICE)]
    assert await scene.desk.answer(server, m.Hold(0, holds=True)) == m.Ok()
    assert holders(scene) == sorted([provider.node, server.node])


async def test_a_licence_that_the_bank_refuses_is_not_granted(scene):
    await provider_of(scene, 0)
    server = scene.member(1)
    scene.bank.refusal = "insufficient"
    assert (await scene.desk.answer(server, m.Buy(0))).reason == "insufficient"
    assert (await scene.desk.answer(server, m.Hold(0, holds=True))).reason == "no-licence"
    assert not [event for event in scene.events if isinstance(event, LicenceSold)]


async def test_what_needs_no_licence_is_not_for_sale(scene):
    provider = await provider_of(scene, 0)
    await scene.holding(1, manifest(1))
    assert (await scene.desk.answer(provider, m.Buy(0))).reason == "not-for-sale"
    assert (await scene.desk.answer(provider, m.Buy(1))).reason == "not-for-sale"
    assert (await scene.desk.answer(provider, m.Buy(5))).reason == "unknown-file"


async def test_offers_say_the_price_who_sells_and_whether_it_is_licensed_and_what_a_price_is_weighed_against(scene):
    provider, server = await provider_of(scene, 0, 1), scene.member(1)
    await scene.holding(2, manifest(2))
    await scene.desk.answer(server, m.Buy(1))
    answer = await scene.desk.answer(server, m.GetOffers())
    assert answer.files == [m.Offer(0, provider.node, PRICE, False), m.Offer(1, provider.node, PRICE, True)]
    assert answer.fee_credits == 100
    assert answer.share == 1.0  # nobody bids yet
    assert [offer.index for offer in (await scene.desk.answer(server, m.GetOffers(1))).files] == [1]
    assert all(offer.licensed for offer in (await scene.desk.answer(provider, m.GetOffers())).files)
    provider.split = {0: 0.5, 1: 0.5}
    scene.desk.market.declare(provider.node, provider.split, now_ns=scene.clock.ns)
    assert (await scene.desk.answer(server, m.GetOffers())).share == 0.5


async def test_an_offer_that_is_not_durable_is_unknown(scene):
    provider = scene.member(1)
    scene.bank.refusal = "out-of-order"
    assert (await scene.desk.answer(provider, m.Sell(manifest(), PRICE))).reason == "out-of-order"
    assert (await scene.desk.answer(provider, m.GetOffers())).files == []
    assert (await scene.desk.answer(provider, m.Hold(0, holds=True))).reason == "unknown-file"


class LastFirst(FakeBank):
    """A bank in which three transactions are durable at once, and who asked last hears of it first."""

    def __init__(self):
        super().__init__()
        self.waiting = []

    async def apply(self, transaction):
        heard = trio.Event()
        self.waiting.append(heard)
        if len(self.waiting) == 3:
            self.waiting.pop().set()
        await heard.wait()
        await trio.testing.wait_all_tasks_blocked()
        await super().apply(transaction)


async def test_files_are_told_in_order_by_whom_and_at_what_price_whoever_hears_first_that_they_are_durable(scene):
    bank = scene.bank = LastFirst()
    scene.desk = Desk(TRACKER, scene.clock, terms=Terms(), bank=bank, emit=scene.events.append)
    members = [scene.member(number) for number in (1, 2, 3)]
    asked = [m.Publish(manifest(0)), m.Sell(manifest(1), PRICE), m.Publish(manifest(2))]
    async with trio.open_nursery() as nursery:
        for member, message in zip(members, asked, strict=True):
            nursery.start_soon(scene.desk.answer, member, message)
            await trio.testing.wait_all_tasks_blocked()
        while bank.waiting:
            bank.waiting.pop().set()
            await trio.testing.wait_all_tasks_blocked()
    told = [event for event in scene.events if not isinstance(event, FileHeld)]
    assert [type(event) for event in told] == [FilePublished, FilePublished, FileOffered, FilePublished]
    assert [event.by for event in told if isinstance(event, FilePublished)] == [member.node for member in members]
    assert told == scene.events[: len(told)]  # before anybody holds one
    assert [scene.desk.catalogue.servers(index) for index in range(3)] == [[member.node] for member in members]
