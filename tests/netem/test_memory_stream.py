"""trio: what the two ends of a stream in memory promise each other."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from netem.memory_stream import stream_pair

MOST = 100


async def test_bytes_come_out_as_they_went_in_and_then_the_end():
    ours, theirs = stream_pair()
    assert (ours.put(b"hello "), ours.put(b"world")) == (6, 5)
    ours.end()
    assert [await theirs.receive_some(4), await theirs.receive_some(MOST)] == [b"hell", b"o world"]
    assert await theirs.receive_some(MOST) == b""
    theirs.put(b"the other direction stays open")
    assert await ours.receive_some(MOST) == b"the other direction stays open"
    with pytest.raises(trio.BrokenResourceError):
        ours.put(b"after the end")


async def receiving(stream, got):
    got.append(await stream.receive_some(MOST))


async def test_a_receiver_waits_for_bytes_and_wakes_with_them():
    ours, theirs = stream_pair()
    got = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receiving, theirs, got)
        await trio.testing.wait_all_tasks_blocked()
        assert got == []
        ours.put(b"x")
    assert got == [b"x"]


async def test_an_interrupted_receiver_gets_nothing_and_what_it_sends_still_arrives():
    ours, theirs = stream_pair()
    got = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receiving, ours, got)
        await trio.testing.wait_all_tasks_blocked()
        ours.interrupt()
    assert got == [b""]
    theirs.put(b"unheard")
    ours.put(b"last words")
    assert await theirs.receive_some(MOST) == b"last words"


async def test_closing_ends_both_directions_and_wakes_who_waits():
    ours, theirs = stream_pair()

    async def receive():
        with pytest.raises(trio.ClosedResourceError):
            await ours.receive_some(MOST)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        ours.put(b"last words")
        ours.close()
    assert await theirs.receive_some(MOST) == b"last words"
    assert await theirs.receive_some(MOST) == b""
    with pytest.raises(trio.BrokenResourceError):
        theirs.put(b"to nobody")
    with pytest.raises(trio.ClosedResourceError):
        await ours.receive_some(MOST)
