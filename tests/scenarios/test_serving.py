"""The web server of a run: scrapes, a taken port, and what a person sees."""

from __future__ import annotations

import socket
import subprocess
import sys
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
import trio
from starlette.applications import Starlette

from netem.errors import ConfigError
from netem.metric import Family, Label, gauge
from netem.offload import offload
from scenarios import query_api
from scenarios.exposition import Exposition
from scenarios.promql.store import SampleStore
from scenarios.query_api import query_routes
from scenarios.serving import ANSWER_BYTES, Large, address_of, listening, metrics_route, serve_routes
from scenarios.turns import in_turns
from tests.scenarios.turn_taking import another_task, work

BIG = 20_000


class Wide(Family):
    """Many series, and steps between which others have their turn."""

    name = "wide"
    metrics = (gauge("swarmbed_wide", "A number.", Label("number", most=BIG)),)
    panels = ()

    def gather(self, now_ns):
        for number in range(BIG):
            self.set("swarmbed_wide", number, str(number))
            if number % 1_000 == 0:
                yield


def wide():
    return Exposition({"wide": Wide}, info={"run": "r"}, now_ns=lambda: 0)


async def scrape(address, path="/metrics"):
    """GET over a raw stream; return status line and body."""
    host, port = address.removeprefix("http://").split(":")
    stream = await trio.open_tcp_stream(host, int(port))
    async with stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n0\r\n\r\n"):
            part = await stream.receive_some()
            if not part:
                break
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), body


async def test_several_scrapes_at_once_get_everything():
    exposition = wide()
    answers = []

    async def one(address):
        answers.append(await scrape(address))

    with listening(0) as listener:
        async with trio.open_nursery() as serving:
            serving.start_soon(serve_routes, listener, [metrics_route(exposition)])
            async with trio.open_nursery() as scrapers:
                for _ in range(3):
                    scrapers.start_soon(one, address_of(listener))
            serving.cancel_scope.cancel()
    for status, body in answers:
        assert status.startswith("HTTP/1.1 200")
        assert body.count(b"swarmbed_wide{") == BIG
    text = b"".join(exposition.slices())
    assert b"swarmbed_scrape_duration_seconds_count 3.0\n" in text


async def test_others_have_their_turn_while_a_scrape_is_answered():
    exposition = wide()
    app = Starlette(routes=[metrics_route(exposition)])
    sent = []
    seen = []

    async def send(message):
        sent.append(message)
        seen.append(another.turns)

    async def receive():
        await trio.sleep_forever()

    scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": [], "query_string": b"", "root_path": ""}
    async with another_task() as another:
        await app({**scope, "asgi": {"version": "3.0", "spec_version": "2.3"}}, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    assert body.count(b"swarmbed_wide{") == BIG
    assert seen[-1] > seen[0]


async def test_a_server_that_stops_amid_a_scrape_leaves_no_trace(capfd):
    with listening(0) as listener:
        async with trio.open_nursery() as serving:
            serving.start_soon(serve_routes, listener, [metrics_route(wide())])
            stream = await trio.open_tcp_stream(*listener.getsockname())
            async with stream:
                await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                await stream.receive_some(10)  # the answer has begun
                serving.cancel_scope.cancel()
    assert capfd.readouterr() == ("", "")


async def test_a_server_that_stops_amid_a_query_leaves_no_trace(capfd):
    store = SampleStore()
    numbers = [store.series("level", {"number": str(number)}) for number in range(500)]
    for second in range(600):
        store.append(1000 * (second + 1), numbers, [1.0] * 500)
    form = urlencode({"query": "sum(rate(level[1m]))", "start": 0, "end": 600, "step": 1}).encode()
    under_way = trio.Event()

    async def queried(clock, evaluate):
        under_way.set()
        return await offload(clock, evaluate)

    with listening(0) as listener, pytest.MonkeyPatch.context() as patched:
        patched.setattr(query_api, "offload", queried)
        async with trio.open_nursery() as serving:
            clock = SimpleNamespace(virtual=False)  # queries are evaluated in a thread
            serving.start_soon(serve_routes, listener, query_routes(store, clock=clock))
            stream = await trio.open_tcp_stream(*listener.getsockname())
            async with stream:
                head = f"POST /api/v1/query_range HTTP/1.1\r\nHost: x\r\nContent-Length: {len(form)}\r\n"
                kind = "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
                await stream.send_all((head + kind).encode() + form)
                with trio.fail_after(60):
                    await under_way.wait()
                serving.cancel_scope.cancel()
    assert capfd.readouterr() == ("", "")


async def test_what_is_not_there_is_not_found():
    with listening(0) as listener:
        async with trio.open_nursery() as serving:
            serving.start_soon(serve_routes, listener, [metrics_route(wide())])
            assert "404" in (await scrape(address_of(listener), "/other"))[0]
            serving.cancel_scope.cancel()


async def test_a_large_answer_is_sent_in_pieces_with_its_length():
    sent = []
    body = bytes(range(256)) * 1000

    async def send(message):
        sent.append(message)

    await Large(body)({}, None, send)
    assert (b"content-length", b"256000") in sent[0]["headers"]
    parts = [message["body"] for message in sent[1:]]
    assert b"".join(parts) == body
    assert max(map(len, parts)) <= ANSWER_BYTES
    assert [message["more_body"] for message in sent[1:]] == [True] * (len(parts) - 1) + [False]


def test_a_taken_port_is_one_clear_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken_port = listening(taken.getsockname()[1])
        with pytest.raises(ConfigError) as refused, taken_port:
            pass
    assert refused.value.field == "--serve"


def test_it_listens_on_the_loopback_address_only():
    with listening(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_taken_port_ends_the_command_before_anything_runs(swarmbed, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = swarmbed("run", "flash-crowd", "--serve", port)
    assert outcome.status == 2
    assert outcome.err.startswith(f"swarmbed: --serve: {port} is not allowed; allowed: a free port")
    assert outcome.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_refused(swarmbed, port):
    outcome = swarmbed("run", "flash-crowd", f"--serve={port}")
    assert outcome.status == 2
    assert outcome.err == f"swarmbed: --serve: {port!r} is not allowed; allowed: a whole number from 0 to 65535\n"


def test_many_runs_at_one_port_are_refused(swarmbed):
    outcome = swarmbed("run", "flash-crowd", "--serve", 0, "--replicates", 2)
    assert outcome.status == 2
    assert outcome.err == "swarmbed: --serve: '0' is not allowed; allowed: a single run, without --replicates\n"
    outcome = swarmbed("sweep", "flash-crowd", "--over", "nodes=3,4", "--serve", 0)
    assert outcome.status == 2
    assert outcome.err.startswith("swarmbed: --serve: '0' is not allowed; allowed: a single run")


def test_without_serve_nothing_listens_and_nothing_of_the_web_is_imported():
    program = (
        "import sys\nfrom scenarios.cli import cli\n"
        "cli.main(['run', '--help'], standalone_mode=False)\n"
        "print([name for name in ('hypercorn', 'starlette', 'prometheus_client', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


async def test_steps_are_taken_in_turns_with_others_and_their_cpu_time_alone_is_told():
    def steps():
        for _ in range(10):
            work(0.002)
            yield

    async with another_task(lambda: work(0.005)) as another:
        cpu_s = await in_turns(steps())
    assert another.turns >= 8
    assert 0.02 <= cpu_s < 0.02 + 0.005 * another.turns
