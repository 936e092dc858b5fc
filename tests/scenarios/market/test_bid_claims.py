"""The claims about bids, on made-up records: they hold for bids in equilibrium, and fail for what they guard against."""

import math

import msgspec
import numpy as np
import pytest

from netem.clock import S
from netem.errors import ConfigError
from netem.randomness import keyed_generator
from node.events import PieceAccepted
from node.turns import make_turns
from scenarios.claims import Record, Trace
from scenarios.content import Shared
from scenarios.market.bid_claims import (
    crowd_distance_claim,
    crowd_gap_claim,
    phases,
    quiet_distance_claim,
    quiet_gap_claim,
    unsettled_bound,
)
from scenarios.market.submarkets import Bids, SubMarket, choose_files
from scenarios.scripts import equilibrium, herding, many_servers
from scenarios.solvers.bid_dynamics import Rule, play
from scenarios.solvers.equilibrium import solve
from tracker.events import DownloadSettled, FeeHeld

BOARDS = 40  # of each phase
BELIEFS = keyed_generator(1, "test").dirichlet(np.full(4, 3.0), 5)
NODES = [bytes([number]) * 8 for number in range(5)]
RATE = 100_000.0


def market(beliefs=BELIEFS, *, name="market", policy="best_response", turns="damped:0.3", first=0, file=0):
    servers, files = beliefs.shape
    return SubMarket(
        name=name,
        servers=range(first, first + servers),
        files=range(file, file + files),
        beliefs=beliefs,
        policy=policy,
        turns=turns,
    )


def record_of(params, markets, splits, events=()):
    """Bids that stay at `splits` (one array a market, or a function of the board) on every board of a quiet and a busy phase."""
    servers = sum(len(each.servers) for each in markets)
    trace = Trace()
    for time_s, event in [(BOARDS + 1.0, PieceAccepted(NODES[0], b"d" * 16, 0, 0, [(NODES[1], 20_000)])), *events]:
        trace.fold(round(time_s * S), event)
    bids = [
        Bids(
            number * S,
            np.full(servers, RATE),
            [np.asarray(split(number) if callable(split) else split) for split in splits],
        )
        for number in range(1, 2 * BOARDS + 1)
    ]
    facts = {"markets": markets, "bids": bids, "crowd_ns": BOARDS * S, "left_ns": 2 * BOARDS * S, "servers": NODES}
    facts["rates_per_s"] = np.full(sum(len(each.files) for each in markets), 2.0)
    return Record(params=params, trace=trace, started_ns=0, certificate=None, facts=facts, ledger_ok={})


def at_rest(beliefs=BELIEFS):
    return solve(beliefs, np.ones(len(beliefs))).bids


def moving(mover):
    """Splits that a simulation without losses shows from an even start on."""
    rule = Rule(make_turns(mover.turns), mover.policy == "best_response", loss=0.0, late=0.0)
    even = np.full(mover.beliefs.shape, 1 / mover.beliefs.shape[1])
    rates = np.ones((2 * BOARDS, len(mover.servers)))
    played = play(rule, mover.beliefs, rates=rates, start=even, plays=1, chance=keyed_generator(2, "moving"))
    return lambda number: played.splits[number - 1, 0]


@pytest.mark.parametrize("claim", [quiet_distance_claim, quiet_gap_claim, crowd_distance_claim, crowd_gap_claim])
def test_bids_in_equilibrium_hold_and_bids_as_believed_fail(claim):
    assert claim(record_of(equilibrium.Params(), [market()], [at_rest()])).ok
    failed = claim(record_of(equilibrium.Params(), [market()], [np.full(BELIEFS.shape, 0.25)]))
    assert failed.ok is False
    assert failed.measured > 1.5 * failed.tolerance


def test_in_quiet_bids_a_little_off_the_equilibrium_fail():
    near = 0.99 * at_rest() + 0.01 * BELIEFS[::-1]
    claim = quiet_distance_claim(record_of(equilibrium.Params(), [market()], [near]))
    assert claim.ok is False


@pytest.mark.parametrize("claim", [quiet_gap_claim, crowd_gap_claim])
def test_a_gap_is_not_judged_where_chance_would_hide_even_bids_that_are_all_alike(claim):
    alike = np.full((2, 2), 0.5) + 1e-9 * np.array([[1, -1], [-1, 1]])
    judged = claim(record_of(equilibrium.Params(servers=2), [market(alike)], [at_rest(alike)]))
    assert judged.ok is False
    assert "would hide" in judged.note


def test_too_few_boards_are_not_judged_as_if_they_were_enough():
    record = record_of(equilibrium.Params(), [market()], [at_rest()])
    record.facts["bids"][:] = record.facts["bids"][:15]
    for claim in (
        *[judge(record) for judge in (quiet_distance_claim, crowd_distance_claim)],
        equilibrium.income_claim(record),
    ):
        assert claim.ok is False
        assert "too little data" in claim.note


def test_a_run_that_goes_on_is_judged_by_what_it_has_come_to():
    record = record_of(equilibrium.Params(), [market()], [at_rest()])
    del record.facts["left_ns"], record.facts["crowd_ns"]
    record.facts["bids"][:] = record.facts["bids"][:BOARDS]
    assert quiet_distance_claim(record).ok
    assert [claim.ok for claim in equilibrium.income_claims(record)] == [False, False]


def test_what_is_left_unsettled_is_bounded_by_its_spread():
    assert unsettled_bound(np.array([0.1, 0.3])) == pytest.approx(0.2 + 10 * math.sqrt(0.02))
    assert unsettled_bound(np.zeros(5)) == 1e-6  # boards are float32


def test_envy_holds_in_equilibrium_and_fails_when_one_server_bids_beside_what_it_likes():
    beliefs = np.array([[0.97, 0.03], [0.5, 0.5], [0.2, 0.8]])
    judge = lambda bids: equilibrium.envy_claim(record_of(equilibrium.Params(), [market(beliefs)], [bids]))  # noqa: E731 - one line
    assert judge(at_rest(beliefs)).ok
    foolish = at_rest(beliefs).copy()
    foolish[0] = [0.0, 1.0]
    assert judge(foolish).ok is False
    assert judge(foolish).measured < judge(foolish).predicted


def paid(shares, *, per_s=8.0, factor=1.0):
    """Requests at regular times for the files in turn, each paid by shares (servers, files) times a factor, with some scatter."""
    events, chance = [], keyed_generator(3, "paid")
    for number in range(round(per_s * BOARDS)):
        download, asked_s = number.to_bytes(16, "big"), BOARDS + number / per_s
        scattered = shares[:, number % 4] * np.exp(0.05 * chance.standard_normal(5))
        payouts = [
            (node, round(1e6 * share * factor)) for node, share in zip(NODES, scattered / scattered.sum(), strict=True)
        ]
        events += [
            (asked_s, FeeHeld(download, number % 4, b"c" * 8, 1_000_000)),
            (asked_s + 3, DownloadSettled(download, "close", payouts, 0)),
        ]
    return events


def test_income_by_shares_holds_and_income_by_other_shares_fails():
    shares = at_rest() / at_rest().sum(axis=0)
    judge = lambda events: [  # noqa: E731 - one line
        claim.ok
        for claim in equilibrium.income_claims(record_of(equilibrium.Params(), [market()], [at_rest()], events))
    ]
    assert judge(paid(shares)) == [True, True]
    assert judge(paid(np.roll(shares, 1, axis=0)))[1] is False
    assert judge(paid(shares, factor=0.3)) == [False, False]


def test_servers_that_earn_nothing_fail_and_are_not_judged_where_chance_could_have_it_so():
    record = record_of(equilibrium.Params(), [market()], [at_rest()])
    claim = equilibrium.income_claim(record)
    assert claim.ok is False
    assert claim.measured > 4
    record.facts["rates_per_s"] /= 10
    assert "chance would hide that it earned nothing" in equilibrium.income_claim(record).note


def test_income_is_not_judged_by_uploads_that_a_topology_sets():
    record = record_of(equilibrium.Params(topology="t.toml"), [market()], [at_rest()])
    assert [claim.ok for claim in equilibrium.income_claims(record)] == [None, None]


def test_income_is_discounted_from_the_request_on_and_due_by_the_board_before_it():
    turned = lambda number: at_rest()[::-1] if number > BOARDS + 5 else at_rest()  # noqa: E731 - one line
    record = record_of(equilibrium.Params(discount=0.1), [market()], [turned], [
        (BOARDS + 5.5, FeeHeld(b"d" * 16, 0, b"c" * 8, 200)),
        (BOARDS + 9.0, DownloadSettled(b"d" * 16, "close", [(NODES[2], 50)], 150)),
    ])  # fmt: skip
    (payment,) = equilibrium.payments(record)
    assert payment.paid == pytest.approx([0, 0, 0.25, 0, 0])
    assert payment.due == pytest.approx(at_rest()[:, 0] / at_rest()[:, 0].sum())
    assert payment.factor == pytest.approx(math.exp(-0.55))
    assert not payment.whole


def many(splits_of, counts=(2, 4, 8, 16)):
    params, first = many_servers.Params(), np.cumsum((0, *counts))
    markets = [
        market(
            np.repeat(params.types(), count // 2, axis=0), name=f"{count} servers", first=first[number], file=2 * number
        )
        for number, count in enumerate(counts)
    ]
    return record_of(params, markets, [splits_of(each) for each in markets])


def test_exact_equilibria_come_to_the_consensus_as_one_over_m():
    judged = many_servers.quiet_claims(many(lambda each: at_rest(each.beliefs)))
    assert [claim.ok for claim in judged] == [True] * 5
    assert judged[-1].measured == pytest.approx(-1.10, abs=0.01)


def test_servers_that_do_not_hold_back_when_they_are_few_fail():
    largest = at_rest(np.repeat(many_servers.Params().types(), 8, axis=0))
    judged = many_servers.quiet_claims(many(lambda each: np.repeat(largest[[0, -1]], len(each.servers) // 2, axis=0)))
    assert [claim.ok for claim in judged[1:3]] == [False, False]
    assert judged[-1].ok is False


def test_under_load_odds_far_from_the_equilibrium_fail():
    judge = lambda splits_of: [claim.ok for claim in many_servers.crowd_claims(many(splits_of, counts=(2, 4)))]  # noqa: E731 - one line
    assert judge(lambda each: at_rest(each.beliefs)) == [True, True]
    assert judge(lambda each: np.tile([0.6, 0.4], (len(each.servers), 1))) == [False, False]  # the consensus itself


P = np.tile([0.4, 0.3, 0.2, 0.1], (8, 1))


@pytest.mark.parametrize(("policy", "turns"), herding.KINDS)
def test_every_kind_of_turns_is_held_to_its_own_dynamics(policy, turns):
    mover = market(P, name=f"{policy} {turns}", policy=policy, turns=turns)
    record = record_of(herding.Params(), [mover], [moving(mover)])
    judged = herding.rest_claims(record, phases(record, crowd=False)[0], when="quiet")
    assert [claim.ok for claim in judged] == [True] * 3


def test_a_herd_that_rests_and_turns_that_do_not_settle_fail():
    still = market(P, policy="best_response", turns="all")
    record = record_of(herding.Params(), [still], [lambda number: P if number > 10 else np.full(P.shape, 0.25)])
    assert herding.rest_claims(record, phases(record, crowd=False)[0], when="quiet")[0].ok is False
    restless, herd = market(P, turns="random:0.2"), moving(market(P, policy="best_response", turns="all"))
    record = record_of(herding.Params(), [restless], [herd])
    judged = herding.rest_claims(record, phases(record, crowd=False)[0], when="quiet")
    assert [claim.ok for claim in judged] == [False] * 3


def test_a_market_trades_the_runs_content_and_real_files_beside_it_if_that_is_too_little(tmp_path):
    content = [Shared(str(number), tmp_path, 1) for number in range(7)]
    assert choose_files(content, markets=2, files=3) == content[:6]
    files = choose_files(content, markets=2, files=5)
    assert files[:7] == content
    assert len({file.name for file in files}) == 10
    assert all(file.path.is_file() for file in files[7:])


def test_servers_believe_what_their_market_does_and_nothing_of_other_files():
    cast = market(file=2).casts()[1]
    assert cast.prior == [0.0, 0.0, *BELIEFS[1]]
    assert (cast.policy, cast.turns, cast.beliefs) == ("best_response", "damped:0.3", "given")


@pytest.mark.parametrize(
    ("kind", "values", "refusal"),
    [
        (equilibrium.Params, {"nodes": 11}, "nodes: 11 is not allowed; allowed: at least 12"),
        (equilibrium.Params, {"turns": "never"}, "turns: 'never'"),
        (equilibrium.Params, {"fee_credits": 10, "endowment_credits": 9}, "fee_credits: 10"),
        (many_servers.Params, {"second": 0.99}, "second: 0.99 is not allowed; allowed: below first"),
        (herding.Params, {"servers": 12}, "nodes: 48"),
    ],
)
def test_unreasonable_parameters_are_refused(kind, values, refusal):
    with pytest.raises(ConfigError, match=refusal):
        msgspec.convert(msgspec.to_builtins(kind()) | values, kind)
