"""Where servers with finite stores come to rest: no move pays there, whatever path led to it, and the bounds contain it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.solvers.places import place_worths, places_at_rest, rest_bounds

VOTES = np.array([340_000, 280_000, 160_000, 60_000, 15_000]) / 855_000


MARKETS = st.tuples(
    st.lists(st.floats(0.01, 1), min_size=2, max_size=6),
    st.lists(st.floats(0, 0.2), min_size=6, max_size=6),
    st.integers(2, 8),
    st.floats(0.01, 0.3),
).map(lambda drawn: (np.array(drawn[0]), np.array(drawn[1])[: len(drawn[0])], drawn[2], drawn[3]))


def test_without_other_bandwidth_places_are_seats_by_dhondts_divisors():
    # The textbook example: seven seats go 3, 3, 1, 0, 0.
    worths = place_worths(VOTES, np.zeros(5), share=0.1, most=7)
    assert places_at_rest(worths, 7).tolist() == [3, 3, 1, 0, 0]


def test_what_providers_serve_counts_as_places():
    p, share = np.array([0.6, 0.4]), 0.1
    without = places_at_rest(place_worths(p, np.zeros(2), share=share, most=10), 10)
    others = places_at_rest(place_worths(p, np.array([3 * share, 0.0]), share=share, most=10), 10)
    assert (without.tolist(), others.tolist()) == ([6, 4], [5, 5])


@given(MARKETS)
def test_no_place_is_worth_more_elsewhere(market):
    p, others, servers, share = market
    worths = place_worths(p, others, share=share, most=servers)
    places = min(servers, worths.size)
    counts = places_at_rest(worths, places)
    assert counts.sum() == places
    taken = min(worths[file, n - 1] for file, n in enumerate(counts) if n)
    assert all(worths[file, n] <= taken for file, n in enumerate(counts) if n < servers)


@settings(max_examples=60, deadline=None)
@given(MARKETS, st.floats(0, 0.5), st.integers(0, 2**31))
def test_servers_with_one_place_each_that_move_in_turn_come_to_rest_within_the_bounds(market, cost, seed):
    p, others, servers, share = market
    draws = np.random.default_rng(seed)
    slack = cost * float(p.max())
    worths = place_worths(p, others, share=share, most=servers)
    where = draws.integers(0, len(p), servers)
    for _ in range(10_000):
        counts = np.bincount(where, minlength=len(p))
        now = worths[where, counts[where] - 1]
        gains = np.array(
            [
                [-1.0 if f == w else worths[f, counts[f]] - v for f in range(len(p))]
                for w, v in zip(where, now, strict=True)
            ]
        )
        movers = np.flatnonzero(gains.max(axis=1) > slack + 1e-12)
        if not movers.size:
            break
        mover = draws.choice(movers)
        where[mover] = int(gains[mover].argmax())
    else:
        pytest.fail("they do not come to rest")
    farthest, fewest = rest_bounds(worths, servers, slack=slack + 1e-9, error=np.zeros(1))
    assert np.abs(counts - places_at_rest(worths, servers)).sum() // 2 <= farthest
    assert np.count_nonzero(counts) >= fewest


def test_bounds_grow_with_what_moving_costs_and_with_what_is_not_known():
    worths = place_worths(np.array([0.5, 0.3, 0.2]), np.zeros(3), share=1 / 24, most=12)
    exact, costly, noisy = (
        rest_bounds(worths, 24, slack=slack, error=np.full(12, error)) for slack, error in ((0, 0), (0.2, 0), (0, 0.2))
    )
    assert exact[0] < costly[0]
    assert exact[0] < noisy[0]
    assert exact[1] == 3
