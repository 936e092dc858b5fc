"""Pure: when which hosts are up: sessions drawn from rates, or read from a trace.

Source: Poisson arrivals and exponential sessions as in the churn literature (Leonard, Rai, Loguinov 2005); DESIGN section 3.
"""

from __future__ import annotations

import csv
import heapq
import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from netem.errors import ConfigError

COLUMNS = ("name", "start_s", "end_s")
_START_AND_END = "a start from 0 and an end after it"


class Session(NamedTuple):
    """A host is up from `start_s` to `end_s`, in seconds since the churn began; `end_s` may be infinite."""

    name: str
    start_s: float
    end_s: float


def poisson_sessions(
    names: Sequence[str],
    *,
    arrivals_per_s: float,
    mean_session_s: float,
    duration_s: float,
    chance: np.random.Generator,
) -> list[Session]:
    """Draw sessions: all hosts are up at first; an arrival brings a random absent host back, if there is one.

    Args:
        names: the hosts that come and go.
        arrivals_per_s: > 0, rate of the Poisson stream of arrivals.
        mean_session_s: > 0, of exponential sessions; by absence of memory also of what is left of the first ones.
        duration_s: > 0, until when arrivals are drawn.
        chance: the draws' generator.

    Returns:
        By start, sessions of which those of one host do not overlap.

    Raises:
        ConfigError: a rate or a duration is out of its range.
    """
    for field, value in (
        ("arrivals_per_s", arrivals_per_s),
        ("mean_session_s", mean_session_s),
        ("duration_s", duration_s),
    ):
        if not 0.0 < value < math.inf:
            raise ConfigError(f"churn {field}", value, "a number above 0")
    sessions = [Session(name, 0.0, float(chance.exponential(mean_session_s))) for name in names]
    present = [(session.end_s, session.name) for session in sessions]
    heapq.heapify(present)
    absent: list[str] = []
    now_s = float(chance.exponential(1 / arrivals_per_s))
    while now_s < duration_s:
        while present and present[0][0] <= now_s:
            absent.append(heapq.heappop(present)[1])
        if absent:
            name = absent.pop(int(chance.integers(len(absent))))
            sessions.append(Session(name, now_s, now_s + float(chance.exponential(mean_session_s))))
            heapq.heappush(present, (sessions[-1].end_s, name))
        now_s += float(chance.exponential(1 / arrivals_per_s))
    return sessions


def check_sessions(sessions: Sequence[Session]) -> None:
    """Raise ConfigError for a session that does not start from 0 and end later, or two of one host that overlap."""
    before: Session | None = None
    for session in sorted(sessions):
        shown = f"{session.name} {session.start_s:g} to {session.end_s:g} s"
        if not 0.0 <= session.start_s < session.end_s:
            raise ConfigError("churn session", shown, _START_AND_END)
        if before is not None and before.name == session.name and session.start_s < before.end_s:
            raise ConfigError("churn session", shown, _apart_from(before))
        before = session


def read_sessions(text: str, *, source: str, names: Collection[str]) -> list[Session]:
    """Read a trace: CSV with the header `name,start_s,end_s` and a row for each session, in any order.

    Args:
        text: the trace.
        source: its name, for messages.
        names: the hosts that may come and go.

    Raises:
        ConfigError: a wrong header, a row with a gap, another host or without numbers, a session that ends before it starts, or
            two sessions of a host that overlap; the message has the line.
    """
    rows = list(csv.reader(text.splitlines()))
    if not rows or tuple(cell.strip() for cell in rows[0]) != COLUMNS:
        raise ConfigError(f"{source}: line 1", ",".join(rows[0]) if rows else "", f"the header {','.join(COLUMNS)}")
    numbered = [
        (number, _session(row, f"{source}: line {number}", names=names))
        for number, row in enumerate(rows[1:], 2)
        if row
    ]
    if not numbered:
        raise ConfigError(source, "no sessions", "at least one session")
    last: dict[str, Session] = {}
    for number, session in sorted(numbered, key=lambda one: (one[1].name, one[1].start_s, one[0])):
        before = last.get(session.name)
        if before is not None and session.start_s < before.end_s:
            shown = f"{session.start_s:g} to {session.end_s:g} s"
            raise ConfigError(f"{source}: line {number}", shown, _apart_from(before))
        last[session.name] = session
    return sorted((session for _, session in numbered), key=lambda session: (session.start_s, session.name))


def _session(row: list[str], where: str, *, names: Collection[str]) -> Session:
    cells = [cell.strip() for cell in row]
    if len(cells) != len(COLUMNS) or not all(cells):
        raise ConfigError(where, ",".join(row), f"no gap: {', '.join(COLUMNS)} (inf for an end that does not come)")
    if cells[0] not in names:
        raise ConfigError(where, cells[0], f"one of {', '.join(names)}")
    try:
        start_s, end_s = map(float, cells[1:])
    except ValueError:
        raise ConfigError(where, ",".join(row), "start_s and end_s in seconds") from None
    if not 0.0 <= start_s < end_s:
        raise ConfigError(where, ",".join(row), _START_AND_END)
    return Session(cells[0], start_s, end_s)


def _apart_from(before: Session) -> str:
    return f"sessions that do not overlap: {before.name} is up from {before.start_s:g} to {before.end_s:g} s"
