"""trio: what a person sees while a run goes on: one live line on a terminal, else a line every five seconds.

It writes to standard error, looks at the wall clock, and has no part in the run.
"""

from __future__ import annotations

import sys
import time
from typing import Self

import trio

from netem.clock import Clock, S
from netem.events import Event
from node.events import DownloadFinished, DownloadStarted, DownloadStopped
from tracker.events import BoardPosted

LIVE_S = 0.5
LINE_S = 5.0
PATIENCE_S = 2.0  # what takes less is not told of


class Progress:
    """Follow a run by its events and tell about it."""

    def __init__(self, clock: Clock, *, duration_s: float, quiet: bool) -> None:
        self._clock = clock
        self._duration_s = duration_s
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._started_ns = clock.now_ns()
        self._under_way = self._finished = self._board = self._blocks = 0
        self._told_s = time.monotonic()
        self._began_s = self._told_s

    def fold(self, _time_ns: int, event: Event) -> None:
        """Take an event."""
        if isinstance(event, DownloadStarted):
            self._under_way += 1
        elif isinstance(event, DownloadFinished):
            self._under_way -= 1
            self._finished += 1
            self._blocks += event.blocks
        elif isinstance(event, DownloadStopped):
            self._under_way -= 1
            self._blocks += event.blocks
        elif isinstance(event, BoardPosted):
            self._board = event.board

    async def run(self) -> None:
        """Tell about the run until cancelled."""
        while True:
            await trio.sleep(LIVE_S)
            if not self._quiet and time.monotonic() - self._told_s >= (LIVE_S if self._live else LINE_S):
                self._tell()

    def say(self, text: str) -> None:
        """Tell something at once, even when quiet."""
        sys.stderr.write(f"\r\033[K{text}\n" if self._live else f"{text}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """End the live line."""
        if self._live and not self._quiet:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    def _tell(self) -> None:
        self._told_s = time.monotonic()
        at_s = (self._clock.now_ns() - self._started_ns) / S
        speed = at_s / max(1e-9, self._told_s - self._began_s)
        pace = f", {speed:.1f}x real time" if self._clock.virtual else ""
        text = (
            f"{at_s:5.1f} of {self._duration_s:g} s{pace}: board {self._board}, {self._under_way} downloads under way, "
            f"{self._finished} finished"
        )
        sys.stderr.write(f"\r\033[K{text}" if self._live else f"{text}\n")
        sys.stderr.flush()


class Reading:
    """Tell how far a long reading is, from two seconds on; on leaving, the live line ends.

    Args:
        what: is counted.
        quiet: tell nothing of it.
    """

    def __init__(self, what: str, *, quiet: bool = False) -> None:
        self._what = what
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._told_s = time.monotonic() + PATIENCE_S - LIVE_S
        self._told = False

    def turn(self, count: int) -> None:
        """Take how many there are so far."""
        now_s = time.monotonic()
        if not self._quiet and now_s - self._told_s >= (LIVE_S if self._live or not self._told else LINE_S):
            self._told_s, self._told = now_s, True
            text = f"{count:,} {self._what}"
            sys.stderr.write(f"\r\033[K{text}" if self._live else f"{text}\n")
            sys.stderr.flush()

    def say(self, text: str) -> None:
        """Tell something at once, even when quiet."""
        sys.stderr.write(f"{text}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live and self._told:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
