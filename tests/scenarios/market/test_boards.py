"""Waiting for the next board: until there is one, and no longer than one look more."""

import trio

from scenarios.market.boards import LOOK_S, next_board, until


class FakeTracker:
    """A tracker that posts a board when told."""

    board = 7


async def test_the_next_board_is_waited_for_and_seen_within_one_look(autojump_clock):
    tracker = FakeTracker()
    seen_s = []

    async def watch():
        await next_board(tracker)
        seen_s.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await trio.sleep(3.0)
        assert not seen_s
        posted_s = trio.current_time()
        tracker.board = 8
    assert 0 <= seen_s[0] - posted_s <= LOOK_S


async def test_what_is_so_already_is_not_waited_for(autojump_clock):
    before_s = trio.current_time()
    await until(lambda: True)
    assert trio.current_time() == before_s
