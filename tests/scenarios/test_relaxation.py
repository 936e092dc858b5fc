"""How odds relax: the recursion against its roots, by hand, and against servers simulated one by one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.randomness import keyed_generator
from node.policies.proportional_response import DAMPING
from scenarios.solvers.relaxation import ages, crossing, fading, relax

OLD = np.array([0.6, 0.3, 0.1])
NEW = np.array([0.1, 0.6, 0.3])
PROMPT, LATE = np.array([1.0]), np.array([0.0, 1.0])


# -- the linear recursion -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heard", "late", "damping", "factor"),
    [
        (1.0, PROMPT, 0.5, 0.5),
        (1.0, LATE, 0.5, math.sqrt(0.5)),
        (1.0, LATE, 1.0, 1.0),  # the undamped rule oscillates for ever
        (0.5, PROMPT, 0.5, 0.75),
        (0.0, PROMPT, 0.5, 1.0),
    ],
)
def test_a_small_distance_fades_by_the_largest_root(heard, late, damping, factor):
    assert fading(heard=heard, ages=late, damping=damping) == pytest.approx(factor)


@pytest.mark.parametrize("heard", [1.0, 0.4])
def test_a_small_shift_fades_by_it_from_the_first_board_on(heard):
    near = OLD + np.array([0.001, 0.002, -0.003])
    path = relax(OLD, near, heard=heard, ages=PROMPT, boards=20, damping=DAMPING).distances()
    assert path[1:] / path[:-1] == pytest.approx(1 - DAMPING * heard, rel=0.02)


def test_servers_that_a_large_shift_left_different_answer_less():
    path = relax(OLD, NEW, heard=0.5, ages=PROMPT, boards=40, damping=DAMPING).distances()
    assert 0.76 < path[39] / path[38] < 0.79  # alike, they would fade by 0.75


def test_the_first_answers_are_the_policys():
    odds = relax(OLD, NEW, heard=1.0, ages=PROMPT, boards=3, damping=DAMPING).odds
    once = OLD * np.sqrt(NEW / OLD) / (OLD * np.sqrt(NEW / OLD)).sum()
    assert odds[1] == pytest.approx(once)
    assert odds[2] == pytest.approx(once * np.sqrt(NEW / once) / (once * np.sqrt(NEW / once)).sum())
    half = relax(OLD, NEW, heard=0.5, ages=PROMPT, boards=2, damping=DAMPING).odds
    assert half[1] == pytest.approx((OLD + once) / 2)


def test_odds_that_nobody_hears_stay():
    path = relax(OLD, NEW, heard=0.0, ages=PROMPT, boards=20, damping=DAMPING)
    assert path.odds == pytest.approx(np.tile(OLD, (20, 1)))
    assert path.errors(servers=1, rate_error=1.0) == pytest.approx(np.zeros(20), abs=1e-12)


# -- how old answers are --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("board_s", "delay_s", "loss", "law"),
    [
        (1.0, 0.0, 0.0, [1.0]),
        (1.0, 0.25, 0.0, [0.75, 0.25]),
        (0.5, 0.0, 0.0, [0.5, 0.5]),
        (2.0, 0.5, 0.0, [1.0]),
        (0.25, 0.5, 0.0, [0.0, 0.0, 0.25, 0.25, 0.25, 0.25]),
    ],
)
def test_the_age_of_an_answer_by_hand(board_s, delay_s, loss, law):
    assert ages(board_s=board_s, heartbeat_s=1.0, delay_s=delay_s, loss=loss) == pytest.approx(law)


def test_lost_heartbeats_make_answers_geometrically_older():
    law = ages(board_s=1.0, heartbeat_s=1.0, delay_s=0.0, loss=0.5)
    assert law[:6] == pytest.approx(0.5 ** np.arange(1, 7))


@given(board_s=st.floats(0.1, 5), heartbeat_s=st.floats(0.1, 2), delay_s=st.floats(0, 1), loss=st.floats(0, 0.5))
def test_the_ages_of_answers_are_a_law(board_s, heartbeat_s, delay_s, loss):
    law = ages(board_s=board_s, heartbeat_s=heartbeat_s, delay_s=delay_s, loss=loss)
    assert law.sum() == pytest.approx(1.0)
    assert law.min() >= -1e-12


# -- servers one by one ---------------------------------------------------------------------------------------------------


def simulate(chance, *, runs, servers, boards, board_s, delay_s, board_loss, beat_loss):
    """Return π by run and board: each server has a split, heartbeats at times of its own, and losses of its own."""
    shape = runs, servers
    beats = 3 + math.ceil(boards * board_s)
    sent_s = chance.uniform(-2.0, -1.0, shape)[..., None] + np.arange(beats)
    sent_s = np.where(chance.random((*shape, beats)) < beat_loss, -math.inf, sent_s)
    splits = [np.broadcast_to(OLD, (*shape, len(OLD)))]  # after so many boards
    posted = []
    for board in range(boards):
        # The newest heartbeat that is there by now, and how many boards had come when it was sent.
        last_s = np.where(sent_s + delay_s / 2 <= board * board_s, sent_s, -math.inf).max(axis=2)
        known = np.clip(np.floor((last_s - delay_s / 2) / board_s) + 1, 0, board).astype(int)
        told = np.take_along_axis(np.array(splits), known[None, ..., None], axis=0)[0]
        posted.append(told.mean(axis=1))
        answer = splits[-1] * (NEW / posted[-1][:, None, :]) ** DAMPING
        answer /= answer.sum(axis=2, keepdims=True)
        hears = chance.random(shape) >= board_loss
        splits.append(np.where(hears[..., None], answer, splits[-1]))
    return np.array(posted).swapaxes(0, 1)


@pytest.mark.parametrize(("board_s", "board_loss"), [(1.0, 0.05), (1.0, 0.5), (0.5, 0.3), (2.0, 0.2)])
def test_servers_simulated_one_by_one_take_the_predicted_way_with_the_predicted_luck(board_s, board_loss):
    chance = keyed_generator(1, "relaxation", round(10 * board_s), round(10 * board_loss))
    servers, boards, runs = 20, 8, 400
    shares = simulate(
        chance,
        runs=runs,
        servers=servers,
        boards=boards,
        board_s=board_s,
        delay_s=0.1,
        board_loss=board_loss,
        beat_loss=0.1,
    )
    late = ages(board_s=board_s, heartbeat_s=1.0, delay_s=0.1, loss=0.1)
    path = relax(OLD, NEW, heard=1 - board_loss, ages=late, boards=boards, damping=DAMPING)
    errors = path.errors(servers=servers, rate_error=0.0)
    far = slice(1, int(np.flatnonzero(path.distances() > 0.1)[-1]) + 1)  # nearer, signs begin to turn
    found = np.abs(shares - NEW).sum(axis=2)[:, far] / 2
    # The recursion is for endlessly many servers: few curve the mean by something like a variance.
    gap = np.abs(found.mean(axis=0) - path.distances()[far])
    assert np.all(gap <= 4 * errors[far] / math.sqrt(runs) + errors[far] ** 2 / path.distances()[far])
    assert found.std(axis=0) == pytest.approx(errors[far], rel=0.2)


# -- the time -------------------------------------------------------------------------------------------------------------


def test_the_time_is_between_boards_as_if_the_distance_fell_exponentially():
    halves = 0.5 ** np.arange(6)
    assert crossing(halves, near=0.25) == pytest.approx(2.0)
    assert crossing(halves, near=0.3) == pytest.approx(math.log2(1 / 0.3))
    assert crossing(halves, near=1.5) == 0.0
    assert crossing(halves, near=0.01) is None
