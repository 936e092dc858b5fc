"""Downloads end to end in virtual time: identical files, exact pay, speed, and servers that lie or vanish."""

from __future__ import annotations

import statistics

import pytest
import trio

from netem.clock import S
from netem.errors import Rejection
from netem.impairments.delay import Delay
from netem.impairments.loss import Loss
from netem.link import LinkConfig
from node.bidding import CONTROL_RESERVE
from node.content import block_count
from node.events import DownloadFinished, DownloadStarted, DownloadStopped, PieceAccepted, ServerBanned
from node.store import Store
from tests.node.worlds import CLEAN, KB, LOSSY
from tracker.blocks import BLOCK_OVERHEAD_BYTES
from tracker.desk import Terms
from tracker.events import DownloadSettled, NodeLeft
from tracker.messages import BLOCK_BYTES, PIECE_BYTES

DELAY = Delay(0.02, 0.005)


class Liar(Store):
    """A store whose blocks are wrong from block `first` of each piece on."""

    first = 0

    def read_block(self, root, piece, block):
        data = super().read_block(root, piece, block)
        return data if block < self.first else bytes(len(data))


def accepted_bytes(world, download):
    totals = {}
    for event in world.of(PieceAccepted):
        if event.download == download:
            for server, nbytes in event.sources:
                totals[server] = totals.get(server, 0) + nbytes
    return totals


def assert_paid_by_accepted_bytes(world, settled, size_bytes):
    """Each server has its exact share of the fee, to a micro-credit, and the rest is refunded."""
    fee, accepted = world.terms.fee_credits, accepted_bytes(world, settled.download)
    assert {server for server, _ in settled.payouts} == set(accepted)
    for server, paid in settled.payouts:
        assert abs(paid * size_bytes - fee * accepted[server]) < size_bytes
    assert abs(settled.refund_credits * size_bytes - fee * (size_bytes - sum(accepted.values()))) < size_bytes


@pytest.mark.parametrize("size_bytes", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1])
def test_a_file_of_any_size_comes_over_a_lossy_network_unchanged_and_is_paid_for(play, size_bytes):
    async def program(world):
        seller, buyer = await world.join("seller"), await world.join("buyer")
        index = await seller.publish("f", world.file("f", size_bytes))
        await buyer.fetch(index)
        assert buyer.holds(index)

    world = play(program, link=LOSSY)
    world.assert_identical(world.directory / "f")
    (settled,) = world.of(DownloadSettled)
    paid = world.terms.fee_credits if size_bytes else 0
    assert settled.how == "close"
    assert (world.balance("seller"), world.balance("buyer")) == (paid, -paid)


def test_several_servers_send_together_and_each_is_receipted_and_paid_by_its_accepted_bytes(play):
    names = ["a", "b", "c", "d"]
    size_bytes = 5 * PIECE_BYTES + 77

    async def program(world):
        path = world.file("f", size_bytes)
        buyer = await world.join("buyer")
        for place, name in enumerate(names):
            seller = await world.join(name, upload=100 * KB * (place + 1))
            index = await seller.publish("f", path)
        await buyer.fetch(index)
        await trio.sleep(2)
        # Without loss every receipt has come by heartbeat before the download is settled.
        assert world.tracker._desk.market.delivered_bytes[index] == size_bytes

    world = play(program, link=CLEAN)
    world.assert_identical(world.directory / "f")
    (settled,) = world.of(DownloadSettled)
    assert sorted(world.name_of(server) for server, _ in settled.payouts) == names
    assert sum(accepted_bytes(world, settled.download).values()) == size_bytes
    assert_paid_by_accepted_bytes(world, settled, size_bytes)


def test_a_finished_downloader_serves_the_file_to_the_next(play):
    async def program(world):
        path = world.file("f", PIECE_BYTES)
        seller, first, second = [await world.join(name) for name in ("seller", "first", "second")]
        index = await seller.publish("f", path)
        await first.fetch(index)
        world.crash("seller")
        await second.fetch(index)

    world = play(program, link=LOSSY)
    world.assert_identical(world.directory / "f", copies=2)
    assert world.balance("first") == 0


def test_what_the_tracker_will_not_open_costs_nothing(play):
    async def program(world):
        seller, buyer = await world.join("seller"), await world.join("buyer")
        index = await seller.publish("f", world.file("f", 10))
        with pytest.raises(Rejection, match="unknown-file"):
            await buyer.fetch(index + 1)
        with pytest.raises(Rejection, match="insufficient"):
            await buyer.fetch(index)
        assert world.of(DownloadStarted) == []

    play(program, terms=Terms(fee_credits=100, endowment_credits=99))


def test_cancelling_a_download_pays_for_what_was_accepted_and_refunds_the_rest(play):
    size_bytes = 8 * PIECE_BYTES

    async def program(world):
        seller, buyer = await world.join("seller", upload=500 * KB), await world.join("buyer")
        index = await seller.publish("f", world.file("f", size_bytes))
        with trio.move_on_after(2.5):
            await buyer.fetch(index)

    world = play(program, link=LOSSY)
    (settled,) = world.of(DownloadSettled)
    assert settled.how == "close"
    assert 0 < world.balance("seller") < world.terms.fee_credits
    assert_paid_by_accepted_bytes(world, settled, size_bytes)
    assert [event.reason for event in world.of(DownloadStopped)] == ["stopped"]


# -- speed ------------------------------------------------------------------------------------------------------------
#
# b_ij is what the server reserves for the file: its upload less the share kept for control messages. Of that the
# payload is 1024 bytes in each block datagram of 1063 (header, tag, netem header).

RATES = {1: [125 * KB], 4: [60 * KB, 100 * KB, 140 * KB, 200 * KB]}
PAYLOAD = (1 - CONTROL_RESERVE) * BLOCK_BYTES / (BLOCK_BYTES + BLOCK_OVERHEAD_BYTES)


def slowdowns(play, size_bytes, rates, *, loss, repeats):
    """Download over fresh links `repeats` times, and return time / (size / Σ b_ij) for each."""

    async def program(world):
        for number in range(repeats):
            path = world.file(f"f{number}", size_bytes)
            buyer = await world.join(f"buyer {number}")
            for place, rate in enumerate(rates):
                seller = await world.join(f"seller {number} {place}", upload=rate)
                index = await seller.publish(path.name, path)
            await trio.sleep(2)
            await buyer.fetch(index)

    world = play(program, link=LinkConfig((Loss(loss), DELAY)))
    started = [now_ns for now_ns, event in world.events if isinstance(event, DownloadStarted)]
    ended = [now_ns for now_ns, event in world.events if isinstance(event, DownloadFinished)]
    ideal_s = size_bytes / (PAYLOAD * sum(rates))
    return [(end - start) / S / ideal_s for start, end in zip(started, ended, strict=True)]


@pytest.mark.parametrize("servers", [1, 4])
@pytest.mark.parametrize(
    ("size_bytes", "repeats"),
    [(600 * 1024, 5), pytest.param(4 * 2**20, 3, marks=pytest.mark.slow)],
)
def test_a_download_takes_little_longer_than_the_reserved_rates_allow(play, size_bytes, repeats, servers):
    def median(loss):
        return statistics.median(slowdowns(play, size_bytes, RATES[servers], loss=loss, repeats=repeats))

    clean = median(0.0)
    assert 1.0 <= clean <= 1.2
    # No way around what is lost: 1 / (1 - loss) of the time, less what may still be under way.
    assert 1.04 * clean <= median(0.05) <= 1.15 * clean
    assert 1.2 * clean <= median(0.2) <= 1.6 * clean


# -- servers that lie -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 128])
@pytest.mark.parametrize("size_bytes", [PIECE_BYTES, 6 * PIECE_BYTES])
def test_a_server_that_sends_wrong_blocks_is_banned_and_nobody_else(play, size_bytes, first):
    """In a file of one piece all servers' blocks mix, so that blame needs more than one try."""

    async def program(world):
        path = world.file("f", size_bytes)
        buyer = await world.join("buyer")
        for name in ("good", "liar", "fine"):
            store = Liar(world.directory / "stores" / name) if name == "liar" else None
            seller = await world.join(name, upload=200 * KB, store=store)
            index = await seller.publish("f", path)
        world.stores["liar"].first = first
        await buyer.fetch(index)

    world = play(program, link=LOSSY)
    world.assert_identical(world.directory / "f")
    assert [world.name_of(event.server) for event in world.of(ServerBanned)] == ["liar"]
    (settled,) = world.of(DownloadSettled)
    assert_paid_by_accepted_bytes(world, settled, size_bytes)
    if first == 0:
        assert world.balance("liar") == 0


# -- nodes that vanish ------------------------------------------------------------------------------------------------


def test_when_a_server_crashes_others_take_over_and_it_is_paid_for_what_it_delivered(play):
    size_bytes = 8 * PIECE_BYTES

    async def program(world):
        path = world.file("f", size_bytes)
        buyer = await world.join("buyer")
        for name in ("a", "b", "c"):
            seller = await world.join(name, upload=200 * KB)
            index = await seller.publish("f", path)
        world.spawn("buyer", buyer.fetch, index)
        await trio.sleep(3)
        assert not world.of(DownloadFinished)
        world.crash("a")
        await trio.sleep(30)

    world = play(program, link=LOSSY)
    world.assert_identical(world.directory / "f")
    (settled,) = world.of(DownloadSettled)
    assert world.balance("a") > 0
    assert_paid_by_accepted_bytes(world, settled, size_bytes)
    assert [(world.name_of(event.node), event.reason) for event in world.of(NodeLeft)][:1] == [("a", "expired")]


@pytest.mark.parametrize("servers", [1, 4])
def test_a_download_cut_off_by_a_crash_resumes_without_fetching_more_than_a_hundredth_again(play, servers):
    """Also the blocks of pieces that the crash left unfinished count, one per server at least; their servers are paid."""
    size_bytes = 16 * PIECE_BYTES + 5

    async def program(world):
        path = world.file("f", size_bytes)
        for number in range(servers):
            seller = await world.join(f"seller-{number}", upload=600 * KB / servers)
            index = await seller.publish("f", path)
        buyer = await world.join("buyer")
        world.spawn("buyer", buyer.fetch, index)
        await trio.sleep(5)
        world.crash("buyer")
        await trio.sleep(1)
        world.network.restart("buyer")
        buyer = await world.join("buyer", epoch=2)
        await buyer.fetch(index)

    world = play(program, link=CLEAN, terms=Terms(hold_s=30))
    world.assert_identical(world.directory / "f")
    first, second = (event.download for event in world.of(DownloadStarted))
    pieces = {
        download: {e.piece for e in world.of(PieceAccepted) if e.download == download} for download in (first, second)
    }
    assert 4 <= len(pieces[first]) <= 12
    assert sorted(pieces[first] | pieces[second]) == list(range(17))
    assert not pieces[first] & pieces[second]
    # All that came in both lives, and the file.
    received = world.of(DownloadStopped)[0].blocks + world.of(DownloadFinished)[0].blocks
    whole = sum(block_count(size_bytes, piece) for piece in range(17))
    assert whole <= received <= 1.01 * whole
    # What came before the crash in unfinished pieces is not nothing, and is accepted and paid in the second life.
    (settled,) = (event for event in world.of(DownloadSettled) if event.download == second)
    kept = sum(block_count(size_bytes, piece) for piece in pieces[second]) - world.of(DownloadFinished)[0].blocks
    assert kept > 50
    assert sum(n for e in world.of(PieceAccepted) for _, n in e.sources) == size_bytes
    assert_paid_by_accepted_bytes(world, settled, size_bytes)


def test_when_a_downloader_vanishes_its_hold_expires_and_servers_are_paid_by_the_receipts_they_forwarded(play):
    size_bytes = 20 * PIECE_BYTES

    async def program(world):
        path = world.file("f", size_bytes)
        buyer = await world.join("buyer")
        for name in ("a", "b"):
            seller = await world.join(name, upload=250 * KB)
            index = await seller.publish("f", path)
        world.spawn("buyer", buyer.fetch, index)
        await trio.sleep(5)
        world.crash("buyer")

    world = play(program, link=LOSSY, terms=Terms(hold_s=40))
    (settled,) = world.of(DownloadSettled)
    (settled_ns,) = (now_ns for now_ns, event in world.events if event is settled)
    (opened_ns,) = (now_ns for now_ns, event in world.events if isinstance(event, DownloadStarted))
    assert settled.how == "expiry"
    assert 39 < (settled_ns - opened_ns) / S < 41
    accepted = accepted_bytes(world, settled.download)
    for server, paid in settled.payouts:
        # At most what was accepted, and less only by what was not yet receipted: a piece or two.
        owed = world.terms.fee_credits * accepted[server] / size_bytes
        assert owed - world.terms.fee_credits * 2 * PIECE_BYTES / size_bytes < paid <= owed + 1
    assert len(settled.payouts) == 2
