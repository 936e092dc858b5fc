"""A server's dealings with a provider over a lossy network: licences, private copies, a store that is kept stocked."""

from __future__ import annotations

import numpy as np
import pytest
import trio

from netem.errors import LocalProtocolError, Rejection
from node.events import DownloadFinished, LicenceBought
from node.shelving import Room
from node.storage import Storage
from tests.node.worlds import LOSSY, holders
from tracker.desk import Terms
from tracker.events import FileHeld, LicenceSold
from tracker.messages import PIECE_BYTES

PRICE = 2_500_000
FEE = Terms().fee_credits


async def repertoire(world, *, files=1, prior=()):
    """Let `provider` sell files, and return it with them on disk."""
    provider = await world.join("provider", prior=prior)
    paths = [world.file(f"f{number}", 2 * PIECE_BYTES) for number in range(files)]
    for path in paths:
        await provider.sell(path.name, path, PRICE)
    return provider, paths


class Fickle(Storage):
    """Want everything at first, and nothing from the second look on."""

    name = "fickle"

    def __init__(self):
        self.looks = 0

    def worth(self, shelf):
        self.looks += 1
        return np.full(len(shelf.files), 1.0 if self.looks == 1 else -1.0)


async def refused(call, *arguments, reason):
    with pytest.raises(Rejection) as caught:
        await call(*arguments)
    assert caught.value.reason == reason


def test_a_downloader_needs_no_licence_and_a_server_does(play):
    async def program(world):
        _, (path,) = await repertoire(world)
        server = await world.join("server")
        await refused(server.fetch, 0, reason="no-licence")  # paid and kept all the same
        assert (server.has(0), server.holds(0), holders(world, 0)) == (True, False, ["provider"])
        with pytest.raises(LocalProtocolError):
            await server.fetch(0)
        await refused(server.serve, 0, reason="no-licence")
        await refused(server.publish, "f0", path, reason="no-licence")
        assert await server.buy(0) == PRICE
        assert await server.buy(0) == PRICE
        await server.serve(0)
        assert (server.holds(0), holders(world, 0)) == (True, sorted(["provider", "server"]))
        await server.drop(0)
        await server.fetch(0, serve=False)  # the licence stays; the copy is a private one
        assert holders(world, 0) == ["provider"]
        await server.drop(0)
        assert not server.has(0)

    world = play(program, link=LOSSY)
    assert world.balance("provider") == PRICE + 2 * FEE
    assert world.balance("server") == -PRICE - 2 * FEE
    assert len(world.of(LicenceSold)) == 1
    world.assert_identical(world.directory / "f0", copies=2)


def test_a_server_that_cannot_pay_gets_no_licence(play):
    async def program(world):
        await repertoire(world)
        server = await world.join("server")
        await refused(server.buy, 0, reason="insufficient")
        await refused(server.buy, 7, reason="unknown-file")
        assert (await server.restock(Room(1, requests=1e6))).got == []  # the purse says no before the bank has to

    world = play(program, terms=Terms(endowment_credits=PRICE - 1))
    assert (world.of(LicenceBought), world.balance("provider")) == ([], 0)


def test_licences_and_offers_outlive_a_restart_of_the_tracker_and_of_the_server(play):
    async def program(world):
        provider, _ = await repertoire(world, files=2)
        server, pirate = await world.join("server"), await world.join("pirate")
        await server.buy(0)
        await server.fetch(0)
        await server.fetch(1, serve=False)
        await world.restart_tracker(after_s=1)
        await trio.sleep(15)  # who hears no odds for ten seconds comes back
        assert holders(world, 0) == sorted(["provider", "server"], key=lambda name: world.identities[name].node)
        await refused(pirate.fetch, 0, reason="no-licence")
        world.crash("server")
        await trio.sleep(1)
        world.network.restart("server")
        server = await world.join("server", epoch=2)
        assert (server.holds(0), server.holds(1), server.has(1)) == (True, False, True)
        assert list(server.stored()) == [0]  # what an earlier boot fetched takes room, and may be evicted
        offers = await server._trading.offers()
        assert [(offer.index, offer.price_credits, offer.licensed) for offer in offers.files] == [
            (0, PRICE, True),
            (1, PRICE, False),
        ]
        assert offers.fee_credits == FEE
        assert {offer.provider for offer in offers.files} == {provider.node}

    world = play(program)
    assert world.balance("provider") >= PRICE
    assert len(world.of(LicenceSold)) == 1


def test_a_store_is_stocked_by_its_policy_and_never_holds_more_than_it_has_room_for(play):
    prior = (0.5, 0.3, 0.2)
    room = Room(files=2, requests=1e3)

    async def program(world):
        await repertoire(world, files=3, prior=prior)
        server = await world.join("server", prior=prior)
        await trio.sleep(3)  # boards come
        first = await server.restock(room)
        second = await server.restock(room)
        assert (first.dropped, second.dropped) == ([], [])
        assert sorted(server.stored()) == sorted(first.got + second.got)
        assert sum(map(server.holds, range(3))) == 2
        await trio.sleep(2)
        third = await server.restock(Room(files=1, requests=0.0))  # nothing pays any more, and there is room for one
        assert (len(third.dropped), third.got) == (1, [])
        assert sum(map(server.holds, range(3))) == 1
        assert await server.make_room(Room(files=1)) == []

    world = play(program, link=LOSSY)
    bought = world.of(LicenceBought)
    assert world.balance("provider") == len(bought) * (PRICE + FEE)
    held = {(event.node, event.index) for event in world.of(FileHeld) if event.holds}
    assert {(event.node, event.index) for event in bought} <= held
    assert len(world.of(DownloadFinished)) == 2


def test_a_file_that_is_not_worth_its_place_any_more_once_it_is_fetched_is_not_served(play):
    async def program(world):
        await repertoire(world)
        server = await world.join("server")
        server._trading._storage = Fickle()
        restocked = await server.restock(Room(files=1, requests=1.0))
        assert (restocked.got, restocked.dropped, server.has(0)) == ([], [], False)
        assert holders(world, 0) == ["provider"]

    world = play(program)
    assert world.balance("server") == -PRICE - FEE  # gone: the licence is the server's all the same
