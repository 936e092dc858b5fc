"""What a link does when several have said something about it, and not all of it stands any more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netem.impairments.loss import Loss
from netem.layers import Layers
from netem.link import LinkConfig

PAIRS = [("a", "b"), ("b", "a"), ("a", "c")]
FIRST = LinkConfig((Loss(0.5),))


def config(serial):
    return LinkConfig((Loss(serial / 1000),))


statements = st.lists(
    st.tuples(
        st.sampled_from(["all", "pairs", "remove", "clear all", "clear pairs"]),
        st.lists(st.sampled_from(PAIRS), min_size=1, unique=True),
        st.integers(1, 20),
    ),
    max_size=20,
)


@given(statements)
def test_what_was_said_last_of_what_still_stands_holds(said):
    layers = Layers(lambda *_: FIRST)
    stands: list[tuple[int, set, LinkConfig]] = []
    cleared = set()
    for serial, (kind, pairs, other) in enumerate(said, start=1):
        match kind:
            case "all":
                layers.add(serial, None, config(serial))
                stands.append((serial, set(PAIRS), config(serial)))
            case "pairs":
                layers.add(serial, pairs, config(serial))
                stands.append((serial, set(pairs), config(serial)))
            case "remove" if other not in cleared:  # nobody holds a guard of a clearing
                layers.remove(other)
                stands = [one for one in stands if one[0] != other]
            case "clear all":
                layers.clear(serial, None)
                stands = []
            case "clear pairs":
                layers.clear(serial, pairs)
                cleared.add(serial)
                stands.append((serial, set(pairs), FIRST))
        for pair in PAIRS:
            expected = [said_config for _, about, said_config in stands if pair in about]
            assert layers.config(pair) == (expected[-1] if expected else FIRST)
