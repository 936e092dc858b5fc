"""Whether a run fits a host: by CPU, by open files, and when the host cannot keep time at all."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.capacity import (
    LEAST_DEMAND,
    PEAK,
    SPARE,
    capacity_warning,
    expected_load,
    fitting_demand_bytes_per_s,
    most_nodes,
    processes_needed,
)
from scenarios.catalogue import scenario_named
from scenarios.parameters import Params, fill
from tests.scenarios.modest_host import HOST
from tracker.messages import BLOCK_BYTES

FLASH_CROWD = scenario_named("flash-crowd").params


def params(**values):
    return fill(FLASH_CROWD, values)


def test_load_is_nodes_and_delivered_blocks():
    load = expected_load(
        params(nodes=100, upload_bytes_per_s=1000.0 * BLOCK_BYTES, load=0.5, crowd_bytes_per_s=1e12), HOST
    )
    assert load.blocks_per_s == pytest.approx(50_000)
    assert load.share == pytest.approx(50_000 * 200e-6 + 100 * 1000e-6)


def test_more_load_than_upload_cannot_be_served():
    assert (
        expected_load(params(load=5.0, crowd_bytes_per_s=1e12), HOST).share
        == expected_load(params(load=1.0), HOST).share
    )


def test_a_scenario_without_a_load_is_reckoned_to_use_all_upload():
    upload = Params(nodes=10).nodes * Params().upload_bytes_per_s
    assert expected_load(Params(nodes=10), HOST).blocks_per_s == pytest.approx(upload / BLOCK_BYTES)


@settings(max_examples=40)  # each is a search
@given(
    load=st.floats(0.01, 1.0),
    upload_bytes_per_s=st.floats(1e4, 1e6),
    share=st.floats(0.1, 1.0),
    node_us_per_s=st.floats(100.0, 5000.0),
)
def test_exactly_the_nodes_that_fit_are_not_warned_about(load, upload_bytes_per_s, share, node_us_per_s):
    host = msgspec.structs.replace(HOST, share=share, node_us_per_s=node_us_per_s)
    fits = most_nodes(params(load=load, upload_bytes_per_s=upload_bytes_per_s), host)
    for nodes in (fits, fits + 1):
        if 2 <= nodes <= 5_000:
            warning = capacity_warning(params(nodes=nodes, load=load, upload_bytes_per_s=upload_bytes_per_s), host)
            assert (warning is None) == (nodes == fits)


def test_a_market_leaves_room_for_its_peaks():
    load = expected_load(params(nodes=most_nodes(params(), HOST)), HOST)
    idle = load.nodes * HOST.node_us_per_s / 1e6
    assert load.peak_share == pytest.approx(idle + (load.share - idle) * PEAK)
    assert load.share < load.peak_share <= HOST.share


def test_processes_multiply_what_fits():
    endless = params(crowd_bytes_per_s=1e12)
    alone = most_nodes(endless, HOST)
    assert 2 * alone <= most_nodes(endless, HOST, processes=2) <= 2 * alone + 1


def test_a_crowd_with_a_bound_leaves_room_for_more_nodes():
    assert most_nodes(params(crowd_bytes_per_s=1e6), HOST) > most_nodes(params(crowd_bytes_per_s=1e12), HOST) > 0


def test_a_run_takes_as_few_processes_as_it_needs():
    for processes in (1, 2):
        fits = most_nodes(params(), HOST, processes=processes)
        assert processes_needed(params(nodes=fits), HOST) == processes
    assert processes_needed(params(nodes=5_000), HOST) == HOST.cores


def test_more_processes_than_cores_carry_no_more():
    fits = most_nodes(params(), HOST, processes=2)
    assert capacity_warning(params(nodes=fits), HOST) is not None
    assert capacity_warning(params(nodes=fits), HOST, processes=2) is None
    assert capacity_warning(params(nodes=fits + 1), HOST, processes=8) is not None


def test_a_crowd_too_large_is_told_in_figures():
    warning = capacity_warning(params(nodes=500), HOST)
    assert warning is not None
    assert warning.startswith("500 nodes and ")
    assert f"About {most_nodes(params(), HOST)} such nodes fit" in warning
    assert "\n" not in warning


def test_too_few_open_files_are_named():
    warning = capacity_warning(params(nodes=40), msgspec.structs.replace(HOST, open_files=400))
    assert warning is not None
    assert "open files" in warning
    assert capacity_warning(params(nodes=20), msgspec.structs.replace(HOST, open_files=400)) is None


@pytest.mark.parametrize("late", ["lag_p99_ms", "lateness_p99_ms"])
def test_a_host_that_is_late_by_itself_fits_nothing(late):
    warning = capacity_warning(params(nodes=2), msgspec.structs.replace(HOST, **{late: 10.1}))
    assert warning is not None
    assert "without any load" in warning


def test_packets_per_second_are_what_the_share_pays_for():
    assert HOST.packets_per_s == 50_000


@given(nodes=st.integers(2, 1_000), processes=st.integers(1, 4), block_us=st.floats(50.0, 2_000.0))
def test_a_lowered_demand_leaves_a_share_of_the_host_and_hardly_more(nodes, processes, block_us):
    host = msgspec.structs.replace(HOST, block_us=block_us)
    asked = params(nodes=nodes, crowd_bytes_per_s=1e9, load=5.0)
    demand = fitting_demand_bytes_per_s(asked, host, processes=processes)
    room = HOST.share * min(processes, HOST.cores) * (1 - SPARE)
    if demand == asked.wanted_bytes_per_s():
        assert expected_load(asked, host).peak_share <= HOST.share * min(processes, HOST.cores)
        return
    least = LEAST_DEMAND * asked.wanted_bytes_per_s()
    if demand <= least:
        assert demand == pytest.approx(least, rel=0.1)
        assert expected_load(params(nodes=nodes, load=5.0, crowd_bytes_per_s=least * 1.1), host).peak_share > room
        return
    for factor, fits in ((1 - 1e-9, True), (1.11, False)):  # the second digit is rounded down: by a tenth at most
        lowered = expected_load(params(nodes=nodes, crowd_bytes_per_s=demand * factor, load=5.0), host)
        limited = lowered.blocks_per_s < demand * factor / BLOCK_BYTES * (
            1 - 1e-9
        )  # upload, not the crowd, is the bound
        assert limited or (lowered.peak_share <= room) is fits


def test_nodes_that_fill_the_host_without_a_crowd_get_the_least_demand():
    asked = params(nodes=500)
    least = LEAST_DEMAND * asked.wanted_bytes_per_s()
    assert 0.9 * least < fitting_demand_bytes_per_s(asked, HOST) <= least
