"""trio: waiting for boards, and for what nodes do: nobody tells a scenario, which therefore looks again and again."""

from __future__ import annotations

from collections.abc import Callable

import trio

from tracker.tracker import Tracker

LOOK_S = 0.02  # less than a split decided on a board takes to come back: few heartbeats come between a board and the look at it


async def until(done: Callable[[], bool], *, look_s: float = LOOK_S) -> None:
    """Wait until something is so, and look every so often."""
    while not done():  # noqa: ASYNC110 - what is waited for happens in tracker and nodes, and none of them tells
        await trio.sleep(look_s)


async def next_board(tracker: Tracker) -> None:
    """Wait until the tracker has posted another board."""
    board = tracker.board
    await until(lambda: tracker.board != board)
