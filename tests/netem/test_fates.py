"""Pure: the receivers' log counts what arrived, twice or out of order."""

import dataclasses
import random

import pytest

from netem import fates
from netem.fates import Cause, FateLog, no_drops
from netem.impairments.delay import Delay
from netem.route import HEADER


def slow_log(records):
    """Count the same with dictionaries: link -> [received, distinct, duplicates, reordered, sum, low, high]."""
    seen, highest, counts = set(), {}, {}
    for link, number, delay in records:
        row = counts.setdefault(link, [0, 0, 0, 0, 0, delay, delay])
        again = (link, number) in seen
        seen.add((link, number))
        row[0] += 1
        row[1] += not again
        row[2] += again
        row[3] += not again and number < highest.get(link, -1)
        highest[link] = max(number, highest.get(link, -1))
        row[4] += delay
        row[5], row[6] = min(row[5], delay), max(row[6], delay)
    return counts


def some_records(count):
    draws = random.Random(7)
    numbers = [0] * 150
    records = []
    for _ in range(count):
        link = draws.randrange(150)
        numbers[link] += draws.choice((1, 1, 1, 0, 2))
        records.append((link, max(0, numbers[link] - draws.choice((0, 0, 0, 3))), draws.randrange(10**9)))
    return records


@pytest.mark.parametrize("ask_every", [10**9, 700])
def test_folded_counts_equal_counts_taken_one_by_one(monkeypatch, ask_every):
    monkeypatch.setattr(fates, "FOLD_PACKETS", 5000)
    monkeypatch.setattr(fates, "_FOLD_NUMBERS", 4 * 5000)
    records = some_records(12_000)
    log = FateLog(links=4)
    for index, record in enumerate(records):
        log.received(record[0], record[1], 5, 5 + record[2])
        if index % ask_every == 1:
            log.totals()
    result = log.per_link()
    expected = slow_log(records)
    for link, row in expected.items():
        got = [
            result.received[link],
            result.distinct[link],
            result.duplicates[link],
            result.reordered[link],
            result.delay_sum_ns[link],
            result.delay_min_ns[link],
            result.delay_max_ns[link],
        ]
        assert got == row, link
    assert result.received.sum() == len(records)
    assert result.received[len(expected) :].sum() == 0


def test_totals_are_the_sums_over_links_and_asking_does_not_change_them():
    log = FateLog()
    for record in [(0, 0, 10), (0, 1, 20), (0, 1, 25), (3, 5, 30), (3, 4, 40)]:
        log.received(record[0], record[1], 5, 5 + record[2])
        log.totals()
    assert log.totals() == fates.FateTotals(5, 4, 1, reordered=1, delay_sum_ns=125)


def test_a_duplicate_is_recognised_however_often_somebody_asked_in_between():
    log = FateLog()
    log.received(1, 0, 5, 5)
    for number in range(1, 300):
        log.received(1, number, 5, 5)
        log.totals()
    log.received(1, 0, 5, 5)
    assert log.totals().duplicates == 1
    assert log.totals().reordered == 0


def test_frames_read_and_packets_recorded_are_counted_alike(monkeypatch):
    monkeypatch.setattr(fates, "FOLD_PACKETS", 500)
    monkeypatch.setattr(fates, "_FOLD_NUMBERS", 4 * 500)
    records = some_records(2_000)
    recorded, read = FateLog(), FateLog()
    sent_ns = 1_700_000_000 * 10**9
    for link, number, delay_ns in records:
        recorded.received(link, number, sent_ns, sent_ns + delay_ns)
        read.read(link, HEADER.pack(number, sent_ns), sent_ns + delay_ns)
    one, other = recorded.per_link(), read.per_link()
    for field in dataclasses.fields(one):
        assert (getattr(one, field.name) == getattr(other, field.name)).all(), field.name


def test_the_sum_of_squares_gives_the_spread():
    log = FateLog()
    for number, delay in enumerate((1_000_000, 3_000_000)):
        log.received(0, number, 5, 5 + delay)
    assert log.per_link().delay_sum_squares_ns2[0] == pytest.approx(10e12)


def test_lateness_is_fed_through_the_log():
    log = FateLog()
    log.late([5_000_000, 9_000_000], 10_000_000)
    log.late((20_000_000,), 19_000_000)
    assert (log.lateness.count, log.lateness.max_ns, log.lateness.sum_ns) == (3, 5_000_000, 6_000_000)


def test_every_cause_has_its_own_counter():
    assert len(no_drops()) == max(Cause) + 1
    assert len({int(cause) for cause in Cause}) == len(Cause)
    assert 0 not in set(Cause)


def test_after_a_live_change_each_delay_counts_where_its_own_packet_belongs():
    log, before, after = FateLog(), (Delay(0.01),), (Delay(0.02),)
    log.classify(0, before, law=before[0].delay_law, since=0)
    log.received(0, 0, 0, 10_000_000)
    log.classify(0, after, law=after[0].delay_law, since=2)
    log.received(0, 2, 0, 20_000_000)  # overtakes one that was sent before the change
    log.received(0, 1, 0, 10_000_000)
    counts = log.delays()
    assert (counts[before].sum(), counts[after].sum()) == (2, 1)
    log.classify(0, before, law=before[0].delay_law, since=3)
    log.received(0, 1, 0, 10_000_000)  # from before the change before: nobody knows any more
    assert log.delays()[before].sum() == 2
    log.classify(0, before, law=before[0].delay_law, since=None)
    log.received(0, 9, 0, 10_000_000)
    assert log.delays()[before].sum() == 2


def test_bytes_are_weighed_after_the_first_frame():
    log = FateLog()
    log.rated[7] = lambda size_bytes: size_bytes + 30
    for size_bytes in (1200, 100, 50):
        log.weigh(7, size_bytes)
    assert log.bytes_after_first() == {7: 210}
