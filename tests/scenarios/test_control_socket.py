"""Commands that change a running run, from another process; and what they say when there is none to change."""

from __future__ import annotations

import json
import re
import socket
import stat
import time
import urllib.request
from pathlib import Path

import msgspec
import pytest

from scenarios import live_client
from scenarios.control_socket import NAME
from scenarios.live_controls import Show, decode_answer
from scenarios.trace_file import read_trace

UP = ("up", "4", "--quiet", "--serve=0", "--duration", "600", "--set", "delay_s=0.005", "--set", "jitter_s=0")


def wait_until(true):
    give_up_s = time.monotonic() + 90
    while not true():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def told_joins(address):
    """Return how many joins the live page tells of, once the show is on; the trace is on disk only now and then."""
    with urllib.request.urlopen(f"{address}/page/state", timeout=30) as answer:
        state = json.load(answer)
    texts = [event["text"] for event in state["events"] if event["kind"] == "NodeJoined"]
    several = [re.search(r"(\d+) times", text) for text in texts]
    return sum(int(found[1]) if found else 1 for found in several) if state["phase"] == "running" else 0


@pytest.mark.slow
@pytest.mark.parametrize("procs", [1, 2])
def test_a_run_is_changed_while_it_goes_on(start_swarmbed, swarmbed, tmp_path, *, content, procs):
    out = tmp_path / ("a long name " * 9) / "out"  # longer than a Unix socket's address may be
    here = str(Path(__file__).resolve().parents[2])  # the fixture has changed the directory
    arguments = (*UP, "--procs", procs, "--content", content, "--out", out)
    with start_swarmbed(*arguments, PYTHONPATH=here) as process:
        try:
            address = re.search(r"http://[\d.:]+", process.stdout.readline() + process.stdout.readline())[0]
            wait_until((out / NAME).exists)
            assert stat.S_IMODE((out / NAME).stat().st_mode) == 0o600
            wait_until(lambda: told_joins(address) == 4)
            asked = [
                ("set", "delay 30ms loss 10%", "--link", "node-0", "tracker"),
                ("set", "none", "--from", "node-1"),
                ("partition", "node-2", "node-3"),
                ("pause", "node-1"),
                ("crash", "node-3"),
            ]
            for command, *rest in asked:
                ended = swarmbed("netem", command, out, *rest)
                assert (ended.status, ended.err) == (0, "")
            shown = json.loads(swarmbed("netem", "show", out, "--json").out)
            assert (shown["down"], shown["paused"]) == (["node-3"], ["node-1"])
            assert shown["cut"] == [["node-2", "node-3"], ["node-3", "node-2"]]
            does = {(link["from"], link["to"]): link["does"] for link in shown["links"]}
            assert all("loss 10%" in does[pair] for pair in (("tracker", "node-0"), ("node-0", "tracker")))
            assert does["node-1", "node-3"] == "no impairment"
            for command, *rest in (("clear",), ("heal",), ("resume", "node-1"), ("restart", "node-3")):
                assert swarmbed("netem", command, out, *rest).status == 0
            assert swarmbed("netem", "show", out).out == "all links: as at the beginning\n"
            refused = swarmbed("netem", "crash", out, "node-9")
            assert (refused.status, refused.out) == (2, "")
            assert refused.err.startswith("swarmbed: host: 'node-9' is not allowed; allowed: a name or pattern of ")
            wait_until(lambda: told_joins(address) == 5)
        finally:
            process.terminate()
            process.communicate(timeout=60)
    assert not (out / NAME).exists()
    events = [event for _, event in read_trace(out / "events.msgpack")]
    assert sorted(event[2] for event in events if event[0] == "NodeJoined") == [1, 1, 1, 1, 2]
    told = [event[1] for event in events if event[0] == "FaultMade"]
    assert told == ["impair", "impair", "impair", "partition", "pause", "crash", "restore", "heal", "resume", "restart"]
    result = json.loads((out / "result.json").read_text())
    assert result["fidelity"]["missing"] == 0
    assert all(result["invariants"].values())
    assert swarmbed("netem", "show", out).err.endswith("allowed: a run that goes on: this one has ended\n")


def a_run_directory(tmp_path, clock="real"):
    (tmp_path / "run.json").write_text(json.dumps({"time": clock}))
    return tmp_path


def refusal(ended):
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    return ended.err.partition("allowed: ")[2]


def test_where_no_run_goes_on_one_line_says_why(swarmbed, tmp_path):
    assert refusal(swarmbed("netem", "show", tmp_path / "no")).startswith("a run directory, with a run.json in it")
    out = a_run_directory(tmp_path)
    assert "has not begun to play, or has ended" in refusal(swarmbed("netem", "set", out, "loss 5%"))
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(out / NAME))
    assert "was killed, and its control socket is stale" in refusal(swarmbed("netem", "heal", out))
    (out / "result.json").write_text("{}")
    assert "this one has ended" in refusal(swarmbed("netem", "clear", out))


def test_a_run_in_simulated_time_cannot_be_changed_from_outside(swarmbed, finished, tmp_path):
    for out in (finished.directory, a_run_directory(tmp_path, "virtual")):
        assert refusal(swarmbed("netem", "set", out, "loss 5%")).startswith("a run in real time: ")
        assert not (out / NAME).exists()


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (("set", "loss 5%", "--all", "--to", "node-1"), "one of --from/--to, --link and --all"),
        (("clear", "--from", "a,,b"), "names or patterns of hosts, with commas between"),
        (("partition", ","), "names or patterns of hosts"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(swarmbed, tmp_path, arguments, allowed):
    command, *rest = arguments
    assert refusal(swarmbed("netem", command, tmp_path, *rest)).startswith(allowed)


async def test_what_is_no_control_is_refused_and_who_says_nothing_is_hung_up_on(tmp_path, autojump_clock, nursery):
    import trio

    from scenarios.control_socket import PATIENCE_S, serve_controls

    await nursery.start(serve_controls, tmp_path, None)
    for line in (b"{}\n", b'{"do": "fly"}\n', b'{"do": "crash", "hosts": []}\n', b"\xff\n"):
        async with await trio.open_unix_socket(str(tmp_path / NAME)) as stream:
            await stream.send_all(line)
            answer = decode_answer(await stream.receive_some())
            assert answer.refused[0] == "control"
    async with await trio.open_unix_socket(str(tmp_path / NAME)) as stream:
        began_s = trio.current_time()
        assert await stream.receive_some() == b""
        assert trio.current_time() - began_s == pytest.approx(PATIENCE_S)
    nursery.cancel_scope.cancel()


def test_an_answer_that_is_none_is_told(tmp_path, monkeypatch):
    out = a_run_directory(tmp_path)

    def undecodable(_line):
        raise msgspec.DecodeError("no JSON")

    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(out / NAME))
        sock.listen()
        monkeypatch.setattr(live_client, "PATIENCE_S", 0.01)
        with pytest.raises(live_client.ConfigError, match=r"a run that answers \(timed out\)"):
            live_client.ask(out, Show())
