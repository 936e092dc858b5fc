"""The live page in a real browser: it loads, its lines move, a click disturbs the run and shows, and it stays smooth."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
import urllib.parse
import urllib.request

import pytest
import trio
from playwright.sync_api import sync_playwright

from netem.virtual_time import VirtualTime
from scenarios.catalogue import scenario_named
from scenarios.options import Options
from scenarios.page.guard import Guard
from scenarios.page.routes import Shown, page_routes
from scenarios.query_api import query_routes
from scenarios.runner import run_scenario
from scenarios.serving import address_of, listening, serve_routes
from scenarios.watch import Watch

NODES = 1_000
PATIENCE_MS = 60_000
TABS = ("Overview", "Network", "Market", "Bank", "Testbed health")
MOST_BUSY_S = 0.6  # CPU of the page's thread for the two seconds from one drawing of the panels to the next


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield started
        started.close()


@pytest.fixture
def page(browser):
    """Return a new page; at the end it must have complained of nothing."""
    opened = browser.new_page(viewport={"width": 1440, "height": 1000})
    opened.set_default_timeout(PATIENCE_MS)
    complaints = []
    opened.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    opened.on("pageerror", lambda fault: complaints.append(str(fault)))
    yield opened
    opened.close()
    assert complaints == []


@contextlib.contextmanager
def served(routes_of):
    """Serve routes in a thread; give the address."""
    with listening(0) as listener:
        scope = trio.CancelScope()
        token = []

        async def main():
            token.append(trio.lowlevel.current_trio_token())
            with scope:
                await serve_routes(listener, routes_of(listener.getsockname()[1]))

        thread = threading.Thread(target=trio.run, args=(main,))
        thread.start()
        try:
            yield address_of(listener)
        finally:
            token[0].run_sync_soon(scope.cancel)
            thread.join()


def until(page, expression, within_s=60):
    """Wait until an expression holds; the page's own policy forbids what Playwright would do for that."""
    give_up_s = time.monotonic() + within_s
    while not page.evaluate(expression):
        assert time.monotonic() < give_up_s, expression
        page.wait_for_timeout(50)


def busy_s(metrics):
    """Return the CPU time that the page's thread has used; what other programs do to the machine is not in it."""
    found = metrics.send("Performance.getMetrics")["metrics"]
    return next(one["value"] for one in found if one["name"] == "TaskDuration")


POINTS = "[...document.querySelectorAll('.chart')].flatMap(({ data }) => data ?? []).reduce((sum, { x }) => sum + x.length, 0)"


@pytest.mark.slow
def test_the_page_follows_a_run_and_a_click_that_cuts_it_in_two_shows_in_its_data(page, start_swarmbed, tmp_path):
    run = ["run", "flash-crowd", "--nodes=6", "--duration=600", "--set=load=0.9", "--set=upload_bytes_per_s=200000"]
    with start_swarmbed(*run, "--quiet", "--serve=0", f"--out={tmp_path / 'out'}") as process:
        try:
            address = re.search(r"http://[\d.:]+", process.stdout.readline() + process.stdout.readline())[0]
            page.goto(address)
            until(page, "document.querySelectorAll('.chart .scatterlayer .js-line').length >= 2")
            until(page, "document.querySelector('#phase').textContent.startsWith('running')")
            assert page.text_content("#scenario") == "flash-crowd"
            before = page.evaluate(POINTS)
            until(page, f"{POINTS} > {before}")
            page.get_by_role("button", name="Split in two").click()
            until(page, "swarmbed.state.nodes.cut.some((share) => share > 0)")
            assert (
                shown_after_s(address, "partition") < 3 * told(address)["sample_s"]
            )  # a second each, or what a slow host can
            page.wait_for_selector("#events .FaultMade")
            until(
                page,
                "[...document.querySelectorAll('.annotation-text')].some((mark) => mark.textContent === 'partition')",
            )
            page.get_by_role("button", name="Heal").click()
            until(page, "swarmbed.state.nodes.cut.every((share) => share === 0)")
            a_chosen_node_crashes_and_comes_back(page)
            page.goto("about:blank")
        finally:
            process.kill()


def a_chosen_node_crashes_and_comes_back(page):
    assert page.is_disabled("button[data-do=crash]")  # nothing is chosen
    x, y = page.evaluate("swarmbed.map.places[1]")
    page.hover("#map", position={"x": x, "y": y})
    page.click("#map", position={"x": x, "y": y})
    assert page.text_content("#scope") == "chosen: node-0"
    page.get_by_role("button", name="Crash").click()
    until(page, "swarmbed.state.nodes.up[1] === 0")
    joined = "[...document.querySelectorAll('#events .NodeJoined')].filter(({ textContent }) => textContent.includes('epoch 2'))"
    assert page.evaluate(f"{joined}.length") == 0
    page.get_by_role("button", name="Restart").click()
    until(page, "swarmbed.state.nodes.up[1] === 1")
    until(page, f"{joined}.some(({{ textContent }}) => textContent.includes('node-0'))")  # the node takes part again
    page.get_by_role("button", name="Pause").click()
    until(page, "swarmbed.state.nodes.paused[1] === 1")
    page.get_by_role("button", name="Resume").click()
    until(page, "swarmbed.state.nodes.paused[1] === 0")


def shown_after_s(address, kind):
    """Return how long after a fault the samples that all panels are drawn from had it, by the run's own clock."""
    made, counted = f'swarmbed_fault_timestamp_seconds{{kind="{kind}"}}', f'swarmbed_faults_total{{kind="{kind}"}} > 0'
    while not (times := values(address, made)):
        time.sleep(0.1)
    return min(at_s for at_s, _ in values(address, counted)) - float(times[-1][1])


def told(address):
    """Return the page's state."""
    with urllib.request.urlopen(f"{address}/page/state", timeout=30) as answer:
        return json.load(answer)


def values(address, query):
    """Return the samples of a query's one series over the last half minute, each with its time."""
    end_s = told(address)["bounds_ms"][1] / 1000
    asked = urllib.parse.urlencode({"query": query, "start": end_s - 30, "end": end_s, "step": 0.5})
    with urllib.request.urlopen(f"{address}/api/v1/query_range?{asked}", timeout=30) as answer:
        found = json.load(answer)["data"]["result"]
    return found[0]["values"] if found else []


@pytest.fixture(scope="module")
def simulated(tmp_path_factory, content, small):
    out = tmp_path_factory.mktemp("seen") / "out"
    options = Options(seed=1, time="virtual", content=content, out=out, quiet=True)
    with listening(0) as listener:
        watch = Watch(listener, hold=True)
        run_scenario(scenario_named("flash-crowd"), small, options, watch=watch)
    return watch


def test_every_panel_of_every_dashboard_is_drawn(page, simulated):
    def routes(port):
        store, clock = simulated.store, VirtualTime()
        guard = Guard(port=port, token="")
        return [*page_routes(Shown(simulated.view, store, clock, guard)), *query_routes(store, clock=clock)]

    page.set_viewport_size({"width": 1440, "height": 4_000})  # all panels are in sight
    drawn = set()
    with served(routes) as address:
        page.goto(address)
        for tab in TABS:
            page.get_by_role("tab", name=tab).click()
            until(
                page,
                "swarmbed.boards.busy === false && [...document.querySelectorAll('.panel .body')].every((body) => body.firstChild)",
            )
            empty = page.eval_on_selector_all(
                ".panel:has(.empty)", "panels => panels.map((panel) => panel.textContent)"
            )
            assert all(text.endswith("no data yet") for text in empty)  # none was refused
            assert len(empty) <= 2, empty
            drawn |= set(
                page.eval_on_selector_all(
                    ".panel:not(:has(.empty))", "panels => panels.map(({ classList }) => classList[1])"
                )
            )
        verdicts = page.eval_on_selector_all("#claims .verdict", "cells => cells.map((cell) => cell.textContent)")
        assert len(verdicts) == len(simulated.view.told(after=0)["claims"])
        assert set(verdicts) <= {"holds", "FAILS", "not judged"}
        assert page.text_content("#light") == "fidelity: valid"
        assert page.is_disabled("[data-do=heal]")
        renderers = page.evaluate("import('/page/files/panels.js').then(({ renderers }) => Object.keys(renderers))")
    assert drawn == set(renderers)


class Crowded:
    """A run of a thousand nodes that goes on, all busy."""

    def __init__(self, view):
        self._view = view
        self.turns = 0
        self.over = False

    def facts(self):
        return self._view.facts()

    def told(self, *, after):
        self.turns += 1
        return self._view.told(after=after) | {"ended": self.over, "phase": "running", "show_s": float(self.turns)}

    def drawn(self):
        names = ["tracker", *(f"node-{number}" for number in range(NODES))]
        busy = [(number * self.turns) % 97 for number in range(NODES + 1)]
        cut = [float(number % 50 == 0) for number in range(NODES + 1)]
        return {
            "names": names,
            "up": [1] * (NODES + 1),
            "paused": [0] * (NODES + 1),
            "elsewhere": 0,
            "busy": busy,
            "cut": cut,
            "loss": cut,
            "links": 22_000,
            "pairs": None,
        }


@pytest.mark.slow
def test_with_a_thousand_nodes_the_page_has_time_to_spare(page, simulated):
    store = simulated.store
    wide = [
        store.series(
            "swarmbed_node_served_bytes_total",
            {"instance": dict(store.labels(0))["instance"], "job": "swarmbed", "node": f"node-{n}", "role": "peer"},
        )
        for n in range(100)
    ]
    last_ms = store.bounds_ms()[1]
    for second in range(1, 600):
        store.append(last_ms + 1000 * second, wide, [float(1000 * second * (n % 7)) for n in range(100)])

    view, clock = Crowded(simulated.view), VirtualTime()

    def routes(port):
        shown = Shown(view, store, clock, Guard(port=port, token=""))
        return [*page_routes(shown), *query_routes(store, clock=clock)]

    metrics = page.context.new_cdp_session(page)
    metrics.send("Performance.enable", {"timeDomain": "threadTicks"})
    with served(routes) as address:
        page.goto(address)
        until(page, "swarmbed.state && swarmbed.map.places?.length === 1001")
        until(page, "document.querySelectorAll('.chart').length >= 2")
        until(page, "swarmbed.boards.turns >= 2")  # charts are drawn anew now, which is cheaper than at first
        before, turns = busy_s(metrics), page.evaluate("swarmbed.boards.turns")
        until(page, f"swarmbed.boards.turns >= {turns} + 2")
        assert busy_s(metrics) - before < 2 * MOST_BUSY_S
        view.over = True
        until(page, "document.querySelector('#phase').textContent.startsWith('The run has ended')")
        until(page, "swarmbed.boards.busy === false")
        shown = page.evaluate(POINTS)
    page.wait_for_timeout(1_500)  # the server is gone: the page has what it had, and asks no more
    assert page.evaluate(POINTS) == shown > 1_000
