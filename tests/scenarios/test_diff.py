"""`swarmbed diff` and `swarmbed netem replay`: where two runs part, to the packet, and what they refuse."""

from __future__ import annotations

import json
import shutil

import pytest

from netem.fate_reading import read_fates
from scenarios.catalogue import scenario_named
from scenarios.comparison import differences, part
from scenarios.options import Options
from scenarios.runner import run_scenario
from scenarios.trace_file import read_trace

# At a time of one's choosing a link loses what is sent during a millisecond; at 99 s never, for the run is over by then.
SCENARIO = '''"""What does one lost packet change?

Source: this test.
"""

from typing import Annotated

import trio

from netem.link import LinkConfig
from netem.tc import parse_tc
from scenarios.parameters import param
from scenarios.scripts import flash_crowd

claims = flash_crowd.claims


class Params(flash_crowd.Params, frozen=True, kw_only=True):
    """Those of flash-crowd, and when."""

    lose_at_s: Annotated[float, param("when a packet is lost", ge=0, le=100)] = 99.0


async def run(bed):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lose, bed)
        await flash_crowd.run(bed)
        nursery.cancel_scope.cancel()


async def lose(bed):
    await trio.sleep(bed.params.lose_at_s)
    before = bed.params.link()
    bed.network.impair("tracker", "node-1", parse_tc("loss 100%"))
    await trio.sleep(1.0)
    bed.network.impair("tracker", "node-1", before)
'''
LOSE_AT_S = 3.1


@pytest.fixture(scope="module")
def runs(tmp_path_factory, small):
    """Return four directories: a run, the same again, one that loses a packet more, one over real sockets."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "lose.py").write_text(SCENARIO)
    scenario = scenario_named(str(folder / "lose.py"))

    def run(name, *, time="virtual", **values):
        options = Options(seed=1, time=time, out=folder / name, quiet=True)
        return run_scenario(scenario, {**small, "loss": 0.1, **values}, options).directory

    return {
        "first": run("first"),
        "again": run("again"),
        "flipped": run("flipped", lose_at_s=LOSE_AT_S),
        "real": run("real", time="real", duration_s=2.0),
    }


def test_a_run_is_the_same_as_its_repetition(runs, swarmbed):
    outcome = swarmbed("diff", runs["first"], runs["again"])
    assert (outcome.status, outcome.err) == (0, "")
    digest = json.loads((runs["first"] / "result.json").read_text())["digest"]
    assert outcome.out == f"the same    {digest}\n"


def test_the_one_packet_that_fared_otherwise_is_named_and_the_event_before_it(runs, swarmbed):
    outcome = swarmbed("diff", runs["first"], runs["flipped"], "--json")
    assert outcome.status == 1
    found = json.loads(outcome.out)
    assert found["setup"] == [{"path": "params.lose_at_s", "a": 99.0, "b": LOSE_AT_S}]
    # By hand: the first event of the flipped run that is not in the other is the change itself.
    traces = [list(read_trace(runs[name] / "events.msgpack")) for name in ("first", "flipped")]
    index = next(i for i, (one, other) in enumerate(zip(*traces, strict=False)) if one != other)
    assert found["events"]["index"] == index > 3
    assert found["events"]["b"][0][1][:2] == ["FaultMade", "impair"]
    assert len(found["events"]["before"]) == 3
    # By hand: the first packet of that link that arrived in the first run alone.
    arrived = [
        set(read_fates(runs[name] / "fates.msgpack").links["tracker", "node-1"].numbers.tolist())
        for name in ("first", "flipped")
    ]
    first = found["links"][0]
    assert (first["source"], first["target"]) == ("tracker", "node-1")
    assert first["number"] == min(arrived[0] ^ arrived[1])
    assert (len(first["a_delays_ns"]), first["b_delays_ns"]) == (1, [])
    text = swarmbed("diff", runs["first"], runs["flipped"])
    assert text.status == 1
    assert f"tracker > node-1 k={first['number']}: A arrived after" in text.out
    assert "B did not arrive" in text.out


def test_a_run_over_real_sockets_is_compared_without_its_times(runs, swarmbed):
    found = json.loads(swarmbed("diff", runs["first"], runs["real"], "--json").out)
    assert found["exact"] is False
    assert {"path": "time", "a": "virtual", "b": "real"} in found["setup"]
    outcome = swarmbed("diff", runs["real"], runs["real"])
    assert (outcome.status, outcome.out.split()[:2]) == (0, ["the", "same"])


def test_the_packets_of_a_run_over_real_sockets_are_decided_again(runs, swarmbed, tmp_path):
    outcome = swarmbed("netem", "replay", runs["real"], "--json")
    found = json.loads(outcome.out)
    assert (outcome.status, found["agrees"], found["wrong"]) == (0, True, [])
    assert found["lost"] > 0
    assert found["arrivals"] > 50
    # The same record under another seed was decided otherwise.
    shutil.copytree(runs["real"], tmp_path / "other")
    data = (tmp_path / "other/fates.msgpack").read_bytes()
    (tmp_path / "other/fates.msgpack").write_bytes(data.replace(b"\xa5fates\x01\x01", b"\xa5fates\x01\x02", 1))
    outcome = swarmbed("netem", "replay", tmp_path / "other")
    assert outcome.status == 1
    assert "NOT all as decided again from seed 2" in outcome.out


@pytest.fixture
def damaged(runs, tmp_path):
    shutil.copytree(runs["first"], tmp_path / "damaged")
    return tmp_path / "damaged"


def test_a_trace_that_is_cut_off_is_told_in_a_line(runs, damaged, swarmbed):
    whole = (damaged / "events.msgpack").read_bytes()
    (damaged / "events.msgpack").write_bytes(whole[:-1])
    outcome = swarmbed("diff", runs["first"], damaged)
    assert outcome.status == 1
    assert f"the trace {damaged / 'events.msgpack'} is cut off in the midst of an event" in outcome.out
    assert "B   ends here" in outcome.out


def test_a_run_that_was_killed_is_compared_as_far_as_it_came(runs, damaged, swarmbed):
    (damaged / "result.json").unlink()
    outcome = swarmbed("diff", runs["first"], damaged)
    assert outcome.status == 1
    assert "B not finished" in outcome.out
    assert "packets     not recorded by both" in outcome.out


@pytest.mark.parametrize(
    ("name", "contents", "words"),
    [
        ("run.json", None, "a run directory, with a run.json in it"),
        ("run.json", b"[]", "a run.json of this version"),
        ("run.json", b'{"scenario": "x"}', "lacks seed"),
        ("run.json", b"\xff", "a readable run.json"),
        ("result.json", b"{", "a readable result.json"),
        ("events.msgpack", b"\xc1", "a readable trace"),
        ("events.msgpack", None, "a readable trace"),
        ("fates.msgpack", b"\xc1", "readable fates"),
        ("ledger.sqlite", None, "the ledger.sqlite of a run directory"),
    ],
)
def test_what_is_no_run_directory_or_damaged_is_refused_in_one_line(runs, damaged, swarmbed, *, name, contents, words):
    (damaged / name).unlink()
    if contents is not None:
        (damaged / name).write_bytes(contents)
    outcome = swarmbed("diff", runs["first"], damaged)
    assert outcome.status == 2
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_missing_directory_is_refused(runs, swarmbed, tmp_path):
    outcome = swarmbed("diff", tmp_path / "nowhere", runs["first"])
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("swarmbed: RUN_A: ")


def test_values_differ_by_their_paths():
    a = {"x": {"y": 1, "z": [1, 2]}, "only": None}
    b = {"x": {"y": 1.0, "z": [1, 3]}}
    found = [(one.path, one.a, one.b) for one in differences(a, b)]
    assert found == [("only", None, "absent"), ("x.y", 1, 1.0), ("x.z", [1, 2], [1, 3])]


def test_sequences_part_at_their_first_difference_with_what_is_around_it():
    assert part([1, 2], [1, 2]) is None
    parting = part(range(10), [*range(5), b"\x0f"])
    assert (parting.index, parting.before) == (5, [2, 3, 4])
    assert (parting.a, parting.b) == ([5, 6, 7, 8], ["0f"])
    assert part([], [7]).b == [7]
