"""Finite stores, dealt so that every shelf is wanted alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.market.crowd import zipf_shares
from scenarios.market.shelves import fill_shelves


@given(files=st.integers(1, 60), servers=st.integers(2, 12), copies=st.integers(1, 12), zipf=st.floats(0, 3))
def test_every_file_has_its_copies_on_different_servers_which_split_their_whole_bandwidth(files, servers, copies, zipf):
    copies = min(copies, servers)
    shelves = fill_shelves(zipf_shares(files, zipf), servers=servers, copies=copies)
    assert all(len(set(holders)) == len(holders) >= copies for holders in shelves.holders)
    held = {(server, index) for index, holders in enumerate(shelves.holders) for server in holders}
    assert held == {(i, j) for i, j in np.argwhere(shelves.splits > 0).tolist()}
    assert all(total == pytest.approx(1) or total == 0 for total in shelves.splits.sum(axis=1))


def test_shelves_wanted_alike_make_the_odds_the_requests_with_few_holders_for_each_file():
    p = zipf_shares(240, 0.8)
    shelves = fill_shelves(p, servers=20, copies=3)
    assert shelves.unevenness < 0.01
    assert shelves.splits.mean(axis=0) == pytest.approx(p, rel=0.01)
    assert max(map(len, shelves.holders)) < 6
    assert max((shelves.splits > 0).sum(axis=1)) < 60


def test_a_file_that_most_requests_are_for_is_on_many_servers_and_too_few_files_for_many_servers_are_uneven():
    assert len(fill_shelves(zipf_shares(50, 2.0), servers=20, copies=2).holders[0]) == 20
    assert fill_shelves(np.array([0.5, 0.5]), servers=5, copies=2).unevenness == pytest.approx(0, abs=1e-9)
    assert fill_shelves(np.array([0.9, 0.1]), servers=3, copies=2).unevenness > 0.05
