"""Strangers have a moment and a small frame, members one connection; tried with streams in memory."""

import pytest
import trio
import trio.testing

from netem.errors import BadFrame, RemoteProtocolError
from netem.framing import frame
from tracker.doors import Doors
from tracker.limits import FRAME_S, JOIN_BYTES, JOIN_S


async def test_a_stranger_that_says_nothing_is_hung_up_on_in_time(autojump_clock):
    _ours, theirs = trio.testing.memory_stream_pair()
    doors = Doors()
    channel = doors.channel(theirs)
    with pytest.raises(RemoteProtocolError, match="too-slow"), doors.stranger(channel):
        await channel.receive()
    assert trio.current_time() == pytest.approx(JOIN_S)
    assert doors.sizes() == {"strangers": 0, "strangers_bytes": 0, "connections": 0}


async def test_a_frame_that_drips_is_given_up_however_lively(autojump_clock):
    ours, theirs = trio.testing.memory_stream_pair()
    doors = Doors()
    channel = doors.channel(theirs)
    async with trio.open_nursery() as nursery:

        async def drip():
            await trio.sleep(3)
            for byte in frame(bytes(100)):
                await ours.send_all(bytes([byte]))
                await trio.sleep(1)

        nursery.start_soon(drip)
        with doors.member(b"node", channel) as seat, pytest.raises(RemoteProtocolError, match="too-slow"):
            await seat.receive()
        assert trio.current_time() == pytest.approx(3 + FRAME_S)
        nursery.cancel_scope.cancel()


async def test_a_member_may_be_silent_between_frames(autojump_clock):
    ours, theirs = trio.testing.memory_stream_pair()
    doors = Doors()
    with doors.member(b"node", doors.channel(theirs)) as seat:
        for _ in range(2):
            await trio.sleep(10 * FRAME_S)
            await ours.send_all(frame(bytes(2 * JOIN_BYTES)))
            assert await seat.receive() == bytes(2 * JOIN_BYTES)


async def test_a_strangers_large_frame_is_refused_before_it_is_kept(autojump_clock):
    ours, theirs = trio.testing.memory_stream_pair()
    doors = Doors()
    channel = doors.channel(theirs)
    await ours.send_all(frame(bytes(JOIN_BYTES + 1)))
    with pytest.raises(BadFrame, match="oversized"), doors.stranger(channel):
        await channel.receive()


async def test_the_stranger_that_has_waited_longest_makes_way(autojump_clock):
    doors, gone = Doors(strangers=3), []

    async def wait(number, stream):
        channel = doors.channel(stream)
        with pytest.raises(RemoteProtocolError), doors.stranger(channel):
            await channel.receive()
        gone.append((number, trio.current_time()))

    async with trio.open_nursery() as nursery:
        pairs = [trio.testing.memory_stream_pair() for _ in range(5)]
        for number, (_, theirs) in enumerate(pairs):
            nursery.start_soon(wait, number, theirs)
            await trio.sleep(1)
            assert doors.sizes()["strangers"] == min(number + 1, 3)
    assert gone == [(0, pytest.approx(3)), (1, pytest.approx(4)), (2, 2 + JOIN_S), (3, 3 + JOIN_S), (4, 4 + JOIN_S)]


async def test_a_members_newer_connection_takes_over_and_what_is_done_for_it_is_finished(autojump_clock):
    doors, log = Doors(), []

    async def converse(name, stream):
        with doors.member(b"node", doors.channel(stream)) as seat:
            try:
                await seat.receive()
                await trio.sleep(5)  # as a request at the bank: it is not cut off
                log.append(f"{name} done")
                await seat.send(b"answer")
            except RemoteProtocolError as fault:
                log.append(f"{name} {fault.kind} at {trio.current_time():g}")

    async with trio.open_nursery() as nursery:
        (first, one), (_second, two) = trio.testing.memory_stream_pair(), trio.testing.memory_stream_pair()
        nursery.start_soon(converse, "first", one)
        await first.send_all(frame(b"request"))
        await trio.sleep(1)
        nursery.start_soon(converse, "second", two)
        await trio.sleep(1)
        assert doors.sizes()["connections"] == 1
        await trio.sleep(8)
        doors.expel(b"node")
    assert log == ["first done", "first replaced at 5", "second replaced at 10"]
