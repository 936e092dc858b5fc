"""Repertoires: whoever did not pay may not serve, whatever the order of offers and purchases."""

from hypothesis import given
from hypothesis import strategies as st

from tracker.repertoire import Repertoire, Terms

PRICE = 250
NODES = [bytes([n]) * 8 for n in range(3)]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("sell"), st.integers(0, 3), st.sampled_from(NODES)),
            st.tuples(st.just("buy"), st.integers(0, 3), st.sampled_from(NODES)),
        ),
        max_size=20,
    )
)
def test_only_the_provider_and_who_bought_may_serve_whatever_the_order(steps):
    repertoire, provider, bought = Repertoire(), {}, set()
    for what, index, node in steps:
        if what == "sell" and index not in provider:
            provider[index] = node
            repertoire.add(index, Terms(node, PRICE))
        elif what == "buy" and index in provider:
            assert repertoire.grant(index, node) is ((index, node) not in bought)
            bought.add((index, node))
    for index in range(4):
        for node in NODES:
            free = index not in provider
            assert repertoire.may_serve(index, node) is (free or provider[index] == node or (index, node) in bought)
    assert [index for index, _ in repertoire.files(1, 3)] == sorted(index for index in provider if index in {1, 2})
