"""The claims about repertoires: they hold for what theory says, and fail when what they guard is broken."""

import msgspec
import numpy as np
import pytest

from netem.clock import S
from netem.errors import ConfigError
from node.events import LicenceBought, PieceAccepted
from scenarios.claims import Record, Trace
from scenarios.market.crowd import zipf_shares
from scenarios.market.events import CrowdLeft
from scenarios.market.repertoire_claims import Tried, licence_claims, revenue_claims
from scenarios.market.store_claims import FILES_NAME, PLACES_NAME, odds_claim, rest_claims
from scenarios.scripts.repertoire import Params
from tracker.events import BoardPosted, FileHeld

FILES, ENDED_S = 8, 60.0
PROVIDERS = [b"P%7d" % number for number in range(2)]
SERVERS = [b"S%7d" % number for number in range(12)]
PIRATE = b"pirate!!"
REPERTOIRES = [[0, 2, 4, 6], [1, 3, 5, 7]]
PRICE = Params().price_credits
# At rest, by `test_places.py`'s rule: 9 5 3 2 2 1 1 1 places for Zipf shares with exponent 0.8.
AT_REST = [(0, 1)] * 5 + [(0, 2)] * 3 + [(0, 3), (3, 4), (4, 5), (6, 7)]
POPULAR = [(0, 1)] * 12
EVENLY = [(0, 1), (2, 3), (4, 5), (6, 7)] * 3
TRIES = [(50.0, Tried(PIRATE, 0, way, "no-licence")) for way in ("fetch", "serve", "publish")]


def bought(stores):
    return [(1.0, LicenceBought(SERVERS[i], file, PRICE)) for i, files in enumerate(stores) for file in files]


def held(stores, nodes=SERVERS, at=2.0):
    return [(at, FileHeld(node, file, True)) for node, files in zip(nodes, stores, strict=True) for file in files]


def market(stores=AT_REST):
    piece = PieceAccepted(b"D" * 8, b"d" * 16, 0, 0, [(SERVERS[0], 60_000)])
    return [
        *held(REPERTOIRES, PROVIDERS, at=0.0),
        *bought(stores),
        *held(stores),
        (3.0, piece),
        *TRIES,
        (ENDED_S, CrowdLeft()),
    ]


def record_of(events, *, sales=None, **params):
    trace = Trace()
    for time_s, event in sorted(events, key=lambda pair: pair[0]):
        trace.fold(round(time_s * S), event)
    params = msgspec.structs.replace(Params(), **params)
    sold = [e.index for _, e in trace.of(LicenceBought)]
    if sales is None:
        sales = {
            node: params.price_credits * sum(file in files for file in sold)
            for node, files in zip(PROVIDERS, REPERTOIRES, strict=True)
        }
    facts = {
        "popularity": zipf_shares(FILES, params.zipf),
        "providers": PROVIDERS,
        "servers": SERVERS,
        "repertoires": REPERTOIRES,
        "sales": sales,
    }
    return Record(params=params, trace=trace, started_ns=0, certificate=None, facts=facts, ledger_ok={})


def verdicts(claims):
    return {claim.name: claim.ok for claim in claims}


def test_revenue_is_price_times_sales_for_each_provider_and_a_credit_off_fails():
    claims = revenue_claims(record_of(market()))
    assert [(claim.predicted, claim.ok) for claim in claims] == [(15 * PRICE, True), (9 * PRICE, True)]
    right = {PROVIDERS[0]: 15 * PRICE, PROVIDERS[1]: 9 * PRICE}
    for off in (-1, 1):
        claims = revenue_claims(record_of(market(), sales=right | {PROVIDERS[1]: 9 * PRICE + off}))
        assert [claim.ok for claim in claims] == [True, False]
    assert [c.ok for c in revenue_claims(record_of(market(), sales={}))] == [False, False]
    assert [c.ok for c in revenue_claims(record_of(market([()] * 12), sales=right))] == [False, False]


def test_a_sale_that_only_one_side_knows_of_fails():
    missed = [pair for pair in market() if pair[1] != LicenceBought(SERVERS[3], 1, PRICE)]
    right = {PROVIDERS[0]: 15 * PRICE, PROVIDERS[1]: 9 * PRICE}
    assert [claim.ok for claim in revenue_claims(record_of(missed, sales=right))] == [True, False]


def test_who_holds_or_serves_without_a_licence_is_seen():
    assert all(claim.ok for claim in licence_claims(record_of(market())))
    for trespass in (
        (40.0, FileHeld(PIRATE, 0, True)),
        (40.0, PieceAccepted(b"D" * 8, b"d" * 16, 1, 0, [(PIRATE, 9)])),
        (40.0, FileHeld(PROVIDERS[0], 1, True)),  # another's repertoire
    ):
        claim = licence_claims(record_of([*market(), trespass]))[1]
        assert (claim.ok, claim.measured) == (False, 1)


def test_a_try_that_succeeds_or_is_refused_for_another_reason_fails_and_so_does_no_try():
    for reason in ("", "unknown-file"):
        assert licence_claims(record_of([*market(), (51.0, Tried(PIRATE, 1, "serve", reason))]))[0].ok is False
    quiet = [pair for pair in market() if not isinstance(pair[1], Tried)]
    assert licence_claims(record_of(quiet))[0].ok is False


def test_stores_at_rest_hold_and_popular_or_untouched_ones_fail():
    assert verdicts(rest_claims(record_of(market()))) == {PLACES_NAME: True, FILES_NAME: True}
    places, files = rest_claims(record_of(market()))
    assert (places.measured, files.measured, files.predicted) == (0, 8, 8)
    assert verdicts(rest_claims(record_of(market(POPULAR)))) == {PLACES_NAME: False, FILES_NAME: False}
    assert verdicts(rest_claims(record_of(market(EVENLY)))) == {PLACES_NAME: False, FILES_NAME: True}


def test_popular_stores_are_predicted_for_the_policy_that_makes_them_and_no_others():
    assert verdicts(rest_claims(record_of(market(POPULAR), storage="popular"))) == {PLACES_NAME: True, FILES_NAME: True}
    assert verdicts(rest_claims(record_of(market(), storage="popular"))) == {PLACES_NAME: False, FILES_NAME: False}


@pytest.mark.parametrize(
    "values",
    [
        {"storage": "oldest_first"},
        {"beliefs": "learned"},
        {"keep_files": 8},
        {"policy": "price_taker"},
        {"topology": "x"},
    ],
)
def test_what_the_user_switched_off_is_left_unjudged(values):
    assert set(verdicts(rest_claims(record_of(market(), **values))).values()) == {None}


def test_empty_places_are_too_little_data_and_prices_beyond_any_income_leave_nothing_to_judge():
    assert set(verdicts(rest_claims(record_of(market([*AT_REST[:-1], (6,)])))).values()) == {False}
    costly = rest_claims(record_of(market(), price_credits=10**9))
    assert [claim.ok for claim in costly] == [None, None]
    noisy = [*market(), (3.0, PieceAccepted(b"D" * 8, b"d" * 16, 2, 0, [(SERVERS[0], 10**8)]))]
    assert [claim.ok for claim in rest_claims(record_of(noisy))] == [False, False]


def boards(shares, count=20):
    return [(ENDED_S - count + n, BoardPosted(n, list(shares), list(shares), 14)) for n in range(count)]


def stored_shares(stores):
    shares = np.zeros(FILES)
    for files in [*stores, *REPERTOIRES]:
        for file in files:
            shares[file] += 1 / len(files) / 14
    return shares


def test_odds_as_stored_hold_and_odds_of_other_stores_fail():
    claim = odds_claim(record_of([*market(), *boards(stored_shares(AT_REST))]))
    assert claim.ok
    assert claim.measured == pytest.approx(0, abs=1e-12)
    off = odds_claim(record_of([*market(), *boards(stored_shares(POPULAR))]))
    assert off.ok is False
    assert off.measured > 2 * off.tolerance
    assert odds_claim(record_of([*market(), *boards(stored_shares(AT_REST), count=10)])).ok is False
    assert odds_claim(record_of(market(), policy="proportional_response")).ok is None


def test_too_few_nodes_for_all_parts_are_refused():
    with pytest.raises(ConfigError, match="providers"):
        Params(nodes=10, servers_share=0.8, providers=2)
