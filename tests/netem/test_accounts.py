"""Pure: accounts of several processes: packed, unpacked and merged without a loss."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netem.accounts import Account, merge, pack, unpack
from netem.certificate import Conservation, LinkCount
from netem.fates import no_drops
from netem.impairments.gilbert_elliott import GilbertElliott
from netem.impairments.loss import Loss
from netem.link import Exposure, LinkConfig

NAMES = st.sampled_from(["a", "b", "c"])
COUNTS = st.integers(0, 10**6)
CONFIGS = st.sampled_from([LinkConfig(), LinkConfig((Loss(0.1),)), LinkConfig((GilbertElliott(0.01, 0.3),), 1e6 / 3)])
LINKS = st.builds(
    LinkCount,
    source=NAMES,
    target=NAMES,
    exposures=st.lists(st.builds(Exposure, CONFIGS, st.integers(1, 10**6)), min_size=1, max_size=3).map(tuple),
    copies=COUNTS,
    received=COUNTS,
    dropped_later=COUNTS,
    in_flight=COUNTS,
    own_delay_sum_ns=st.integers(0, 10**15),
)


@st.composite
def accounts(draw):
    links = draw(st.lists(LINKS, max_size=5, unique_by=lambda count: (count.source, count.target)))
    dropped = [draw(COUNTS) for _ in no_drops()]
    kept = Conservation(draw(COUNTS), draw(COUNTS), draw(COUNTS), dropped=tuple(dropped), in_flight=draw(COUNTS))
    account = Account(kept, links, foreign=draw(COUNTS))
    for late_ns in draw(st.lists(st.integers(0, 10**9), max_size=20)):
        account.lateness.add(late_ns)
        account.lag.add(2 * late_ns)
    return account


def contents(account):
    links = sorted(account.links, key=lambda count: (count.source, count.target))
    return account.conservation, links, account.lateness.counts(), account.lag.counts(), account.foreign


@given(accounts())
def test_an_account_survives_the_pipe(account):
    assert contents(unpack(pack(account))) == contents(account)


def test_a_large_account_goes_in_parts_that_fit_a_frame():
    links = [
        LinkCount(
            source=f"node-{n}", target="tracker", exposures=(Exposure(LinkConfig((Loss(0.1),)), n),), copies=0,
            received=n, dropped_later=0, in_flight=0, own_delay_sum_ns=n,
        )
        for n in range(1, 20_001)
    ]  # fmt: skip
    account = Account(Conservation(0, 0, 0, dropped=tuple(no_drops()), in_flight=0), links)
    parts = list(pack(account))
    assert len(parts) > 1
    assert max(map(len, parts)) < 2**20
    assert unpack(parts).links == links


@given(accounts(), accounts())
def test_merging_adds_up_every_count(one, other):
    merged = merge([one, other])
    assert merged.conservation.missing == one.conservation.missing + other.conservation.missing
    assert sum(count.lost for count in merged.links) == sum(count.lost for count in [*one.links, *other.links])
    assert merged.lag.count == one.lag.count + other.lag.count
    assert merged.lag.max_ns == max(one.lag.max_ns, other.lag.max_ns)
    assert merged.foreign == one.foreign + other.foreign
    ends = [(count.source, count.target) for count in merged.links]
    assert len(ends) == len(set(ends))
