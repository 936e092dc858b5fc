"""trio: serves a finished run: the live page without controls, and the query API over its samples, until Ctrl-C.

Source: DESIGN section 6.
"""

from __future__ import annotations

import socket
from typing import Any

import trio
from starlette.routing import BaseRoute

from netem.clock import S
from netem.real_time import RealTime
from scenarios.finished_run import FinishedRun
from scenarios.page.guard import Guard
from scenarios.page.routes import Shown, page_routes
from scenarios.query_api import query_routes
from scenarios.report.finished_view import FinishedView, drawn_of
from scenarios.report.making import about_of, link_of, sample_ms
from scenarios.report.replay import Replayed
from scenarios.serving import serve_until_interrupted


def routes_of(run: FinishedRun, told: Replayed, *, port: int) -> list[BaseRoute]:
    """Return the routes of a finished run's page and query API.

    Raises:
        ConfigError: the run's fates are damaged.
    """
    names = [name for _, name, _ in told.recorded.nodes]
    view = FinishedView(
        _facts(run, told),
        run.result,
        ticker=told.ticker,
        drawn=drawn_of(run.fates(), names),
        length_s=(told.ended_ns - told.started_ns) / S,
        sample_s=sample_ms(told) / 1000,
    )
    clock = RealTime()
    shown = Shown(view, told.store, clock, Guard(port=port, token=""))
    return [*page_routes(shown), *query_routes(told.store, clock=clock)]


def serve_finished(listener: socket.socket, routes: list[BaseRoute]) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    trio.run(serve_until_interrupted, listener, routes)


def _facts(run: FinishedRun, told: Replayed) -> dict[str, Any]:
    record = run.record
    question = str(about_of(record).get("question", "")).split("\n\n", 1)[0].replace("\n", " ")
    return {
        "scenario": record["scenario"],
        "question": question,
        "seed": record["seed"],
        "time": record["time"],
        "run": run.directory.resolve().name,
        "params": record["params"],
        "started_s": told.started_ns / S,
        "duration_s": record["params"].get("duration_s", 0),
        "link": link_of(record),
    }
