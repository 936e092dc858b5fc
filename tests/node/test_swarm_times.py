"""How long a download takes from simulated servers, with and without loss, against size over rates."""

from __future__ import annotations

import math
import statistics
import sys

import pytest

from node.pace import JITTER_NS, SILENT_SPACINGS
from tests.node.simulated_swarm import KB, RTT_S, S, World
from tracker.messages import BLOCK_BYTES, PIECE_BYTES

MIXES = {
    "one-piece-20-equal": (PIECE_BYTES, [25 * KB] * 20),
    "one-piece-20-mixed": (PIECE_BYTES, [5 * KB, 10 * KB, 20 * KB, 50 * KB] * 5),
    "32-pieces-4-mixed": (32 * PIECE_BYTES, [100 * KB, 50 * KB, 30 * KB, 20 * KB]),
    "one-server": (4 * PIECE_BYTES, [100 * KB]),
    "5-pieces-3-slow": (5 * PIECE_BYTES - 77, [30 * KB, 10 * KB, 3 * KB]),
    "3-pieces-8-servers": (3 * PIECE_BYTES, [125 * KB, 60 * KB, 30 * KB, 15 * KB, 8 * KB, 8 * KB, 4 * KB, 3 * KB]),
}


def ideal_s(mix):
    size_bytes, rates = MIXES[mix]
    return size_bytes / sum(rates)


def median_s(mix, *, loss):
    size_bytes, rates = MIXES[mix]
    runs = 21 if size_bytes == PIECE_BYTES else 5  # short downloads scatter more
    times = [World(size_bytes, rates, loss=loss, run_seed=run_seed).run() for run_seed in range(runs)]
    return sorted(times)[runs // 2]


@pytest.mark.parametrize("mix", MIXES)
def test_without_loss_a_download_takes_little_more_than_size_over_rates_and_fetches_almost_nothing_twice(mix):
    size_bytes, rates = MIXES[mix]
    world = World(size_bytes, rates)
    assert world.run() <= 1.2 * ideal_s(mix) + 2 * RTT_S
    assert world.duplicates < 0.05
    assert not world.swarm.banned


@pytest.mark.parametrize("mix", sorted(set(MIXES) - {"32-pieces-4-mixed"}))
@pytest.mark.parametrize(("loss", "factor"), [(0.05, 1.15), (0.2, 1.6)])
def test_loss_costs_little_more_than_the_lost_blocks(mix, loss, factor):
    assert median_s(mix, loss=loss) <= factor * (1.2 * ideal_s(mix) + 2 * RTT_S)


FACTORS = {0.0: 1.2, 0.05: 1.15, 0.2: 1.6}
SHORT_RTT_S = 0.05  # the longest


def slowest_s(ideal_s, rate_bytes_per_s, n_servers, *, loss):
    """Return how long a download shorter than a second may take.

    Nothing comes for a round trip. Of what is under way in the end, 1 - (1 - loss)^2 must be asked again, of that the same
    part again, and so on until less than a block is left; each round takes a round trip and the time to notice the loss,
    which is jitter and a few blocks' time of a server.
    """
    if not loss:
        return 1.2 * ideal_s + SHORT_RTT_S
    under_way = max(rate_bytes_per_s * SHORT_RTT_S / BLOCK_BYTES, 1.0)
    noticed_s = JITTER_NS / S + SILENT_SPACINGS * BLOCK_BYTES * n_servers / rate_bytes_per_s
    rounds = math.log(under_way) / -math.log(1.0 - (1.0 - loss) ** 2)
    return ideal_s / (1.0 - loss) + SHORT_RTT_S + rounds * (SHORT_RTT_S + noticed_s)


def assert_bound(size_bytes, n_servers, rate_bytes_per_s, *, runs):
    """Check the median time at each loss, that few blocks are wasted, and print a line of the table (pytest -s)."""
    shares = [60, 100, 140, 200] * (n_servers // 4) or [1]
    rates = [rate_bytes_per_s * share / sum(shares) for share in shares]
    ideal_s = size_bytes / rate_bytes_per_s
    line = f"{size_bytes // 1024:5d} KiB, {n_servers:2d} servers, {rate_bytes_per_s / KB:5.0f} kB/s, {ideal_s:5.2f} s:"
    clean_s = ideal_s
    for loss, factor in FACTORS.items():
        times, wasted = [], 0
        for run_seed in range(runs):
            world = World(size_bytes, rates, loss=loss, delay_ns=15_000_000, jitter_ns=10_000_000, run_seed=run_seed)
            times.append(world.run())
            wasted += sum(world.swarm.ignored.values())
        median_s, wasted_share = statistics.median(times), wasted / runs / (size_bytes / BLOCK_BYTES)
        line += f"  {median_s / ideal_s:.2f} ({wasted_share:.1%} wasted)"
        allowed_s = factor * clean_s
        if ideal_s < 1.0:
            allowed_s = max(allowed_s, slowest_s(ideal_s, rate_bytes_per_s, n_servers, loss=loss))
        assert median_s <= allowed_s, line
        assert wasted_share < 0.06, line
        clean_s = median_s if not loss else clean_s
    sys.stdout.write(line + "\n")


@pytest.mark.parametrize("n_servers", [1, 4, 20])
@pytest.mark.parametrize("rate_bytes_per_s", [650 * KB, 2_000 * KB])
def test_short_downloads_take_little_more_than_size_over_rates_and_the_round_trips_that_loss_costs(
    n_servers, rate_bytes_per_s
):
    assert_bound(600 * 1024, n_servers, rate_bytes_per_s, runs=7)


@pytest.mark.slow
@pytest.mark.parametrize("size_bytes", [600 * 1024, 4 * 2**20])
@pytest.mark.parametrize("n_servers", [1, 4, 20])
@pytest.mark.parametrize("rate_bytes_per_s", [60 * KB, 200 * KB, 600 * KB, 1_000 * KB, 2_000 * KB])
def test_downloads_of_all_sizes_and_rates_take_little_more_than_size_over_rates(
    size_bytes, n_servers, rate_bytes_per_s
):
    assert_bound(size_bytes, n_servers, rate_bytes_per_s, runs=15 if size_bytes < 2**20 else 5)


@pytest.mark.parametrize("loss", [0.05, 0.2])
def test_a_long_lossy_download_asks_again_only_for_what_was_lost(loss):
    size_bytes, rates = MIXES["32-pieces-4-mixed"]
    world = World(size_bytes, rates, loss=loss)
    n_blocks = size_bytes / BLOCK_BYTES
    needed = 1.0 / (1.0 - loss)
    # Sent copies per block are geometric: sd of the mean sqrt(loss) / (1 - loss) / sqrt(n); 4 of them, and 2 % of waste.
    allowed = needed + 4 * loss**0.5 / (1 - loss) / n_blocks**0.5 + 0.02
    assert world.run() <= 1.1 * needed * ideal_s("32-pieces-4-mixed") + 2 * RTT_S
    assert 1.0 + world.duplicates <= allowed
