"""The claims about a market under attack, on made-up records: each holds for what it should and fails for the rest."""

from collections import Counter

import pytest

from netem.clock import S
from netem.errors import ConfigError
from node.events import PieceAccepted, ServerBanned
from node.roles.byzantine import byzantine_names
from node.tabs import MOST_OWED_BYTES
from scenarios.claims import Record, Trace
from scenarios.fitting import check_procs, fit
from scenarios.market.hostile_bounds import UNPAID_NAME, bound_claims
from scenarios.market.hostile_claims import GOODPUT_NAME, _role_claim, goodput_claim
from scenarios.options import Options
from scenarios.scripts.hostile import Params
from tracker.events import DownloadSettled, FeeHeld, FilePublished, FramesDropped
from tracker.messages import PIECE_BYTES
from tracker.odds import LEAST_BUSY

SERVER, FETCHER, LIAR = b"s" * 8, b"f" * 8, b"l" * 8
D = b"d" * 16
FEE = 1_000_000
PHASES = {"calm": 0, "attack": 100 * S, "over": 200 * S}


def sample(**changes):
    tracker = {"connections": 2, "budgets": 2, "strangers": 1, "strangers_bytes": 5, "downloads": 1}
    node = {"sessions": 2, "tabs": 1, "customers": 1, "blocks": 3}
    base = {"board_ahead": 0, "proven": {LIAR: 0.9}, "colluders": [], "tracker": tracker, "nodes": [node]}
    for key, value in changes.items():
        where = tracker if key in tracker else node if key in node else base
        where[key] = value
    return base


def record_of(events, *, role="wrong_pieces", symptom="banned", done=None, samples=None, served_bytes=5):
    trace = Trace()
    for time_s, event in events:
        trace.fold(round(time_s * S), event)
    facts = {
        "honest": [SERVER, FETCHER],
        "servers": [SERVER],
        "attackers": {LIAR: role},
        "symptoms": {role: symptom},
        "done": {role: Counter({"lies": 1}) if done is None else done},
        "samples": [sample()] if samples is None else samples,
        "served_bytes": {} if samples == [] else {SERVER: {LIAR: served_bytes}},
    }
    return Record(params=Params(), trace=trace, started_ns=0, certificate=None, facts=facts, ledger_ok={})


def pieces(per_s, start_s, end_s, *, server=SERVER):
    count = round(per_s * (end_s - start_s))
    times = [start_s + n / per_s for n in range(count)]
    return [(at, PieceAccepted(FETCHER, D, 0, 0, [(server, PIECE_BYTES)])) for at in times]


@pytest.mark.parametrize(("under_attack", "holds"), [(1.0, True), (0.81, True), (0.79, False), (0.1, False)])
def test_goodput_holds_from_eighty_percent_on(under_attack, holds):
    claim = goodput_claim(record_of(pieces(1, 0, 100) + pieces(under_attack, 100, 200)), PHASES)
    assert claim.name == GOODPUT_NAME
    assert claim.measured == pytest.approx(under_attack)
    assert claim.ok is holds


def test_what_attackers_serve_or_fetch_is_no_goodput_of_the_honest():
    events = pieces(1, 0, 100) + pieces(0.5, 100, 200) + pieces(1, 100, 200, server=LIAR)
    assert goodput_claim(record_of(events), PHASES).ok is False


def test_too_few_pieces_are_too_little_data():
    for events in (pieces(0.05, 0, 200), pieces(1, 0, 100), []):
        claim = goodput_claim(record_of(events), PHASES)
        assert claim.ok is False
        assert "too little data" in claim.note
    assert goodput_claim(record_of(pieces(1, 0, 200)), {"calm": 0}).ok is False


def settled(*, paid, accepted=PIECE_BYTES, downloader=FETCHER):
    return [
        (0, FilePublished(0, "a", 2 * PIECE_BYTES, bytes(32), SERVER)),
        (1, FeeHeld(D, 0, downloader, FEE)),
        (2, PieceAccepted(FETCHER, D, 0, 0, [(LIAR, accepted)])),
        (3, ServerBanned(FETCHER, D, LIAR, 0)),
        (4, DownloadSettled(D, "close", [(LIAR, paid)], FEE - paid)),
    ]


def test_a_role_paid_for_what_it_delivered_gains_nothing():
    claim = _role_claim(record_of(settled(paid=FEE // 2)), "wrong_pieces")
    assert (claim.measured, claim.ok) == (0, True)


def test_a_role_paid_a_credit_more_has_gained():
    claim = _role_claim(record_of(settled(paid=FEE // 2 + 1)), "wrong_pieces")
    assert (claim.measured, claim.ok) == (1, False)


def test_what_attackers_pay_each_other_is_no_gain():
    claim = _role_claim(record_of(settled(paid=FEE, downloader=LIAR)), "wrong_pieces")
    assert claim.ok is True


def test_an_attack_that_was_not_made_or_not_noticed_proves_nothing():
    events = settled(paid=FEE // 2)
    silent = record_of(events, done=Counter())
    unseen = record_of(events, symptom="flooded")
    noticed = record_of([*events, (5, FramesDropped("tracker", [("flooded", 3)]))], symptom="flooded")
    assert [_role_claim(r, "wrong_pieces").ok for r in (silent, unseen, noticed)] == [False, False, True]
    boast = [sample(), sample(proven={LIAR: 2.0})]
    assert _role_claim(record_of(events, symptom="overrated", samples=boast), "wrong_pieces").ok is True


def test_every_bound_holds_for_a_quiet_market_and_fails_beyond():
    def verdicts(served_bytes=5, **changes):
        events = [(0, FilePublished(0, "a", 2 * PIECE_BYTES, bytes(32), SERVER)), (0, FeeHeld(D, 0, FETCHER, FEE))]
        record = record_of(events, samples=[sample(), sample(**changes)], served_bytes=served_bytes)
        return [claim.ok for claim in bound_claims(record, PHASES)]

    assert verdicts() == [True] * 6
    beyond = [
        {"served_bytes": 2 * MOST_OWED_BYTES},
        {"proven": {LIAR: 1.01 / LEAST_BUSY}},
        {"board_ahead": 1},
        {"strangers": 1_000},
        {"strangers_bytes": 10**6},
        {"sessions": 21},
    ]
    for position, change in enumerate(beyond):
        assert verdicts(**change) == [at != position for at in range(6)]
    for table in ("connections", "budgets", "tabs", "customers", "blocks"):
        assert verdicts(**{table: 10**6})[-1] is False


def test_what_an_attacker_paid_for_is_not_held_against_it():
    paid = [
        (0, FilePublished(0, "a", 2 * MOST_OWED_BYTES, bytes(32), SERVER)),
        (1, FeeHeld(D, 0, LIAR, FEE)),
        (2, DownloadSettled(D, "close", [(SERVER, FEE // 2)], FEE - FEE // 2)),
    ]
    honest_part = next(bound_claims(record_of(paid, served_bytes=2 * MOST_OWED_BYTES), PHASES))
    assert (honest_part.name, honest_part.measured, honest_part.ok) == (UNPAID_NAME, 0, True)


def test_nothing_sampled_is_too_little_data():
    assert [claim.ok for claim in bound_claims(record_of([], samples=[]), PHASES)] == [False] * 6


def test_attacks_that_are_unknown_are_refused():
    with pytest.raises(ConfigError, match="slow_loris"):
        Params(attack="nonsense")
    assert Params().roles() == byzantine_names()
    assert Params(attack="slow_loris", attackers=16).roles() == ["slow_loris"]


def test_more_than_one_process_is_refused_and_never_chosen():
    with pytest.raises(ConfigError, match="--procs"):
        check_procs(Options(procs=2), Params())
    fitted = fit(Params(upload_bytes_per_s=1e8), Options(procs=None, time="real"), given=())
    assert (fitted.options.procs, fitted.values) == (1, {})
