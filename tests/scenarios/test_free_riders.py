"""The claims about free riders: they hold for an honest market, and each fails when what it guards is broken."""

import msgspec
import pytest

from netem.clock import S
from netem.errors import ConfigError
from node.events import PieceAccepted
from scenarios.claims import Record, Trace
from scenarios.content import Shared
from scenarios.market.events import Arrival, CrowdLeft
from scenarios.market.riding_books import CONTRIBUTOR, COPYCAT, FREE_RIDER, Declined, MarketOpened
from scenarios.market.riding_claims import (
    ACCOUNTS,
    CONTRIBUTOR_FILES,
    COPYCAT_FILES,
    GAIN,
    REFUSALS,
    RIDER_FILES,
    judge,
)
from scenarios.scripts.free_riders import Params, repertoires
from tracker.events import DownloadSettled, FeeHeld, FilePublished

SIZE_BYTES = 1000
FEE = 1_000_000
ROLES = {b"a": CONTRIBUTOR, b"b": CONTRIBUTOR, b"c": COPYCAT, b"r": FREE_RIDER, b"s": FREE_RIDER}
PARAMS = Params(nodes=5, duration_s=100.0, requests_per_node=60.0, fee_credits=FEE, endowment_credits=30 * FEE)
FREE = msgspec.structs.replace(PARAMS, payment="off")
PAYS = "a free rider pays per file (credits)"
EARNS = "a copycat earns per file (credits)"


class Play:
    """A made-up market in which a file comes from two servers, 3:1, and is paid for at once."""

    def __init__(self, params=PARAMS):
        self.params = params
        self.events = [(0.0, FilePublished(0, "f", SIZE_BYTES, bytes(32), b"a")), (1.0, MarketOpened())]
        self.balances = dict.fromkeys(ROLES, params.endowment_credits)
        self.now_s = 2.0
        self.downloads = 0

    def buy(self, node, servers, *, shares=(0.75, 0.25), delivered=1.0):
        """Let a node fetch a file, whether it can pay or not."""
        fee = self.params.price_credits()
        name = self.downloads.to_bytes(16, "big")
        self.downloads += 1
        sources = [
            (server, round(share * delivered * SIZE_BYTES)) for server, share in zip(servers, (0.75, 0.25), strict=True)
        ]
        payouts = [(server, round(share * delivered * fee)) for server, share in zip(servers, shares, strict=True)]
        refund = fee - round(delivered * fee)
        self.tell(
            Arrival(0, node),
            FeeHeld(name, 0, node, fee),
            PieceAccepted(node, name, 0, 0, sources),
            DownloadSettled(name, "close", payouts, refund),
        )
        self.balances[node] -= fee - refund
        for server, credits_ in payouts:
            self.balances[server] += credits_

    def refuse(self, node, reason="insufficient"):
        self.tell(Arrival(0, node), Declined(node, 0, reason))

    def tell(self, *events):
        self.events += [(self.now_s, event) for event in events]
        self.now_s += 1.0

    def claims(self, roles=None):
        trace = Trace()
        for time_s, event in [*self.events, (101.0, CrowdLeft())]:
            trace.fold(round(time_s * S), event)
        facts = {"roles": roles or ROLES, "balances_credits": self.balances}
        record = Record(params=self.params, trace=trace, started_ns=0, certificate=None, facts=facts, ledger_ok={})
        return {claim.name: claim for claim in judge(record)}


def others(node):
    return [b"a" if node != b"a" else b"c", b"b" if node != b"b" else b"c"]


def honest(params=PARAMS, *, riders_get=30):
    play = Play(params)
    for _ in range(60):
        for node in (b"a", b"b", b"c"):
            play.buy(node, others(node))
    for node in (b"r", b"s"):
        for _ in range(riders_get):
            play.buy(node, others(node))
        for _ in range(70 - riders_get):
            play.refuse(node)
    return play


def broken(claims):
    return {name for name, claim in claims.items() if claim.ok is not True}


def test_an_honest_market_holds_every_claim():
    claims = honest().claims()
    assert broken(claims) == set()
    assert (claims[REFUSALS].predicted, claims[REFUSALS].measured) == (80, 80)
    assert claims[RIDER_FILES].measured == 30
    assert (claims[PAYS].predicted, claims[PAYS].measured) == (1.0, pytest.approx(1.0))
    # Each rider has lost its 30 credits, which the three others have beyond their own.
    assert claims[GAIN].measured == pytest.approx(30 + 20)
    assert claims[GAIN].predicted == pytest.approx(claims[RIDER_FILES].predicted * (1 + 2 / 3))


def test_without_payment_free_riders_get_all_and_nobody_gains():
    claims = honest(FREE, riders_get=70).claims()
    assert broken(claims) == set()
    assert claims[RIDER_FILES].predicted == claims[CONTRIBUTOR_FILES].predicted == 60
    assert (claims[REFUSALS].measured, claims[CONTRIBUTOR_FILES].tolerance) == (0, 0)
    assert (claims[PAYS].measured, claims[EARNS].measured, claims[GAIN].measured) == (0, 0, 0)


def test_a_refusal_of_what_is_free_fails():
    assert broken(honest(FREE, riders_get=69).claims()) == {REFUSALS}
    play = honest(FREE, riders_get=70)
    play.refuse(b"a")
    assert broken(play.claims()) == {CONTRIBUTOR_FILES}


def test_a_single_file_without_credit_fails():
    assert REFUSALS in broken(honest(riders_get=31).claims())
    assert REFUSALS in broken(honest(riders_get=29).claims())


def test_free_riders_who_get_all_the_same_fail_in_files_and_in_credits():
    play = Play()
    for node in ROLES:
        for _ in range(70 if node in (b"r", b"s") else 60):
            play.buy(node, others(node))
    assert {RIDER_FILES, REFUSALS, GAIN} <= broken(play.claims())


def test_free_riders_who_are_paid_fail():
    play = honest()
    for _ in range(10):
        play.buy(b"a", [b"r", b"s"])
    assert GAIN in broken(play.claims())


def test_a_server_paid_for_more_than_it_delivered_fails():
    play = honest()
    play.buy(b"a", [b"b", b"c"], shares=(0.74, 0.26))
    claims = play.claims()
    assert broken(claims) == {EARNS, "a contributor earns per file (credits)"}
    assert claims[EARNS].measured > 1


def test_a_downloader_charged_less_than_the_others_fails():
    play = Play()
    for node in ROLES:
        play.buy(node, others(node))
    play.events = [
        (
            at,
            msgspec.structs.replace(event, refund_credits=10)
            if at == play.now_s - 1 and "refund" in str(event)
            else event,
        )
        for at, event in play.events
    ]
    assert {PAYS, ACCOUNTS} <= broken(play.claims())


def test_an_account_that_is_off_by_a_micro_credit_fails():
    play = honest()
    play.balances[b"c"] += 1
    assert broken(play.claims()) == {ACCOUNTS}


def test_contributors_who_cannot_live_on_their_income_fail():
    play = honest()
    for _ in range(30):
        play.refuse(b"a")
        play.refuse(b"b")
    assert broken(play.claims()) == {CONTRIBUTOR_FILES}


def test_credits_so_few_that_chance_may_ruin_a_contributor_leave_its_files_unjudged():
    play = Play(msgspec.structs.replace(PARAMS, requests_per_node=6.0, endowment_credits=3 * FEE))
    for _ in range(6):
        for node in (b"a", b"b", b"c"):
            play.buy(node, others(node))
    claims = play.claims()
    assert claims[CONTRIBUTOR_FILES].ok is None
    assert "chance may cost" in claims[CONTRIBUTOR_FILES].note


def test_copycats_who_get_less_than_free_riders_fail():
    play = Play()
    for _ in range(60):
        for node in (b"a", b"b"):
            play.buy(node, others(node))
    claims = play.claims(roles={**ROLES, **{bytes([n]): COPYCAT for n in range(12)}})
    assert COPYCAT_FILES in broken(claims)


def test_downloads_that_did_not_end_and_wishes_that_failed_widen_the_bounds_by_one_file_each():
    play = honest(riders_get=29)
    for node in (b"r", b"s"):
        play.buy(node, others(node), delivered=0.5)
        play.refuse(node, "no-servers")
    claims = play.claims()
    assert broken(claims) == set()
    assert claims[REFUSALS].tolerance == 4
    assert claims[REFUSALS].measured != claims[REFUSALS].predicted


def test_roles_that_nobody_plays_are_left_open():
    claims = honest().claims(roles={b"a": CONTRIBUTOR, b"b": CONTRIBUTOR})
    assert {name for name, claim in claims.items() if claim.ok is None} == {
        *(RIDER_FILES, REFUSALS, COPYCAT_FILES, GAIN, PAYS, EARNS)
    }
    assert all("no node is a" in claim.note for claim in claims.values() if claim.ok is None)


def test_a_market_that_never_opened_is_too_little_data():
    play = Play()
    play.events = play.events[:1]
    play.balances = {}
    claims = play.claims()
    assert broken(claims) == set(claims)


def test_a_market_needs_a_fee_that_can_be_paid_and_two_servers():
    with pytest.raises(ConfigError, match="fee_credits"):
        Params(fee_credits=2, endowment_credits=1)
    with pytest.raises(ConfigError, match=r"free_riders: 0\.9 .* 2 of 16 nodes"):
        Params(free_riders=0.9)
    with pytest.raises(ConfigError, match="policy"):
        Params(policy="nonsense")
    assert Params(nodes=8, free_riders=0.5, copycats=0.25).roles() == [
        *([CONTRIBUTOR] * 2),
        *([COPYCAT] * 2),
        *([FREE_RIDER] * 4),
    ]


@pytest.mark.parametrize(("peers", "count"), [(10, 12), (2, 5), (3, 1), (7, 4)])
def test_every_file_is_published_and_contributors_publish_alike(tmp_path, peers, count):
    files = [Shared(str(number), tmp_path, 1) for number in range(count)]
    published = [own for _, own in repertoires(range(peers), files)]
    assert {len(own) for own in published} == {(count + 1) // 2}
    assert {file.name for own in published for file in own} == {file.name for file in files}
