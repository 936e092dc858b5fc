"""Every hostile role, found by name: it joins, it attacks, it is noticed, and an honest download beside it is whole."""

from collections import Counter

import pytest
import trio

from netem.errors import ConfigError
from node.events import ServerBanned
from node.roles.base import Role
from node.roles.byzantine import byzantine_names, byzantine_role
from tracker.events import FramesDropped
from tracker.messages import PIECE_BYTES

SIZE_BYTES = 5 * PIECE_BYTES + 1
ATTACK_S = 15.0  # longer than the tracker waits for a stranger


def test_roles_are_found_by_name():
    assert len(byzantine_names()) >= 8
    with pytest.raises(ConfigError, match="slow_loris"):
        byzantine_role("nonsense")


@pytest.mark.parametrize("name", byzantine_names())
def test_every_role_attacks_and_is_noticed_and_spoils_nothing(play, name):
    kind = byzantine_role(name)
    assert kind.name == name
    assert kind.symptom
    overrated, late = [], []

    async def program(world):
        seeder = await world.join("seeder", upload=500_000)
        path = world.file("film", SIZE_BYTES)
        index = await seeder.publish("film", path)
        role = await world.join("liar", upload=500_000, kind=kind)
        assert isinstance(role, Role)
        if kind.serves:
            await role.publish("film", path)
        await trio.sleep(1.5)  # the odds are heard, the upload is split
        fetcher = await world.join("fetcher")
        with trio.move_on_after(ATTACK_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(role.act)
                while True:
                    await fetcher.fetch(index)
                    await fetcher.drop(index)
                    overrated.append(world.tracker.proven_bytes_per_s(role.node) > 550_000)
                    late.append(seeder.sizes()["late"])
        assert role.done
        world.done = role.done

    world = play(program)
    seen = Counter({"overrated": sum(overrated), "late": sum(late), "banned": len(world.of(ServerBanned))})
    for event in world.of(FramesDropped):
        seen.update(dict(event.kinds))
    assert seen[kind.symptom] > 0
    assert {event.server for event in world.of(ServerBanned)} <= {world.identities["liar"].node}
