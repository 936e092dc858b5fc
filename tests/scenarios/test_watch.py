"""A run that is watched: its claims so far, and scrapes from before its start to after its end."""

from __future__ import annotations

import http.client
import re
import urllib.request

import pytest

from scenarios.catalogue import scenario_names


def scrapes(address):
    """Yield answers until nobody answers any more; the run may end at any moment of a scrape."""
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                yield answer.read().decode()
        except (OSError, http.client.HTTPException):
            return


@pytest.mark.slow
@pytest.mark.parametrize("name", scenario_names())
def test_claims_are_judged_while_a_run_goes_on_and_its_end_is_no_error(start_swarmbed, content, tmp_path, name):
    run = ["run", name, "--nodes=4", "--duration=5", "--serve=0", f"--content={content}", f"--out={tmp_path / 'out'}"]
    with start_swarmbed(*run, "--quiet") as process:
        try:
            address = re.search(r"http://\S+", process.stdout.readline() + process.stdout.readline())[0]
            texts = list(scrapes(address))
            out, err = process.communicate(timeout=60)
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
