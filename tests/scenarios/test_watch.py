"""A served run: the page and the query API over HTTP, in both clocks, from the start to after the end."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from scenarios.catalogue import scenario_named, scenario_names
from scenarios.options import Options
from scenarios.process import short_thread_turns
from scenarios.runner import run_scenario
from scenarios.serving import listening
from scenarios.watch import Watch

GIVE_UP_S = 60


def fetched(address, path="", *, form=None, data=None, headers=None):
    """GET or POST; return the body."""
    body = urllib.parse.urlencode(form, doseq=True).encode() if form is not None else data
    asked = urllib.request.Request(address + path, data=body, headers=headers or {})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return answer.read().decode()


def told(address, path, **asked):
    return json.loads(fetched(address, path, **asked))


def wait_for(condition):
    give_up_s = time.monotonic() + GIVE_UP_S
    while not (found := condition()):
        assert time.monotonic() < give_up_s
        time.sleep(0.1)
    return found


@contextlib.contextmanager
def started(start_swarmbed, *arguments):
    """Start a run that is served; give its process, its address and the lines it printed so far."""
    with start_swarmbed("run", "flash-crowd", "--quiet", "--serve=0", *arguments) as process:
        try:
            lines = [process.stdout.readline(), process.stdout.readline()]
            yield process, re.search(r"http://[\d.:]+", lines[1])[0], lines
        finally:
            process.kill()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory, content, small):
    """Return a simulated run that was watched, and its watch."""
    options = Options(
        seed=1, time="virtual", content=content, out=tmp_path_factory.mktemp("watched") / "out", quiet=True
    )
    with listening(0) as listener:
        watch = Watch(listener, hold=True)
        yield run_scenario(scenario_named("flash-crowd"), small, options, watch=watch), watch


def test_to_be_watched_changes_nothing_of_a_simulated_run(finished, simulated):
    result, _ = simulated
    assert result.digest == finished.digest
    assert [claim.to_dict() for claim in result.claims] == [claim.to_dict() for claim in finished.claims]


def test_a_simulated_run_is_sampled_in_its_own_time(simulated):
    result, watch = simulated
    first_ms, last_ms = watch.store.bounds_ms()
    assert last_ms - first_ms >= result.params.duration_s * 1_000
    assert 0 <= first_ms - 1_700_000_000_000 < 1_000
    numbers = watch.store.select(())
    samples = watch.store.samples(numbers, start_ms=first_ms, end_ms=last_ms)
    steps_ms = [after - before for before, after in zip(samples.times_ms[:-1], samples.times_ms[1:], strict=True)]
    assert all(1_000 <= step_ms < 2_000 for step_ms in steps_ms[:-1])  # events come all the time


def test_the_view_of_a_finished_run_has_the_verdict(simulated):
    result, watch = simulated
    state = watch.view.told(after=0)
    assert (state["ended"], state["phase"], state["light"]) == (True, "ended", "green")
    assert state["claims"] == [claim.to_dict() for claim in result.claims]
    assert state["invariants"] == result.invariants
    assert {"DownloadFinished", "NodeJoined"} <= {event["kind"] for event in state["events"]}
    assert "node-" in json.dumps(state["events"], ensure_ascii=False)


def test_the_light_is_amber_when_half_of_what_is_allowed_is_used_up_and_void_above(simulated):
    _, watch = simulated
    view, timeliness = watch.view, watch.view._timeliness
    result, view._result, view._reasons = view._result, None, ()
    try:
        for share, light in ((0.49, "green"), (0.5, "amber"), (1.0, "amber"), (1.01, "void")):
            timeliness.set("swarmbed_fidelity_used_ratio", share, "event_loop_lag_p99")
            assert view.told(after=0)["light"] == light
        timeliness.set("swarmbed_fidelity_used_ratio", 0.0, "event_loop_lag_p99")
        view._reasons = ("loss deviates",)
        assert (view.told(after=0)["light"], view.told(after=0)["reasons"]) == ("void", ["loss deviates"])
    finally:
        view._result, view._reasons = result, ()


def test_threads_take_short_turns_while_a_run_is_watched():
    import sys

    before = sys.getswitchinterval()
    with short_thread_turns():
        assert sys.getswitchinterval() == pytest.approx(before / 10)
    assert sys.getswitchinterval() == before


def test_hold_without_serve_is_refused(swarmbed):
    outcome = swarmbed("run", "flash-crowd", "--hold")
    assert outcome.status == 2
    assert outcome.err == "swarmbed: --hold: 'without --serve' is not allowed; allowed: together with --serve PORT\n"


def test_a_simulated_run_is_served_when_it_is_over_until_interrupted(start_swarmbed, content, small, tmp_path):
    settings = [f"--set={key}={value}" for key, value in small.items()]
    run = ["--time=virtual", f"--content={content}", f"--out={tmp_path / 'out'}", *settings]
    with started(start_swarmbed, *run) as (process, address, lines):
        assert lines[0] == "seed 1\n"
        while "until Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
        text = fetched(address, "/metrics")
        assert 'swarmbed_claim_ok{claim="payouts + refunds = fees (µcr)"} 1.0\n' in text
        assert 'swarmbed_run_info{run="out",scenario="flash-crowd",seed="1",time="virtual"} 1.0\n' in text
        assert told(address, "/page/state")["ended"]
        assert told(address, "/page/facts")["token"] == ""
        grafana_gets_its_answers(address)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=GIVE_UP_S)
    assert process.returncode in {0, 1}  # as the claims say
    assert said == ""


def grafana_gets_its_answers(address):
    """Ask what a Grafana asks whose Prometheus data source is the run."""
    instance = address.removeprefix("http://")
    assert told(address, "/api/v1/query", form={"query": "1+1"})["data"]["result"][1] == "2"
    assert told(address, "/api/v1/status/buildinfo")["data"]["version"]
    found = told(address, "/api/v1/label/instance/values?match[]=swarmbed_run_info")
    assert found["data"] == [instance]
    assert told(address, "/api/v1/labels", form={"match[]": "swarmbed_nodes"})["data"] == [
        "__name__",
        "instance",
        "job",
        "role",
    ]
    (series,) = told(address, "/api/v1/series", form={"match[]": "swarmbed_nodes_joined"})["data"]
    assert series == {"__name__": "swarmbed_nodes_joined", "instance": instance, "job": "swarmbed"}
    assert told(address, "/api/v1/metadata?metric=swarmbed_nodes_joined")["data"]["swarmbed_nodes_joined"]
    newest_s = told(address, "/page/state")["bounds_ms"][1] / 1000
    query = f'sum(rate(swarmbed_netem_sent_datagrams_total{{instance=~"{instance}"}}[4s]))'
    asked = {"query": query, "start": newest_s - 4, "end": newest_s, "step": 1}
    for answer in (
        told(address, "/api/v1/query_range", form=asked),
        told(address, f"/api/v1/query_range?{urllib.parse.urlencode(asked)}"),
    ):
        (rate,) = answer["data"]["result"]
        assert max(float(value) for _, value in rate["values"]) > 0


@pytest.fixture
def real(start_swarmbed, tmp_path):
    """Return how to start a short real run that is served."""
    run = [
        "--nodes=4",
        "--set=load=0.9",
        "--set=appear_s=1",
        "--set=upload_bytes_per_s=200000",
        f"--out={tmp_path / 'out'}",
    ]
    return lambda *more: started(start_swarmbed, *run, *more)


def control(address, token, **action):
    headers = {"content-type": "application/json", "x-swarmbed-token": token}
    return told(address, "/page/control", data=json.dumps(action).encode(), headers=headers)


@pytest.mark.slow
def test_a_real_run_is_watched_and_disturbed_over_http_and_a_page_that_is_open_sees_its_end(real):
    with real("--duration=600") as (process, address, _):
        wait_for(lambda: told(address, "/page/state")["phase"] == "running")
        token = told(address, "/page/facts")["token"]
        wait_for(lambda: told(address, "/page/state")["bounds_ms"][1] > 0)
        assert control(address, token, do="set", line="loss 50%") == {"done": ["all links: loss 50%"]}
        cut = control(address, token, do="partition", group=["node-0"])
        assert cut == {"done": ["node-0 <> tracker, node-1, node-2, node-3"]}
        wait_for(lambda: told(address, "/page/state")["nodes"]["cut"][1] == 1)  # it shows within a sample or two
        control(address, token, do="heal")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            control(address, "guessed", do="heal")
        state = wait_for(lambda: (state := told(address, "/page/state")) and state["claims"] and state)
        assert not state["ended"]
        process.send_signal(signal.SIGINT)
        # A page asks every second; between the run's end and its last word the server is away for a moment.
        last = wait_for(lambda: ended(address))
        said, complaints = process.communicate(timeout=GIVE_UP_S)
    assert last["claims"]
    assert "fault made: heal" in json.dumps(last["events"])
    assert "payouts + refunds = fees" in said
    assert "Traceback" not in complaints
    assert process.returncode == 130


def ended(address):
    with contextlib.suppress(OSError, http.client.HTTPException):
        state = told(address, "/page/state")
        return state["ended"] and state
    return None


@pytest.mark.slow
def test_a_real_run_that_is_held_stays_until_interrupted(real):
    with real("--duration=2", "--hold") as (process, address, _):
        token = told(address, "/page/facts")["token"]
        wait_for(lambda: ended(address))
        time.sleep(3)  # longer than a farewell
        assert told(address, "/page/state")["ended"]
        assert "swarmbed_run_info" in fetched(address, "/metrics")
        with pytest.raises(urllib.error.HTTPError, match="409"):
            control(address, token, do="heal")
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=GIVE_UP_S)
    assert "Traceback" not in complaints
    assert process.returncode in {0, 1, 3}


@pytest.mark.slow
def test_a_run_that_nobody_looks_at_ends_at_once(real):
    with real("--duration=1") as (process, address, _):
        process.communicate(timeout=GIVE_UP_S)
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            fetched(address, "/metrics")


def scrapes(address):
    """Yield answers until nobody answers any more; the run may end at any moment of a scrape."""
    while True:
        try:
            yield fetched(address, "/metrics")
        except (OSError, http.client.HTTPException):
            return


@pytest.mark.slow
@pytest.mark.parametrize("name", scenario_names())
def test_claims_are_judged_while_a_run_goes_on_and_its_end_is_no_error(
    start_swarmbed, content, tmp_path, fewest_nodes, *, name
):
    params = scenario_named(name).params
    small = [f"--nodes={fewest_nodes(params)}", "--duration=5", f"--content={content}"]
    small += ["--set=quiet_s=5"] if "quiet_s" in params.__struct_fields__ else []
    with start_swarmbed("run", name, *small, "--serve=0", f"--out={tmp_path / 'out'}", "--quiet") as process:
        try:
            address = re.search(r"http://[\d.:]+", process.stdout.readline() + process.stdout.readline())[0]
            texts = list(scrapes(address))
            out, err = process.communicate(timeout=GIVE_UP_S)
        finally:
            process.kill()
    assert process.returncode in {0, 1, 3}, out  # a claim may lack data, and the machine may be busy
    assert err == ""
    assert f'scenario="{name}"' in texts[0]
    assert "swarmbed_claim_ok{" in texts[-1]
    judged = re.findall(r'^swarmbed_claim_tolerance\{claim="(.*)"\}', texts[-1], re.MULTILINE)
    assert "payouts + refunds = fees (µcr)" in judged
    sent = [float(re.search(r"^swarmbed_netem_sent_datagrams_total (\S+)", text, re.MULTILINE)[1]) for text in texts]
    assert sent == sorted(sent)
    assert sent[-1] > sent[0]
