"""Turns: who decides anew, how far it goes, and what people may write."""

import pytest

from netem.errors import ConfigError
from node.turns import make_turns

DRAWS = [0.0, 0.2, 0.5, 0.999]


@pytest.mark.parametrize(
    ("text", "come"),
    [
        ("all", [True] * 4),
        ("once", [False] * 4),
        ("random:0.3", [True, True, False, False]),
        ("damped:0.3", [True] * 4),
    ],
)
def test_it_is_a_servers_turn_by_its_draw(text, come):
    assert [make_turns(text).comes(draw) for draw in DRAWS] == come


def test_only_damped_servers_go_part_of_the_way():
    own, decided = {0: 1.0, 3: 0.0}, {0: 0.2, 3: 0.8}
    assert make_turns("all").settle(own, decided) == decided
    assert make_turns("random:0.1").settle(own, decided) == decided
    assert make_turns("damped:0.25").settle(own, decided) == pytest.approx({0: 0.8, 3: 0.2})


@pytest.mark.parametrize(
    "text", ["", "some", "random", "random:", "random:0", "random:1.1", "damped:nan", "once:0.5", "all:1"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(ConfigError, match=r"all, once, random:Q or damped:D"):
        make_turns(text)
