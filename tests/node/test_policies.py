import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netem.errors import ConfigError, LocalProtocolError
from netem.randomness import keyed_generator
from node.policies import make_policy, policy_names
from node.policies.fixed import Fixed

N_SERVERS, N_FILES, ROUNDS = 50, 20, 20
ZIPF = (1.0 / np.arange(1, N_FILES + 1)) / (1.0 / np.arange(1, N_FILES + 1)).sum()


def odds_of(splits, budgets):
    pi = np.zeros(N_FILES)
    for split, budget in zip(splits, budgets, strict=True):
        for file, share in split.items():
            pi[file] += budget * share
    return pi / sum(budgets)


def play(name, *, holdings, splits=None, rounds=ROUNDS, lag=0, p=ZIPF):
    """Let all servers split again every round, on boards `lag` rounds old; return the last odds and splits."""
    policy = make_policy(name)
    budgets = keyed_generator(1, "budgets").uniform(0.5, 2.0, len(holdings))
    splits = splits or [{} for _ in holdings]
    boards = [odds_of(splits, budgets)] * (lag + 1)
    for _ in range(rounds):
        odds = boards[-1 - lag]
        splits = [
            policy.split(held=held, odds=odds, beliefs=p, own=own) for held, own in zip(holdings, splits, strict=True)
        ]
        boards.append(odds_of(splits, budgets))
    return boards[-1], splits


def distance(a, b):
    return 0.5 * float(np.abs(a - b).sum())


def random_starts():
    draws = keyed_generator(1, "starts").dirichlet(np.full(N_FILES, 0.3), N_SERVERS)
    return [dict(enumerate(draw.tolist())) for draw in draws]


EVERYTHING = [list(range(N_FILES))] * N_SERVERS


def test_the_policies_are_found_by_name():
    assert {"fixed", "price_taker", "proportional_response"} <= set(policy_names())
    with pytest.raises(ConfigError, match="proportional_response"):
        make_policy("nonsense")


@pytest.mark.parametrize("name", policy_names())
@settings(max_examples=50)  # of each policy: some hundreds for the contract they share, at 5 ms each
@given(
    held=st.lists(st.integers(0, 12)),
    odds=st.lists(st.floats(0, 1), max_size=10),
    beliefs=st.lists(st.floats(0, 1), max_size=10),
    own=st.dictionaries(st.integers(0, 12), st.floats(0, 1)),
    fetched=st.sets(st.integers(0, 12)),
    budget=st.floats(0, 1),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_every_policy_splits_one_over_the_held_files_only(*, name, held, odds, beliefs, own, fetched, budget, draw):
    def split(files):
        return make_policy(name).split(
            held=files,
            odds=odds,
            beliefs=np.array(beliefs),
            own=own,
            fetched=fetched,
            budget=budget,
            draw=draw,
        )

    shares = split(held)
    assert list(shares) == sorted(set(held))
    assert all(0.0 <= share <= 1.0 for share in shares.values())
    assert sum(shares.values()) == pytest.approx(1.0 if held else 0.0)
    assert split(list(reversed(held))) == shares


@pytest.mark.parametrize("lag", [0, 1])
def test_proportional_response_brings_the_odds_to_the_beliefs(lag):
    odds, _ = play("proportional_response", holdings=EVERYTHING, splits=random_starts(), lag=lag)
    assert distance(odds, ZIPF) < 0.02


def test_fixed_and_price_taking_servers_do_not_bring_the_odds_to_the_beliefs():
    assert distance(play("fixed", holdings=EVERYTHING)[0], ZIPF) > 0.2
    assert distance(play("price_taker", holdings=EVERYTHING)[0], ZIPF) > 0.5


def test_without_damping_old_boards_make_the_odds_oscillate(monkeypatch):
    monkeypatch.setattr("node.policies.proportional_response.DAMPING", 1.0)
    fresh, _ = play("proportional_response", holdings=EVERYTHING, splits=random_starts())
    late, _ = play("proportional_response", holdings=EVERYTHING, splits=random_starts(), lag=1)
    assert distance(fresh, ZIPF) < 0.02
    assert distance(late, ZIPF) > 0.05


def test_restricted_holdings_still_approach_the_beliefs_when_they_can():
    generator = keyed_generator(2, "holdings")
    holdings = [sorted(generator.choice(N_FILES, 10, replace=False).tolist()) for _ in range(N_SERVERS)]
    odds, _ = play("proportional_response", holdings=holdings, rounds=60)
    assert distance(odds, ZIPF) < 0.02


def test_a_new_file_grows_from_its_entry_bid_to_its_share():
    without = np.append(ZIPF[:-1], 0.0)
    _, splits = play(
        "proportional_response", holdings=[list(range(N_FILES - 1))] * N_SERVERS, p=without / without.sum()
    )
    popular = np.append(0.7 * ZIPF[:-1] / ZIPF[:-1].sum(), 0.3)
    after_one, _ = play("proportional_response", holdings=EVERYTHING, splits=splits, rounds=1, p=popular)
    assert after_one[-1] > 1.0 / N_FILES
    after, _ = play("proportional_response", holdings=EVERYTHING, splits=splits, p=popular)
    assert after[-1] == pytest.approx(0.3, abs=0.01)


def test_a_bid_that_died_out_returns():
    start = [{0: 1.0} | dict.fromkeys(range(1, N_FILES), 0.0)] * N_SERVERS
    odds, _ = play("proportional_response", holdings=EVERYTHING, splits=start)
    assert distance(odds, ZIPF) < 0.02


def test_a_price_taker_goes_for_the_best_price_and_of_equals_for_the_first():
    policy = make_policy("price_taker")
    assert policy.split(held=[0, 1, 2], odds=[0.5, 0.1, 0.4], beliefs=np.array([0.4, 0.2, 0.4]), own={}) == {
        0: 0,
        1: 1,
        2: 0,
    }
    assert policy.split(held=[1, 2], odds=[0.5, 0.2, 0.2], beliefs=np.array([0.4, 0.2, 0.2]), own={}) == {1: 1, 2: 0}


def test_fixed_weights_are_kept_over_what_is_held():
    assert Fixed({0: 1.0, 1: 3.0, 5: 9.0}).split(held=[0, 1], odds=[], beliefs=np.array([]), own={}) == {
        0: 0.25,
        1: 0.75,
    }


def test_bidding_as_believed_makes_the_odds_the_beliefs_at_once_and_no_other_odds_move_it():
    odds, splits = play("as_believed", holdings=EVERYTHING, splits=random_starts(), rounds=1)
    assert distance(odds, ZIPF) < 1e-12
    assert play("as_believed", holdings=EVERYTHING, splits=splits, rounds=1, lag=1)[1] == splits


def test_a_best_response_earns_more_than_any_other_split():
    generator = keyed_generator(1, "responses")
    policy = make_policy("best_response")
    for _ in range(20):
        budget, beliefs = generator.uniform(0.05, 0.5), generator.dirichlet(np.ones(5))
        own, others = generator.dirichlet(np.ones(5)), (1 - budget) * generator.dirichlet(np.ones(5))
        odds = others + budget * own
        split = policy.split(held=range(5), odds=odds, beliefs=beliefs, own=dict(enumerate(own)), budget=budget)

        def income(shares):
            return float((beliefs * budget * shares / (budget * shares + others)).sum())  # noqa: B023 - called here

        best = income(np.array(list(split.values())))
        assert all(income(generator.dirichlet(np.ones(5))) <= best + 1e-12 for _ in range(200))


def test_a_server_that_does_not_know_its_budget_takes_the_odds_as_given():
    odds, p = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.4, 0.2])
    split = make_policy("best_response").split(held=range(3), odds=odds, beliefs=p, own={})
    assert split == pytest.approx(make_policy("price_taker").split(held=range(3), odds=odds, beliefs=p, own={}))


def test_imitators_serve_one_file_with_the_probability_of_its_odds():
    odds, n_servers = np.array([0.1, 0.6, 0.3]), 2_000
    draws = keyed_generator(1, "imitators").random(n_servers)
    policy = make_policy("imitator")
    splits = [policy.split(held=[1, 2], odds=odds, beliefs=np.zeros(3), own={}, draw=draw) for draw in draws]
    assert all(sorted(split.values()) == [0.0, 1.0] for split in splits)
    p = 0.6 / 0.9
    assert abs(sum(split[1] for split in splits) / n_servers - p) < 5 * np.sqrt(p * (1 - p) / n_servers)


def test_a_reseeder_serves_what_it_fetched():
    policy, p = make_policy("reseed"), np.full(3, 1 / 3)
    assert policy.split(held=range(3), odds=p, beliefs=p, own={}, fetched={1}) == {0: 0.0, 1: 1.0, 2: 0.0}
    assert policy.split(held=[0, 2], odds=p, beliefs=p, own={}) == {0: 0.5, 2: 0.5}


OWN = """
import numpy as np
from node.policies import Policy

class Own(Policy):
    def weights(self, view):
        return {body}
"""


@pytest.fixture
def own(tmp_path):
    """Return a function that writes a policy of one's own with this body and returns its path."""

    def write(body, text=OWN):
        path = tmp_path / "own.py"
        path.write_text(text.format(body=body), encoding="utf-8")
        return str(path)

    return write


def test_a_policy_of_ones_own_is_found_by_its_path(own):
    policy = make_policy(own("view.beliefs / view.odds"))
    shares = policy.split(held=[0, 1], odds=[0.5, 0.5], beliefs=np.array([0.2, 0.6]), own={})
    assert shares == pytest.approx({0: 0.25, 1: 0.75})
    assert make_policy(own("view.beliefs / view.odds")) is not policy


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("nothing", r"own\.py:7: NameError"),
        ("np.ones(2)", "not 3 finite numbers >= 0"),
        ("1.0", "not 3 finite numbers >= 0"),
        ("-view.odds", "not 3 finite numbers >= 0"),
        ("view.odds * np.nan", "not 3 finite numbers >= 0"),
        ("None", "not 3 finite numbers >= 0"),
        ("'all of it'", "ValueError"),
    ],
)
def test_a_policy_that_does_not_split_is_refused_before_it_is_used(own, body, why):
    with pytest.raises(ConfigError, match=why) as caught:
        make_policy(own(body))
    assert caught.value.field == "policy"


@pytest.mark.parametrize("text", ["x = 1", OWN + OWN.replace("Own", "Other"), "from node.policies.fixed import Fixed"])
def test_a_file_has_exactly_one_policy(own, text):
    with pytest.raises(ConfigError, match=r"FILE\.py with one class .* \(it has [02]\)"):
        make_policy(own("view.odds", text))


def test_weights_that_turn_bad_later_are_an_error_and_no_odd_split(own):
    policy = make_policy(own("view.odds if len(view.held) == 3 else -view.odds"))
    with pytest.raises(LocalProtocolError, match=r"Own\.weights gave \[-1"):
        policy.split(held=[0], odds=[1.0], beliefs=np.array([1.0]), own={})
