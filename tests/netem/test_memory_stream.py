"""trio: what the two ends of a stream in memory promise each other."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from netem.memory_stream import stream_pair


async def test_bytes_come_out_as_they_went_in_and_then_the_end():
    ours, theirs = stream_pair()
    await ours.send_all(b"hello ")
    await ours.send_all(b"world")
    await ours.send_eof()
    assert [await theirs.receive_some(4), await theirs.receive_some()] == [b"hell", b"o world"]
    assert await theirs.receive_some() == b""
    await theirs.send_all(b"the other direction stays open")
    assert await ours.receive_some() == b"the other direction stays open"
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"after the end")


async def test_a_receiver_waits_for_bytes_and_wakes_with_them():
    ours, theirs = stream_pair()
    got = []

    async def receive():
        got.append(await theirs.receive_some())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        assert got == []
        await ours.send_all(b"x")
    assert got == [b"x"]


async def test_closing_ends_both_directions_and_wakes_who_waits():
    ours, theirs = stream_pair()

    async def receive():
        with pytest.raises(trio.ClosedResourceError):
            await ours.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        await ours.send_all(b"last words")
        await ours.aclose()
    assert await theirs.receive_some() == b"last words"
    assert await theirs.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await theirs.send_all(b"to nobody")
    with pytest.raises(trio.ClosedResourceError):
        await ours.receive_some()
