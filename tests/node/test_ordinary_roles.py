"""Every ordinary role, found by name: it joins, fetches, pays and keeps its accounts like any peer, and begins to serve nothing."""

import pytest
import trio

from netem.errors import ConfigError, LocalProtocolError, Rejection
from node.roles import Ordinary, ordinary_names, ordinary_role
from node.roles.byzantine import byzantine_names
from node.shelving import Room
from tracker.desk import Terms
from tracker.events import FileHeld
from tracker.messages import PIECE_BYTES

SIZE_BYTES = PIECE_BYTES + 1
FEE = 1_000_000
TWO_FILES = Terms(fee_credits=FEE, endowment_credits=2 * FEE)


def test_ordinary_roles_are_found_by_name():
    assert {"copycat", "free_rider"} <= set(ordinary_names())
    assert not set(ordinary_names()) & set(byzantine_names())
    with pytest.raises(ConfigError, match="free_rider"):
        ordinary_role("nonsense")


@pytest.mark.parametrize("name", ordinary_names())
def test_every_role_fetches_and_pays_and_publishes_nothing(play, name):
    kind = ordinary_role(name)
    assert kind.name == name
    assert issubclass(kind, Ordinary)

    async def program(world):
        seeder = await world.join("seeder")
        path = world.file("film", SIZE_BYTES)
        index = await seeder.publish("film", path)
        role = await world.join("role", kind=kind)
        with pytest.raises(LocalProtocolError, match="publishes nothing"):
            await role.publish("own", world.file("own", 9))
        with pytest.raises(LocalProtocolError, match="sells nothing"):
            await role.sell("own", world.file("own", 9), 5)
        assert len(await role.catalogue()) == 1
        for paid in (1, 2):
            await role.fetch(index)
            assert role.holds(index)
            with pytest.raises(LocalProtocolError, match="held"):
                await role.fetch(index)
            await world.tracker.wait_settled()
            assert (world.balance("role"), world.balance("seeder")) == (-paid * FEE, paid * FEE)
            assert await role.make_room(Room(0)) == [index]
            assert not role.holds(index)

    world = play(program, terms=TWO_FILES)
    world.assert_identical(world.directory / "film", copies=2)


@pytest.mark.parametrize(("name", "serves"), [("free_rider", False), ("copycat", True)])
def test_a_copycat_passes_on_what_it_fetched_and_a_free_rider_does_not_also_after_a_restart(play, name, serves):
    async def program(world):
        seeder = await world.join("seeder")
        path = world.file("film", SIZE_BYTES)
        index = await seeder.publish("film", path)
        role = await world.join("role", kind=ordinary_role(name))
        await role.fetch(index)
        world.crash("role")
        await trio.sleep(1)
        world.network.restart("role")
        role = await world.join("role", kind=ordinary_role(name), epoch=2)
        assert role.holds(index)
        await world.tracker.wait_settled()
        earned_before = world.balance("role")
        await trio.sleep(2)  # the odds are heard, the upload is split
        buyer = await world.join("buyer")
        await buyer.fetch(index)
        await world.tracker.wait_settled()
        assert (world.balance("role") > earned_before) is serves
        holders = {event.node for event in world.of(FileHeld) if event.holds}
        assert (role.node in holders) is serves
        await role.drop(index)
        assert not role.holds(index)

    play(program)


def test_a_copycat_splits_alike_whatever_it_is_told_to_believe(play):
    async def program(world):
        seeder = await world.join("seeder")
        names = ["a", "b", "c"]
        indices = [await seeder.publish(name, world.file(name, 9)) for name in names]
        copycat = await world.join(
            "copycat", kind=ordinary_role("copycat"), policy="price_taker", prior=(0.7, 0.2, 0.1)
        )
        for index in indices:
            await copycat.fetch(index)
        await trio.sleep(2)
        assert copycat._bidding.split == pytest.approx(dict.fromkeys(indices, 1 / 3))

    play(program)


def test_a_free_rider_without_income_is_refused_what_its_endowment_does_not_pay(play):
    async def program(world):
        seeder = await world.join("seeder")
        indices = [await seeder.publish(name, world.file(name, 9)) for name in ("a", "b", "c")]
        rider = await world.join("rider", kind=ordinary_role("free_rider"))
        await rider.fetch(indices[0])
        await rider.fetch(indices[1])
        with pytest.raises(Rejection, match="insufficient"):
            await rider.fetch(indices[2])

    play(program, terms=TWO_FILES)
