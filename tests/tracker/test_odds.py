"""Odds: proven rates bound what a claim is worth, boards sum to 1, lost pages show as staleness."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.clock import S
from netem.errors import BadFrame, Rejection, RemoteProtocolError
from netem.randomness import keyed_generator
from tracker import wire
from tracker.identity import Identity
from tracker.messages import MAX_FILES
from tracker.odds import FILES_PER_PAGE, LEAST_BUSY, OddsView, ProvenRates, board, delivered_shares, pages
from tracker.session import seal_broadcast

A, B, C = (bytes([n]) * 8 for n in (1, 2, 3))
ALLOWANCE = 25_000.0


def serving(rates, server, *, bytes_per_s, seconds, start_s=0):
    """Let a busy server be credited every half second."""
    rates.set_busy(server, 1.0, start_s * S)
    for half in range(1, 2 * seconds + 1):
        rates.credit(server, round(bytes_per_s / 2), start_s * S + half * S // 2)


def rates_with(**claims):
    rates = ProvenRates(allowance_bytes_per_s=ALLOWANCE)
    for name, claim in claims.items():
        rates.admit({"a": A, "b": B, "c": C}[name], claimed_bytes_per_s=claim, now_ns=0)
    return rates


# -- proven rates -------------------------------------------------------------------------------------------------------


def test_a_newcomers_claim_is_worth_at_most_the_allowance():
    rates = rates_with(a=1e12, b=10_000.0, c=0.0)
    assert rates.rate(A, 0) == ALLOWANCE
    assert rates.rate(B, 0) == 10_000
    assert rates.rate(C, 0) == 0


def test_what_is_served_takes_over_from_the_allowance():
    rates = rates_with(a=1e9)
    serving(rates, A, bytes_per_s=100_000, seconds=60)
    # After b busy seconds the allowance weighs 2 s of b's forgotten sum, and receipts come up to half a second late.
    assert rates.rate(A, 60 * S) == pytest.approx(100_000, rel=0.5 * math.log(2) / 10)


def test_a_rate_follows_a_change_by_half_within_a_half_life():
    rates = rates_with(a=1e9)
    serving(rates, A, bytes_per_s=100_000, seconds=200)
    serving(rates, A, bytes_per_s=20_000, seconds=10, start_s=200)
    assert rates.rate(A, 210 * S) == pytest.approx(60_000, rel=0.05)


def test_busy_time_without_bytes_costs_and_idle_time_does_not():
    rates = rates_with(a=1e9, b=1e9)
    for server in (A, B):
        serving(rates, server, bytes_per_s=100_000, seconds=30)
    rates.set_busy(B, 0.0, 30 * S)
    proven = rates.rate(B, 30 * S)
    assert rates.rate(B, 500 * S) == proven
    assert rates.rate(A, 60 * S) < proven / 4


def test_bandwidth_reserved_for_files_nobody_wants_is_not_held_against_a_server():
    rates = rates_with(a=1e9)
    rates.set_busy(A, 0.5, 0)
    for second in range(1, 61):
        rates.credit(A, 50_000, second * S)  # half of 100 kB/s, as only half of its split is wanted
    assert rates.rate(A, 60 * S) == pytest.approx(100_000, rel=0.05)


def test_a_false_split_raises_a_rate_by_a_bounded_factor():
    rates = rates_with(a=1e9)
    rates.set_busy(A, 1e-9, 0)  # declares nothing for the wanted file, and serves it with all it has
    for second in range(1, 61):
        rates.credit(A, 100_000, second * S)
    assert rates.rate(A, 60 * S) <= 1.05 * 100_000 / LEAST_BUSY


def test_coming_back_renews_no_allowance():
    rates = rates_with(a=1e9)
    rates.set_busy(A, 1.0, 0)
    spent = rates.rate(A, 60 * S)
    rates.admit(A, claimed_bytes_per_s=1e9, now_ns=60 * S)
    assert rates.rate(A, 60 * S) == spent < ALLOWANCE / 50


def test_bytes_of_a_stranger_are_refused():
    with pytest.raises(Rejection):
        rates_with().credit(A, 1, 0)


@given(st.lists(st.tuples(st.integers(-2, 30), st.integers(0, 10**6), st.floats(0, 1)), max_size=40))
def test_rates_are_finite_and_not_negative_whatever_happens(steps):
    rates, now_s = rates_with(a=1e6), 0
    for wait_s, nbytes, busy in steps:
        now_s += wait_s
        rates.set_busy(A, busy, now_s * S)
        rates.credit(A, nbytes, now_s * S)
        assert 0 <= rates.rate(A, now_s * S) < math.inf


@pytest.mark.parametrize("factor", [1, 5, 1000])
def test_over_claiming_moves_the_odds_by_no_more_than_the_allowance(factor):
    servers = [bytes([n]) * 8 for n in range(10)]
    claims = [100_000.0 * (factor if server == servers[0] else 1) for server in servers]
    rates = ProvenRates(allowance_bytes_per_s=ALLOWANCE)
    splits = {server: {0 if server == servers[0] else 1: 1.0} for server in servers}

    def liars_share(now_ns):
        known = {server: rates.rate(server, now_ns) for server in servers}
        return board(known, splits, files=2, held=[True, True], floor=1e-6)[0]

    for server, claim in zip(servers, claims, strict=True):
        rates.admit(server, claimed_bytes_per_s=claim, now_ns=0)
    assert liars_share(0) == pytest.approx(0.1)
    for server in servers:
        serving(rates, server, bytes_per_s=100_000, seconds=40)
    assert liars_share(40 * S) == pytest.approx(0.1)
    # Under bare claims a factor of 5 would have shown as 5 / 14 = 36 %.


# -- the board ----------------------------------------------------------------------------------------------------------


def test_the_board_is_the_weighted_mean_of_the_splits():
    shares = board({A: 300.0, B: 100.0}, {A: {0: 0.5, 1: 0.5}, B: {1: 1.0}}, files=2, held=[True, True], floor=1e-6)
    assert shares == pytest.approx([150 / 400, 250 / 400])


def test_a_file_without_a_bid_has_the_floor_and_the_others_pay_in_proportion():
    shares = board({A: 1.0}, {A: {0: 0.25, 1: 0.75, 2: 0.0}}, files=4, held=[True, True, True, False], floor=0.01)
    assert shares == pytest.approx([0.25 * 0.98, 0.75 * 0.98, 0.01, 0.01])


def test_bids_on_files_that_nobody_serves_are_void():
    shares = board({A: 1.0, B: 1.0}, {A: {0: 0.5, 1: 0.5, 9: 0.5}, B: {1: 1.0}}, files=2, held=[True, False], floor=0.1)
    assert shares == pytest.approx([0.9, 0.1])


def test_without_any_bid_all_files_are_equal_and_without_files_there_is_nothing():
    assert board({A: 0.0}, {A: {0: 1.0}}, files=4, held=[True] * 4, floor=0.01) == pytest.approx([0.25] * 4)
    assert board({}, {}, files=0, held=[], floor=0.01).shape == (0,)


SPLITS = st.dictionaries(
    st.binary(min_size=8, max_size=8), st.dictionaries(st.integers(0, 30), st.floats(0, 1), max_size=8), max_size=8
)


@given(SPLITS, st.integers(1, 25), st.integers(0, 2**25), st.floats(1e-9, 0.9))
def test_a_board_is_positive_sums_to_one_and_ignores_the_order_of_its_input(splits, files, mask, floor):
    held = [bool(mask >> file & 1) for file in range(files)]
    rates = {server: float(server[0]) for server in splits}
    shares = board(rates, splits, files=files, held=held, floor=floor)
    assert math.fsum(shares) == pytest.approx(1)
    assert np.all(shares >= 0)
    turned = {server: dict(reversed(split.items())) for server, split in reversed(splits.items())}
    again = board(dict(reversed(rates.items())), turned, files=files, held=held, floor=floor)
    assert again.tobytes() == shares.tobytes()


def test_the_floor_takes_at_most_half_of_the_board():
    shares = board({A: 1.0}, {A: {0: 1.0}}, files=1001, held=[True] * 1001, floor=0.01)
    assert shares[0] == pytest.approx(0.5)
    assert math.fsum(shares) == pytest.approx(1)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pure_proportional_response_brings_the_odds_to_the_beliefs(seed):
    draw = keyed_generator(seed, "odds-test")
    p = draw.dirichlet(np.ones(12))
    servers = [bytes([n]) * 8 for n in range(30)]
    rates = {server: float(draw.uniform(50, 200)) for server in servers}
    splits = {server: draw.dirichlet(np.ones(12)) for server in servers}
    apart = []
    for _ in range(25):
        asked = {server: dict(enumerate(split.tolist())) for server, split in splits.items()}
        shares = board(rates, asked, files=12, held=[True] * 12, floor=1e-6)
        apart.append(float(abs(shares - p).sum() / 2))
        for server in servers:
            gain = p * splits[server] / shares
            splits[server] = gain / gain.sum()
    assert apart[0] > 0.1
    assert apart[-1] < 0.01


def test_delivered_shares_sum_to_one_after_the_first_byte():
    assert delivered_shares([0, 0]) == pytest.approx([0, 0])
    assert delivered_shares([1, 3, 0]) == pytest.approx([0.25, 0.75, 0])
    assert delivered_shares([]).shape == (0,)


# -- pages and the receiver's view --------------------------------------------------------------------------------------


def a_board(files, *, tilt=0.0):
    shares = np.linspace(1, 2 + tilt, files)
    return shares / max(shares.sum(), 1)


def paged(files, *, tilt=0.0):
    shares = a_board(files, tilt=tilt)
    return pages(shares, shares)


@pytest.mark.parametrize("files", [0, 1, FILES_PER_PAGE, FILES_PER_PAGE + 1, 5 * FILES_PER_PAGE - 1])
def test_a_view_of_all_pages_is_the_board_in_any_order(files):
    view = OddsView()
    assert all(view.add(4, page) for page in reversed(paged(files)))
    assert (view.newest, view.board) == (4, 4)
    assert view.shares == pytest.approx(a_board(files), rel=1e-6)
    assert view.shares.dtype == np.float64
    assert set(view.staleness()) == {0}


def test_a_full_page_fits_a_datagram_whatever_its_numbers():
    page = msgspec.structs.replace(paged(FILES_PER_PAGE)[0], page=4095, pages=4096, first=MAX_FILES - FILES_PER_PAGE)
    frame = seal_broadcast(page, board=2**40, identity=Identity(b"t" * 32, epoch=2**40))
    assert len(frame) <= wire.MAX_DATAGRAM_BYTES


def test_a_lost_page_is_visible_as_staleness_and_keeps_its_last_shares():
    view, old, new = OddsView(), paged(300), paged(300, tilt=3)
    for page in old:
        view.add(1, page)
    for page in (new[0], new[2]):
        view.add(2, page)
    assert (view.newest, view.board, view.staleness()) == (2, 1, [0, 1, 0])
    assert view.shares[:128] == pytest.approx(a_board(300, tilt=3)[:128], rel=1e-6)
    assert view.shares[128:256] == pytest.approx(a_board(300)[128:256], rel=1e-6)
    view.add(3, new[0])
    assert view.staleness() == [0, 2, 1]


def test_a_page_that_never_came_has_uniform_shares_and_no_board():
    view = OddsView()
    view.add(7, paged(200)[1])
    assert (view.newest, view.board, view.staleness()) == (7, -1, [8, 0])
    assert view.shares[:128] == pytest.approx(1 / 256)
    assert len(view.shares) == 200


def test_an_older_page_never_overwrites_a_newer_one_and_a_repeat_is_no_news():
    view, old, new = OddsView(), paged(10), paged(10, tilt=2)
    assert view.add(5, new[0])
    assert not view.add(5, new[0])
    assert not view.add(4, old[0])
    assert view.shares == pytest.approx(a_board(10, tilt=2), rel=1e-6)
    assert view.board == 5


def test_a_growing_catalogue_adds_pages_and_old_boards_do_not_shrink_it():
    view = OddsView()
    view.add(1, paged(100)[0])
    for page in paged(200):
        view.add(2, page)
    assert not view.add(1, paged(100)[0])
    assert (view.board, len(view.shares)) == (2, 200)


def test_two_different_pages_with_one_number_are_equivocation():
    view = OddsView()
    view.add(3, paged(200)[0])
    for liar in (paged(200, tilt=1)[0], paged(300)[1]):
        with pytest.raises(RemoteProtocolError) as caught:
            view.add(3, liar)
        assert caught.value.kind == "equivocation"
    assert view.add(3, paged(200)[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"page": 2},
        {"first": 1},
        {"shares": b"\x00" * 7, "delivered": b"\x00" * 7},
        {"delivered": b""},
        {"shares": b"", "delivered": b""},
        {"shares": np.full(128, np.nan, "<f4").tobytes()},
        {"shares": np.full(128, 1.5, "<f4").tobytes()},
        {"delivered": np.full(128, -0.1, "<f4").tobytes()},
        {"shares": bytes(4 * 129), "delivered": bytes(4 * 129)},
    ],
)
def test_a_page_cut_otherwise_is_malformed_and_changes_nothing(changes):
    view = OddsView()
    with pytest.raises(BadFrame):
        view.add(1, msgspec.structs.replace(paged(200)[0], **changes))
    assert (view.newest, view.board, len(view.shares)) == (-1, -1, 0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), max_size=40))
def test_page_numbers_never_fall_whatever_is_lost_repeated_or_late(arrivals):
    view, last = OddsView(), [-1] * 3
    boards = [paged(300, tilt=number) for number in range(10)]
    for number, page in arrivals:
        assert view.add(number, boards[number][page]) == (number > last[page])
        last[page] = max(last[page], number)
        assert view.staleness() == [max(last) - one for one in last]
        assert view.board == min(last)
