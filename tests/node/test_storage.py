"""Storage policies: every one keeps to its room and its purse, and each chooses what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.errors import ConfigError, LocalProtocolError
from node.storage import Shelf, Storage, make_storage, storage_names
from node.storage.base import Plan, Purchase

FEE = 1_000_000


def shelf_of(
    p, odds, *, stored=(), room=2, share=0.0, place=float(FEE), cost=0, purse=10**9, sizes=None, room_bytes=1e18
):
    """Return a shelf of files 0, 1, ...; `stored` are those in the store, in the order in which they came."""
    files = len(p)
    return Shelf(
        files=tuple(range(files)),
        odds=np.array(odds, dtype=float),
        beliefs=np.array(p, dtype=float),
        size_bytes=np.array(sizes if sizes is not None else [1000] * files, dtype=np.int64),
        stored=np.array([file in stored for file in range(files)], dtype=bool),
        since=np.array([stored.index(file) if file in stored else -1 for file in range(files)], dtype=np.int64),
        cost_credits=np.broadcast_to(np.asarray(cost, dtype=np.int64), files),
        room_files=room,
        room_bytes=room_bytes,
        purse_credits=purse,
        share=share,
        place_credits=place,
    )


@st.composite
def shelves(draw):
    files = draw(st.integers(0, 8))

    def each(of):
        return draw(st.lists(of, min_size=files, max_size=files))

    stored = draw(st.permutations(range(files)))[: draw(st.integers(0, files))]
    return shelf_of(
        each(st.floats(0, 1)),
        each(st.floats(1e-6, 1)),
        stored=list(stored),
        room=draw(st.integers(1, 5)),
        share=draw(st.floats(0, 1)),
        place=draw(st.floats(1, 1e9)),
        cost=each(st.integers(0, 3 * FEE)),
        purse=draw(st.integers(0, 10 * FEE)),
        sizes=each(st.integers(0, 5000)),
        room_bytes=draw(st.floats(1, 20_000)),
    )


def test_the_policies_are_found_by_name():
    assert {"best_earning", "oldest_first", "popular"} <= set(storage_names())
    with pytest.raises(ConfigError, match="best_earning"):
        make_storage("nonsense")


@pytest.mark.parametrize("name", storage_names())
@given(shelf=shelves())
def test_every_policy_keeps_to_its_room_and_its_purse(*, name, shelf):
    plan = make_storage(name).plan(shelf)
    stored = {file for file, there in zip(shelf.files, shelf.stored, strict=True) if there}
    gone, got, spent = set(plan.evict), set(), 0
    assert len(gone) == len(plan.evict)
    assert gone <= stored
    for purchase in plan.purchases:
        assert not (set(purchase.evict) & gone)
        gone |= set(purchase.evict)
        assert purchase.file not in stored | got
        got.add(purchase.file)
        spent += int(shelf.cost_credits[purchase.file])
        left = (stored - gone) | got
        assert len(left) <= shelf.room_files
        assert sum(int(shelf.size_bytes[file]) for file in left) <= shelf.room_bytes
    assert gone <= stored
    assert spent <= shelf.purse_credits
    left = stored - set(plan.evict)
    assert len(left) <= shelf.room_files
    assert sum(int(shelf.size_bytes[file]) for file in left) <= shelf.room_bytes
    assert plan == make_storage(name).plan(shelf)


def test_what_earns_least_goes_and_of_equals_the_oldest():
    storage = make_storage("best_earning")
    assert storage.plan(shelf_of([0.5, 0.3, 0.2], [0.5, 0.2, 0.3], stored=[0, 1, 2])).evict == (2,)
    assert storage.plan(shelf_of([0.5, 0.5, 0.5], [0.5] * 3, stored=[2, 0, 1])).evict == (2,)
    assert storage.plan(shelf_of([0.5, 0.3, 0.2], [0.5, 0.2, 0.3], stored=[0, 1, 2], room=1)).evict == (2, 0)


def test_a_scarce_file_is_bought_and_what_earns_least_makes_way():
    shelf = shelf_of([0.4, 0.3, 0.3], [0.5, 0.4, 0.1], stored=[0, 1], share=0.1)
    assert make_storage("best_earning").plan(shelf) == Plan((), (Purchase(2, (1,)),))


def test_the_servers_own_bandwidth_makes_a_file_less_scarce():
    # 0.3/0.1 looks four times better than 0.4/0.5, but with this server's half of all bandwidth on it, it is worse.
    p, odds = [0.4, 0.3], [0.5, 0.1]
    assert make_storage("best_earning").plan(shelf_of(p, odds, stored=[0], room=1)).purchases != ()
    assert make_storage("best_earning").plan(shelf_of(p, odds, stored=[0], room=1, share=0.5)).purchases == ()


@pytest.mark.parametrize(("price", "buys"), [(0.99, True), (1.01, False)])
def test_no_more_is_paid_for_a_place_than_it_earns(price, buys):
    shelf = shelf_of([0.5, 0.5], [0.5, 0.5], stored=[0], cost=int(price * FEE))
    assert bool(make_storage("best_earning").plan(shelf).purchases) is buys
    full = shelf_of([0.25, 0.5], [0.5, 0.5], stored=[0], room=1, cost=int((price - 0.5) * FEE))
    assert bool(make_storage("best_earning").plan(full).purchases) is buys


def test_popular_servers_all_store_the_same_whatever_the_odds_and_the_price():
    p, odds = [0.2, 0.5, 0.3], [1e-6, 0.9, 0.1]
    plan = make_storage("popular").plan(shelf_of(p, odds, stored=[0, 2], cost=FEE))
    assert plan == Plan((), (Purchase(1, (0,)),))
    assert make_storage("popular").plan(shelf_of(p, odds, stored=[1, 2], cost=FEE)).purchases == ()


def test_oldest_first_evicts_by_age_and_swaps_nothing():
    storage = make_storage("oldest_first")
    assert storage.plan(shelf_of([0.9, 0.05, 0.05], [0.1, 0.8, 0.1], stored=[0, 2, 1])).evict == (0,)
    assert storage.plan(shelf_of([0.0, 0.0, 1.0], [0.1, 0.8, 0.1], stored=[0, 1])).purchases == ()
    assert [one.file for one in storage.plan(shelf_of([0.0, 0.0, 1.0], [0.1, 0.8, 0.1])).purchases] == [0, 1]


class Wrong(Storage):
    """Give what it is told to."""

    name = "wrong"

    def __init__(self, values):
        self.values = values

    def worth(self, _shelf):
        return self.values


@pytest.mark.parametrize("values", [np.ones(2), np.array([1.0, np.nan, 1.0]), np.array([1.0, np.inf, 1.0]), 1.0])
def test_a_worth_that_is_none_is_an_error(values):
    with pytest.raises(LocalProtocolError, match="Wrong"):
        Wrong(values).plan(shelf_of([0.5, 0.3, 0.2], [0.5, 0.2, 0.3], stored=[0]))
