"""Pure: the claims of a market with free riders: who got how many files, at which price, and what serving brings.

Source: huberman-wu, sections 1, 2 and 4, eq. (1) and (3); the laws are those of `scenarios/market/riding.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from scenarios.claims import Claim, Record, assumed, compare, unjudged
from scenarios.market.riding import granted_law, refused_law
from scenarios.market.riding_books import CONTRIBUTOR, COPYCAT, FREE_RIDER, Account, Market, market_of, read_accounts
from tracker.bank.transactions import CREDIT

DEVIATIONS = 4.0
ACCOUNTS = "accounts against the trace, gap (µcr)"
RIDER_FILES, REFUSALS = "files a free rider gets (mean)", "refusals of free riders who cannot pay"
CONTRIBUTOR_FILES = "files a contributor gets of those it wants (mean)"
COPYCAT_FILES = "files a copycat gets (mean), at least"
GAIN = "income less fees, servers' - riders' (credits)"
BOUGHT = "min(A, endowment / fee), A ~ Poisson: scenarios/market/riding.py"
SERVED = "huberman-wu, eq. (1) and (3): to serve pays for one's own downloads; bound: scenarios/market/riding.py"
PRICE = "huberman-wu, section 2: one flat fee, and all of it goes to those who served"
PRIVATE = "huberman-wu, section 1: provision is a private good; credits only change hands"


def judge(record: Record) -> list[Claim]:
    """Judge a run of the scenario `free-riders`; a claim about a role that nobody plays is left open."""
    accounts = read_accounts(record.trace)
    market = market_of(record, accounts)
    return [
        _accounts_claim(record, accounts),
        *_rider_claims(market),
        _contributor_claim(market),
        _copycat_claim(market),
        *_price_claims(market),
        _gain_claim(market),
    ]


def _accounts_claim(record: Record, accounts: Mapping[bytes, Account]) -> Claim:
    """Claim that at the end every account is its endowment - paid + earned, so that all of them are all endowments."""
    balances = record.facts.get("balances_credits", {})
    granted = record.params.endowment_credits
    gaps = [abs(balance - granted - accounts.get(node, Account()).net_credits) for node, balance in balances.items()]
    return compare(
        ACCOUNTS,
        predicted=0,
        measured=max([*gaps, abs(sum(balances.values()) - granted * len(balances))]) if gaps else None,
        tolerance=0,
        source=f"{PRIVATE}; DESIGN section 4",
        note=f"endowment - paid + earned, for each of {len(gaps)} accounts; together they hold the endowments",
    )


def _rider_claims(market: Market) -> Iterator[Claim]:
    """Claim what free riders get, by the law of their demand, and what they are refused, given what they asked for."""
    riders = market.accounts[FREE_RIDER]
    if open_ := _left_open(market, FREE_RIDER, RIDER_FILES, REFUSALS):
        yield from open_
        return
    mean, variance = granted_law(market.asked, market.most)
    yield compare(
        RIDER_FILES,
        predicted=mean,
        measured=fmean(account.opened for account in riders),
        tolerance=_noise(market, riders, variance),
        source=BOUGHT,
        note=_wishes(riders),
    )
    yield compare(
        REFUSALS,
        predicted=sum(max(0, account.asked - market.most) for account in riders),
        measured=sum(account.broke for account in riders),
        tolerance=_spoilt(riders),
        source="wishes beyond endowment / fee: scenarios/market/riding.py",
        note=_wishes(riders),
    )


def _contributor_claim(market: Market) -> Claim:
    """Claim that contributors get what they ask for, but for the few wishes for which chance has left them without credit."""
    contributors = market.accounts[CONTRIBUTOR]
    if open_ := _left_open(market, CONTRIBUTOR, CONTRIBUTOR_FILES):
        return open_[0]
    wanted, tolerance = fmean(account.asked for account in contributors), _spoilt(contributors) / len(contributors)
    if market.price_credits:
        squares = fmean(account.earned_squares for account in contributors) / market.price_credits**2
        refused, square = refused_law(market.asked + squares, market.most - market.under_way)
        tolerance += refused + DEVIATIONS * math.sqrt(square / len(contributors))
        if tolerance >= wanted - granted_law(market.asked, market.most)[0]:
            why = f"with so few wishes and credits, chance may cost {tolerance:.1f} files, as much as having no income"
            return assumed(CONTRIBUTOR_FILES, why, SERVED)
    return compare(
        CONTRIBUTOR_FILES,
        predicted=wanted,
        measured=fmean(account.opened for account in contributors),
        tolerance=tolerance,
        source=SERVED,
        note=f"{_wishes(contributors)}; {sum(account.broke for account in contributors)} for which credit was lacking",
    )


def _copycat_claim(market: Market) -> Claim:
    """Claim that a copycat gets no fewer files than a free rider, since it earns beside."""
    copycats = market.accounts[COPYCAT]
    if open_ := _left_open(market, COPYCAT, COPYCAT_FILES):
        return open_[0]
    least, variance = granted_law(market.asked, market.most)
    measured, tolerance = fmean(account.opened for account in copycats), _noise(market, copycats, variance)
    return Claim(
        name=COPYCAT_FILES,
        predicted=least,
        measured=measured,
        tolerance=tolerance,
        ok=measured >= least - tolerance,
        source=BOUGHT,
        detectable=tolerance,
        note=f"one-sided; {_wishes(copycats)}",
    )


def _price_claims(market: Market) -> Iterator[Claim]:
    """Claim one price for all, whoever fetches and whoever serves: payments follow delivered bytes."""
    for role in (FREE_RIDER, CONTRIBUTOR):
        accounts = market.accounts[role]
        credits_of, files_of = [a.paid_credits for a in accounts], [a.fetched_files for a in accounts]
        yield _price_claim(market, role, "pays per file", credits_of=credits_of, files_of=files_of)
    for role in (CONTRIBUTOR, COPYCAT):
        accounts = market.accounts[role]
        credits_of, files_of = [a.earned_credits for a in accounts], [a.served_files for a in accounts]
        yield _price_claim(market, role, "earns per file", credits_of=credits_of, files_of=files_of)


def _price_claim(
    market: Market, role: str, what: str, *, credits_of: Sequence[int], files_of: Sequence[float]
) -> Claim:
    name = f"a {role.replace('_', ' ')} {what} (credits)"
    if open_ := _left_open(market, role, name):
        return open_[0]
    files = math.fsum(files_of)
    amounts = sum(account.amounts for account in market.accounts[role])
    return compare(
        name,
        predicted=market.price_credits / CREDIT,
        measured=sum(credits_of) / CREDIT / files if files else None,
        tolerance=amounts / CREDIT / files if files else 0.0,
        source=PRICE,
        note=f"{files:.1f} files, delivered by fractions; each amount is within a micro-credit of its share",
    )


def _gain_claim(market: Market) -> Claim:
    """Claim that what free riders pay is what the others have beyond what they pay themselves: so to serve pays."""
    riders, servers = market.accounts[FREE_RIDER], market.accounts[CONTRIBUTOR] + market.accounts[COPYCAT]
    if open_ := _left_open(market, FREE_RIDER, GAIN):
        return open_[0]
    bought, variance = granted_law(market.asked, market.most)
    all_files = len(riders) * (
        1 / len(riders) + 1 / len(servers)
    )  # a rider's file is its loss, and gained by all servers
    amounts = fmean(account.amounts for account in riders)  # each rounded by at most a micro-credit
    ridden = fmean(account.net_credits for account in riders) / CREDIT
    served = fmean(account.net_credits for account in servers) / CREDIT
    return compare(
        GAIN,
        predicted=market.price_credits / CREDIT * bought * all_files,
        measured=served - ridden,
        tolerance=(market.price_credits * _noise(market, riders, variance) + amounts) / CREDIT * all_files,
        source=PRIVATE,
        note=f"mean of free riders {ridden:+.3f}, of those who serve {served:+.3f}",
    )


def _left_open(market: Market, role: str, *names: str) -> list[Claim]:
    """Return the claims of these names undecided, if nobody plays their role or nobody could ask for anything."""
    if not market.accounts[role]:
        return [assumed(name, f"no node is a {role}", PRICE) for name in names]
    if not market.asked:
        return [unjudged(name, "no requests", PRICE) for name in names]
    return []


def _noise(market: Market, accounts: Sequence[Account], variance: float) -> float:
    """Return how far a mean number of files may be off: by chance, by wishes that failed, and by those nobody could have."""
    nodes = len(accounts)
    return DEVIATIONS * math.sqrt(variance / nodes) + (market.lost + _spoilt(accounts)) / nodes


def _spoilt(accounts: Sequence[Account]) -> int:
    return sum(account.spoilt for account in accounts)


def _wishes(accounts: Sequence[Account]) -> str:
    return f"{len(accounts)} nodes, {sum(account.asked for account in accounts)} wishes"
