"""The simulated dynamics: what nodes do with the same boards, the numbers of the protocol notes, and rest at the exact equilibrium."""

import numpy as np
import pytest

from netem.randomness import keyed_generator
from node.beliefs import make_beliefs
from node.bidding import Bidding
from node.policies import make_policy
from node.turns import make_turns
from scenarios.solvers.bid_dynamics import Rule, largest_gap, late_share, movement, play, split_distance
from scenarios.solvers.equilibrium import solve
from tracker.odds import board, pages


def rule(turns="all", *, anticipates=True, loss=0.0, late=0.0):
    return Rule(make_turns(turns), anticipates, loss=loss, late=late)


def zipf(files):
    p = 1 / np.arange(1, files + 1)
    return p / p.sum()


@pytest.mark.parametrize(
    ("policy", "turns"), [("best_response", "damped:0.3"), ("best_response", "all"), ("price_taker", "all")]
)
def test_the_simulation_does_what_nodes_do_when_nothing_is_lost_or_late(policy, turns):
    beliefs = keyed_generator(1, "beliefs").dirichlet([3.0, 3.0, 3.0], 4)
    rates = np.array([1.0, 2.0, 2.0, 3.0])
    nodes = [
        Bidding(make_policy(policy), make_beliefs("given", row), upload_bytes_per_s=1.0, turns=make_turns(turns))
        for row in beliefs
    ]
    for node, rate in zip(nodes, rates, strict=True):
        node.budget = rate / rates.sum()
        node.rebid(range(3))
    start = np.array([list(node.split.values()) for node in nodes])
    played = play(
        rule(turns, anticipates=policy == "best_response"),
        beliefs,
        rates=np.tile(rates, (12, 1)),
        start=start,
        plays=1,
        chance=keyed_generator(1, "play"),
    )
    for number in range(12):
        splits = {str(i).encode(): node.split for i, node in enumerate(nodes)}
        shown = board(dict(zip(splits, rates, strict=True)), splits, files=3, held=[True] * 3, floor=1e-6)
        assert played.odds[number, 0] == pytest.approx(shown, abs=3e-6)
        for node in nodes:
            node.odds.add(number, pages(shown, np.zeros(3))[0])
            node.rebid(range(3))


# Protocol notes 4.1: 50 price takers, 10 files; a random start; all at once, 20 % and 2 % of them, 10 % and 3 % of bandwidth.
@pytest.mark.parametrize(
    ("turns", "noted"),
    [("all", 0.74), ("random:0.2", 0.32), ("random:0.02", 0.08), ("damped:0.1", 0.17), ("damped:0.03", 0.06)],
)
def test_price_takers_stay_as_far_from_p_as_the_notes_say(turns, noted):
    chance = keyed_generator(1, "notes", turns)
    p = zipf(10)
    start = np.eye(10)[chance.integers(0, 10, 50)]
    played = play(
        rule(turns, anticipates=False),
        np.tile(p, (50, 1)),
        rates=np.ones((400, 50)),
        start=start,
        plays=4,
        chance=chance,
    )
    distance = float(np.abs(played.odds[-100:] - p).sum(axis=2).mean() / 2)
    assert distance == pytest.approx(noted, abs=0.03)


def test_damped_best_responses_come_to_the_exact_equilibrium_in_spite_of_losses():
    chance = keyed_generator(2, "damped")
    beliefs = chance.dirichlet(np.full(4, 3.0), 5)
    exact = solve(beliefs, np.ones(5)).bids
    played = play(
        rule("damped:0.3", loss=0.1, late=0.1), beliefs, rates=np.ones((100, 5)), start=beliefs, plays=5, chance=chance
    )
    for splits in played.splits[-1]:
        assert split_distance(splits, exact) < 1e-5
        assert largest_gap(beliefs, splits, np.ones(5)) < 1e-6
    assert split_distance(beliefs, exact) > 0.05


def test_best_responses_all_at_once_do_not_settle_and_random_turns_do():
    p = np.tile(zipf(4), (12, 1))
    moved = {
        turns: movement(
            play(
                rule(turns),
                p,
                rates=np.ones((200, 12)),
                start=np.full((12, 4), 0.25),
                plays=5,
                chance=keyed_generator(3, turns),
            ).odds[-20:]
        ).max()
        for turns in ("all", "random:0.2", "damped:0.3")
    }
    assert moved["all"] > 0.1
    assert moved["random:0.2"] < 0.01
    assert moved["damped:0.3"] < 1e-5


def test_movement_is_the_mean_distance_of_successive_boards():
    odds = np.array([[0.5, 0.5], [1.0, 0.0], [1.0, 0.0]])
    assert movement(odds) == pytest.approx(0.25)


def test_heartbeats_miss_a_board_as_often_as_messages_are_under_way():
    assert late_share(0.02) == pytest.approx(0.04)
    assert late_share(3.0) == 1.0
