"""What a run records: often enough to draw, seldom enough not to be felt."""

from __future__ import annotations

import pytest

from netem.clock import S
from scenarios.recording import LINKS_PER_S, SAMPLES_PER_AGE, Recorder
from scenarios.sample_file import FILE, read_samples


def test_a_run_is_sampled_every_second_and_at_its_end(finished):
    found = read_samples(finished.directory / FILE)
    gaps_ms = [after - before for before, after in zip(found.times_ms[:-1], found.times_ms[1:], strict=True)]
    assert len(gaps_ms) > 3
    assert all(1_000 <= gap_ms <= 2_000 for gap_ms in gaps_ms[:-1])
    names = {name for name, _ in found.series}
    assert {"swarmbed_netem_sent_datagrams_total", "swarmbed_nodes", "process_cpu_seconds_total"} <= names
    assert "swarmbed_boards_total" not in names  # the trace has it
    assert [(name, role) for _, name, role in found.nodes] == [(f"node-{number}", "peer") for number in range(4)]


@pytest.mark.parametrize(
    ("links", "age_s", "period_s"),
    [(0, 0, 1.0), (LINKS_PER_S, 0, 1.0), (10 * LINKS_PER_S, 0, 10.0), (0, 10 * SAMPLES_PER_AGE, 10.0)],
)
def test_many_links_and_long_runs_are_sampled_less_often(links, age_s, period_s):
    class Network:
        routes = range(links)

    recorder = object.__new__(Recorder)
    recorder._network, recorder._began_ns = Network(), 0
    assert recorder._period_ns(age_s * S) == period_s * S
