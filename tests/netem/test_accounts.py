"""Pure: accounts of several processes: packed, unpacked and merged without a loss."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from netem.account_parts import pack, unpack
from netem.accounts import Account, merge
from netem.certificate import Conservation
from netem.delay_histograms import BINS
from netem.fates import no_drops
from netem.impairments.gilbert_elliott import GilbertElliott
from netem.impairments.loss import Loss
from netem.link_config import Exposure, LinkConfig, Rests
from netem.link_count import NUMBERS, Columns, LinkCount
from netem.plain_link import to_plain

NAMES = st.sampled_from(["a", "b", "c"])
COUNTS = st.integers(0, 10**6)
CONFIGS = st.sampled_from([LinkConfig(), LinkConfig((Loss(0.1),)), LinkConfig((GilbertElliott(0.01, 0.3),), 1e6 / 3)])
LINKS = st.builds(
    LinkCount,
    source=NAMES,
    target=NAMES,
    exposures=st.lists(st.builds(Exposure, CONFIGS, st.integers(1, 10**6)), min_size=1, max_size=3).map(tuple),
    rests=st.builds(Rests, COUNTS, st.lists(st.tuples(COUNTS, COUNTS), max_size=3).map(tuple)),
    dropped=st.lists(COUNTS, min_size=len(no_drops()), max_size=len(no_drops())).map(tuple),
    own_delay_squares_ns2=st.floats(0.0, 1e30),
    **{name: st.integers(0, 10**15) for name in NUMBERS if name != "own_delay_squares_ns2"},
)
CLASSES = st.dictionaries(
    CONFIGS.map(lambda config: config.impairments),
    st.dictionaries(st.integers(0, BINS + 1), st.integers(1, 10**9), max_size=5),
    max_size=3,
)


@st.composite
def accounts(draw):
    links = draw(st.lists(LINKS, max_size=5, unique_by=lambda count: (count.source, count.target)))
    dropped = [draw(COUNTS) for _ in no_drops()]
    kept = Conservation(
        *(draw(COUNTS) for _ in range(3)), dropped=tuple(dropped), in_flight=draw(COUNTS), unsure=draw(COUNTS)
    )
    account = Account(kept, links, foreign=draw(COUNTS))
    for key, filled in draw(CLASSES).items():
        account.delays[key] = np.zeros(BINS + 2, dtype=np.int64)
        account.delays[key][list(filled)] = list(filled.values())
    for late_ns in draw(st.lists(st.integers(0, 10**9), max_size=20)):
        account.lateness.add(late_ns)
        account.lag.add(2 * late_ns)
    return account


def contents(account):
    links = sorted(account.links, key=lambda count: (count.source, count.target))
    delays = {to_plain(LinkConfig(key)): counts.tolist() for key, counts in account.delays.items()}
    return account.conservation, links, account.lateness.counts(), account.lag.counts(), account.foreign, delays


@settings(max_examples=40)
@given(accounts())
def test_an_account_survives_the_pipe(account):
    assert contents(unpack(pack(account))) == contents(account)


def test_a_large_account_goes_in_parts_that_fit_a_frame():
    links = [
        LinkCount(
            source=f"node-{n}",
            target="tracker",
            exposures=(Exposure(LinkConfig((Loss(0.1),)), n),),
            rests=Rests(n, tuple((10**9 + place, 10**9) for place in range(256))),
            dropped=tuple(no_drops()),
            received=n,
        )
        for n in range(1, 2_001)
    ]
    account = Account(Conservation(0, 0, 0, dropped=tuple(no_drops()), in_flight=0), links)
    parts = list(pack(account))
    assert len(parts) > 1
    assert max(map(len, parts)) < 2**20
    assert unpack(parts).links == links


@settings(max_examples=40)
@given(accounts(), accounts())
def test_merging_adds_up_every_count(one, other):
    merged = merge([one, other])
    assert merged.conservation.missing == one.conservation.missing + other.conservation.missing
    added = {key: counts.sum() for key, counts in merged.delays.items()}
    assert sum(added.values()) == sum(counts.sum() for two in (one, other) for counts in two.delays.values())
    assert Columns(merged.links).lost.sum() == Columns([*one.links, *other.links]).lost.sum()
    assert merged.lag.count == one.lag.count + other.lag.count
    assert merged.lag.max_ns == max(one.lag.max_ns, other.lag.max_ns)
    assert merged.foreign == one.foreign + other.foreign
    ends = [(count.source, count.target) for count in merged.links]
    assert len(ends) == len(set(ends))
