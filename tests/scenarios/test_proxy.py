"""`swarmbed netem proxy` between a web server and a client that know nothing of it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.request

import pytest


def test_a_web_server_is_reached_through_it_and_ctrl_c_tells_what_happened(start_swarmbed, tmp_path):
    page = bytes(range(256)) * 400
    (tmp_path / "page").write_bytes(page)
    server = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with subprocess.Popen(server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as behind:
        port = re.search(r"port (\d+)", behind.stdout.readline())[1]
        proxy = start_swarmbed(
            "netem", "proxy", "--to", f"127.0.0.1:{port}", "--impair", "delay 20ms", "--back", "delay 5ms"
        )
        said = proxy.stdout.readline()
        assert said.rstrip().endswith("delay 20ms; back: delay 5ms")
        began_s = time.monotonic()
        with urllib.request.urlopen(f"http://{said.split()[0]}/page") as answer:
            assert answer.read() == page
        assert time.monotonic() - began_s >= 0.045
        proxy.send_signal(signal.SIGINT)
        out, err = proxy.communicate()
        behind.terminate()
    assert (proxy.returncode, err) == (130, "")
    assert "1 connections, 0 refused by the program" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to", "127.0.0.1"], "--to: "),
        (["--to", "127.0.0.1:0"], "a port from 1 to 65535"),
        (["--to", "127.0.0.1:99999"], "--to: "),
        (["--to", "127.0.0.1:9", "--listen", "nowhere.invalid:1"], "--listen: "),
        (["--to", "127.0.0.1:9", "--impair", "loss 200%"], "loss"),
        (["--to", "127.0.0.1:9", "--seed", "x"], "--seed: "),
        ([], "--to"),
    ],
)
def test_a_mistake_is_one_line(swarmbed, arguments, words):
    outcome = swarmbed("netem", "proxy", *arguments)
    assert outcome.status == 2
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1
