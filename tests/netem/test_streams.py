"""trio: TCP between hosts: what a link, a partition and a crash do to a stream, under both clocks."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from netem.errors import ConfigError, LocalProtocolError
from netem.impairments.delay import Delay
from netem.impairments.loss import Loss
from netem.link import LinkConfig

LONG_S = 60.0  # bounds a wait that should end at once


async def read_all(stream):
    data = bytearray()
    while chunk := await stream.receive_some():
        data += chunk
    return bytes(data)


async def a_connection(network, nursery, handler, **access):
    """Return the client's end of a connection from host a to host b, whose end `handler` has."""
    client, server = (network.add_host(name, **access) for name in "ab")
    address = await server.listen_tcp(handler, nursery=nursery)
    return await client.connect_tcp(address)


async def echo(stream):
    await stream.send_all(await read_all(stream))


async def hold(stream):
    """Keep a connection until it is reset."""
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()


@pytest.mark.parametrize("size_bytes", [0, 1, 16 * 1024, 200_001])
def test_bytes_arrive_complete_and_in_order_and_the_end_after_them(run_either, size_bytes):
    data = bytes(number % 251 for number in range(size_bytes))

    async def program(network, nursery):
        async with await a_connection(network, nursery, echo) as stream:
            with trio.fail_after(LONG_S):
                async with trio.open_nursery() as both:
                    both.start_soon(stream.send_all, data)
                    both.start_soon(trio.sleep, 0)
                await stream.send_eof()
                assert await read_all(stream) == data

    run_either(program)


def test_a_round_trip_takes_two_delays_after_one_round_trip_for_the_handshake(run_virtual):
    async def program(network, nursery):
        stream = await a_connection(network, nursery, echo)
        assert trio.current_time() == pytest.approx(0.2)
        await stream.send_all(b"x")
        await stream.send_eof()
        assert await stream.receive_some() == b"x"
        assert trio.current_time() == pytest.approx(0.4)
        await stream.aclose()

    run_virtual(program, default_link=LinkConfig((Delay(0.1),)))


def test_chunks_overlap_in_flight_and_jitter_never_reorders_them(run_virtual):
    data = bytes(number // 1000 for number in range(60_000))

    async def program(network, nursery):
        async with await a_connection(network, nursery, echo) as stream:
            start_s = trio.current_time()
            for offset in range(0, len(data), 1000):
                await stream.send_all(data[offset : offset + 1000])
            assert trio.current_time() == start_s  # less than the window waits for nothing
            await stream.send_eof()
            assert await read_all(stream) == data
            assert trio.current_time() - start_s < 0.6  # one after the other would take 6 s

    run_virtual(program, default_link=LinkConfig((Delay(0.1, 0.09),)))


@pytest.mark.parametrize("narrow", ["link", "uplink"])
def test_a_stream_keeps_the_rate(run_virtual, narrow):
    size_bytes = 400_000

    async def program(network, nursery):
        access = {"upload_bytes_per_s": 100_000} if narrow == "uplink" else {}
        async with await a_connection(network, nursery, read_all_and_close, **access) as stream:
            await stream.send_all(bytes(size_bytes))
            await stream.send_eof()
            assert await stream.receive_some() == b""
            answer_bytes = 1  # with which the server accepts
            assert trio.current_time() == pytest.approx((size_bytes + answer_bytes) / 100_000, rel=1e-9)

    config = LinkConfig(rate_bytes_per_s=100_000) if narrow == "link" else LinkConfig()
    run_virtual(program, default_link=config)


async def read_all_and_close(stream):
    await read_all(stream)


def test_at_most_64_kib_are_in_flight(run_virtual):
    async def program(network, nursery):
        stream = await a_connection(network, nursery, read_all_and_close)
        start_s = trio.current_time()
        await stream.send_all(bytes(64 * 1024))
        assert trio.current_time() == start_s
        await stream.send_all(b"x")
        assert trio.current_time() == pytest.approx(start_s + 1)
        await stream.aclose()

    run_virtual(program, default_link=LinkConfig((Delay(1.0),)))


def test_loss_holds_a_chunk_for_retransmission_timeouts_and_loses_no_byte(run_virtual):
    held_s: list[float] = []
    got = bytearray()

    async def program(network, nursery):
        arrivals, arrived = trio.open_memory_channel[bytes](1)

        async def pass_on(stream):
            while chunk := await stream.receive_some():
                got.extend(chunk)
                await arrivals.send(chunk)

        stream = await a_connection(network, nursery, pass_on)
        network.impair("a", "b", LinkConfig((Loss(0.3),)))
        for number in range(200):
            start_s = trio.current_time()
            await stream.send_all(bytes([number]))
            await arrived.receive()
            held_s.append(trio.current_time() - start_s)
        await stream.aclose()

    run_virtual(program)
    assert bytes(got) == bytes(range(200))
    # 0.2 s after one loss, 0.6 after two, 1.4 after three: the times doubled.
    assert {round(held, 6) for held in held_s} >= {0, 0.2, 0.6, 1.4}
    delayed = sum(held > 0 for held in held_s)
    assert abs(delayed - 60) < 5 * (200 * 0.3 * 0.7) ** 0.5


def test_a_link_that_loses_everything_breaks_the_stream_in_the_end(run_virtual):
    async def program(network, nursery):
        stream = await a_connection(network, nursery, hold_until_reset_or_end)
        network.impair_all(LinkConfig((Loss(1.0),)))
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"x")
        with pytest.raises(TimeoutError):
            await network.hosts["a"].connect_tcp(("127.1.0.2", 40_000))
        await stream.aclose()

    run_virtual(program)


async def hold_until_reset_or_end(stream):
    await stream.receive_some()


def test_a_partition_stalls_one_direction_until_it_is_healed(run_virtual):
    async def program(network, nursery):
        async with await a_connection(network, nursery, echo) as stream:
            with network.partition(["a"], ["b"], one_way=True):
                await stream.send_all(b"x")
                await stream.send_eof()
                with trio.move_on_after(60):
                    await stream.receive_some()
                    pytest.fail("the partition leaked")
            assert await read_all(stream) == b"x"
            assert trio.current_time() == pytest.approx(60)

    run_virtual(program)


def test_connecting_through_a_partition_waits_for_its_end(run_virtual):
    async def program(network, nursery):
        client, server = network.add_host("a"), network.add_host("b")
        address = await server.listen_tcp(echo, nursery=nursery)
        with network.partition(["a"], ["b"]):
            with trio.move_on_after(30):
                await client.connect_tcp(address)
                pytest.fail("the partition leaked")
        await (await client.connect_tcp(address)).aclose()

    run_virtual(program)


@pytest.mark.parametrize("victim", ["a", "b"])
def test_a_crash_resets_both_ends_whatever_they_are_doing(run_either, victim):
    ended = trio.Event()

    async def handler(stream):
        await hold(stream)
        ended.set()

    async def program(network, nursery):
        stream = await a_connection(network, nursery, handler)
        await trio.sleep(0.02)
        with trio.fail_after(LONG_S):
            async with trio.open_nursery() as waiting:
                waiting.start_soon(hold, stream)
                await trio.sleep(0.02)
                network.crash(victim)
            await ended.wait()
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"x")
        await stream.aclose()

    run_either(program)


def test_a_crashed_server_refuses_and_a_restarted_one_listens_on_its_port_again(run_either):
    async def program(network, nursery):
        client, server = network.add_host("a"), network.add_host("b")
        address = await server.listen_tcp(echo, nursery=nursery)
        await (await client.connect_tcp(address)).aclose()
        network.crash("b")
        with pytest.raises(ConnectionRefusedError):
            await client.connect_tcp(address)
        with pytest.raises(LocalProtocolError):
            await server.listen_tcp(echo, nursery=nursery)
        network.restart("b")
        await trio.sleep(0.02)
        assert await server.listen_tcp(echo, nursery=nursery, port=address[1]) == address
        await (await client.connect_tcp(address)).aclose()

    run_either(program)


def test_a_port_is_taken_once(run_either):
    async def program(network, nursery):
        server = network.add_host("b")
        _, port = await server.listen_tcp(echo, nursery=nursery)
        with pytest.raises(ConfigError, match="port"):
            await server.listen_tcp(echo, nursery=nursery, port=port)

    run_either(program)


def test_a_closed_stream_says_so_and_its_last_bytes_still_arrive(run_either):
    got = []

    async def handler(stream):
        got.append(await read_all(stream))

    async def program(network, nursery):
        stream = await a_connection(network, nursery, handler)
        await stream.send_all(b"farewell")
        await stream.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await stream.send_all(b"x")
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some()
        for _ in range(20):  # many short waits survive a machine that stops for a while, one long one does not
            await trio.sleep(0.005)
        assert got == [b"farewell"]

    run_either(program, default_link=LinkConfig((Delay(0.02),)))


def test_two_tasks_may_not_send_at_once(run_virtual):
    async def program(network, nursery):
        stream = await a_connection(network, nursery, read_all_and_close)
        with pytest.RaisesGroup(trio.BusyResourceError):
            async with trio.open_nursery() as both:
                both.start_soon(stream.send_all, bytes(100_000))
                both.start_soon(stream.send_all, b"x")
        await stream.aclose()

    run_virtual(program, default_link=LinkConfig((Delay(1.0),)))


def test_streams_left_open_are_closed_when_the_network_ends(run_either):
    async def program(network, nursery):
        program.stream = await a_connection(network, nursery, hold)
        await program.stream.send_all(b"x")

    network = run_either(program)
    assert not network._switchboard._streams


def test_a_reset_ends_a_handler_and_nothing_else_but_its_other_errors_are_not_hidden(run_virtual):
    async def in_a_nursery(stream):
        async with trio.open_nursery() as inner:
            inner.start_soon(stream.receive_some)

    async def of_another_stream(stream):
        await stream.receive_some()
        raise trio.BrokenResourceError("not this stream")

    def program_for(handler):
        async def program(network, nursery):
            stream = await a_connection(network, nursery, handler)
            if handler is in_a_nursery:
                await trio.sleep(1)
                network.crash("a")
            else:
                await stream.send_all(b"x")
            await trio.sleep(1)

        return program

    run_virtual(program_for(in_a_nursery))
    with pytest.RaisesGroup(trio.BrokenResourceError, flatten_subgroups=True, allow_unwrapped=True):
        run_virtual(program_for(of_another_stream))


def open_sockets():
    """Count this process's sockets; the descriptor that lists them is gone by the time it is looked at."""
    names = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return sum(str(path.readlink()).startswith("socket:") for path in names)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not list a process's open files")
def test_connections_that_are_given_up_leave_no_socket_behind(run_real):
    async def program(network, nursery):
        client, server = network.add_host("a"), network.add_host("b")
        address = await server.listen_tcp(hold_until_reset_or_end, nursery=nursery)
        before = open_sockets()
        for given_up_s in [0.0, 0.0005, 0.001, 0.002] * 10:
            with trio.move_on_after(given_up_s):
                async with await client.connect_tcp(address) as stream:
                    await stream.receive_some()
        with trio.fail_after(LONG_S):
            while open_sockets() > before:  # noqa: ASYNC110 - no event tells that a socket was closed
                await trio.sleep(0.01)

    run_real(program)
