"""trio: a worker: a process that runs a share of a run's peers, as the first process tells it over standard input.

It ends when it has reported, or when the other end of the pipe is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import trio

from netem.account_parts import pack
from netem.capture import Capture
from netem.channel import FrameChannel
from netem.errors import ConfigError, SwarmbedError
from netem.events import Event
from netem.fate_file import FateFile
from netem.layout import Layout
from netem.network import Network
from netem.parts import PLAIN, captured
from netem.plain_link import from_plain
from netem.reader import Reader
from netem.real_time import RealTime
from node.shelving import Room
from scenarios import control
from scenarios.peers import Workshop
from scenarios.pool import LAST, read
from scenarios.process import allow_many_sockets, rare_collections
from scenarios.rebooting import Boots

EVENTS_S = 0.05  # how often events travel
MOST_EVENTS = 2_000  # in a message, so that it fits a frame


class Worker:
    """One worker, from its first order to its last word.

    Args:
        pipe: to the first process and from it.
    """

    def __init__(self, pipe: FrameChannel) -> None:
        self._pipe = pipe
        self._answers, self._to_send = trio.open_memory_channel[control.AnyAnswer](float("inf"))
        self._events: list[bytes] = []
        self._calls: dict[int, trio.CancelScope] = {}
        self._nodes: dict[str, Boots] = {}

    async def run(self) -> None:
        """Serve until the report is sent, or the pipe ends."""
        order = await self._next()
        if isinstance(order, control.Prepare):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send)
                try:
                    await self._take_part(order)
                except ConfigError as fault:
                    self._say(control.Refused(fault.field, str(fault.value), fault.allowed))
                self._answers.close()

    async def _next(self) -> control.AnyOrder | None:
        frame = await self._pipe.receive()
        return None if frame is None else control.decode_order(frame)

    def _say(self, answer: control.AnyAnswer) -> None:
        self._answers.send_nowait(answer)

    async def _send(self) -> None:
        async for answer in self._to_send:
            await self._pipe.send(control.encode(answer))

    async def _take_part(self, prepare: control.Prepare) -> None:
        self._clock = RealTime(prepare.base_ns)
        directory = Path(prepare.directory)
        capture = None
        if prepare.capture:
            part = directory / control.part_of("capture", prepare.mine[0])
            capture = Capture(part, self._clock, on_failure=lambda reason: self._say(control.Broken(reason)))
        layout = Layout.parse(prepare.topology, from_plain(prepare.link), region_of=dict(prepare.regions))
        self._network = network = Network(
            self._clock,
            run_seed=prepare.plan.run_seed,
            link_of=layout.link,
            parts=PLAIN if capture is None else captured(capture),
        )
        self._reader = Reader(network)
        fates = FateFile(
            directory / control.part_of("fates", prepare.mine[0]),
            network.fates,
            run_seed=prepare.plan.run_seed,
            on_failure=lambda reason: self._say(control.Broken(reason)),
        )
        workshop = Workshop(directory=directory, emit=self._emit)
        for host in prepare.hosts:
            network.add_host(
                host.name,
                upload_bytes_per_s=host.upload_bytes_per_s,
                download_bytes_per_s=host.download_bytes_per_s,
                queue_bytes=host.queue_bytes,
                here=host.name in prepare.mine,
            )
        self._nodes = {name: workshop.boots(network.hosts[name], prepare.plan) for name in prepare.mine}
        async with trio.open_nursery() as ground:
            ground.start_soon(self._clock.run)
            ground.start_soon(self._send_events)
            with capture or contextlib.nullcontext():
                async with trio.open_nursery() as wires:
                    await wires.start(network.run)
                    self._say(control.Prepared())
                    reports = await self._obey()
                    self._clock.halt()
                    wires.cancel_scope.cancel()
            for node in self._nodes.values():
                node.peer.close()
            fates.finish(network.routes)
            if reports:
                self._flush_events()
                await self._read(LAST)
                for piece in pack(network.account()):
                    self._say(control.Part(piece))
                self._say(control.Finished())
            ground.cancel_scope.cancel()

    async def _obey(self) -> bool:
        """Follow orders; return whether a report is wanted (else the first process is gone)."""
        async with trio.open_nursery() as services:
            while True:
                match await self._next():
                    case control.Join():
                        services.start_soon(self._join, services)
                    case control.Call() as call:
                        services.start_soon(self._call, call)
                    case control.Cancel(number):
                        if number in self._calls:
                            self._calls[number].cancel()
                    case control.Disturb(change):
                        self._network.apply(change)
                    case control.Read(number):
                        services.start_soon(self._read, number)
                    case control.Leave() | None as last:
                        services.cancel_scope.cancel()
                        break
        if last is None:
            return False
        self._flush_events()
        self._say(control.Left())
        return await self._wind_up()

    async def _read(self, number: int) -> None:
        self._say(control.Readings(number, await read(self._reader)))

    async def _wind_up(self) -> bool:
        """Follow the orders that come after the peers have left."""
        while True:
            match await self._next():
                case control.Halt():
                    self._clock.halt()
                    self._say(control.Halted())
                case control.Report():
                    return True
                case None:
                    return False

    async def _join(self, services: trio.Nursery) -> None:
        async with trio.open_nursery() as joining:
            for node in self._nodes.values():
                joining.start_soon(services.start, node.run)
        self._say(control.Joined([node.peer.node for node in self._nodes.values()]))

    async def _call(self, call: control.Call) -> None:
        answer: control.AnyAnswer = control.Failed(call.number, "Cancelled", [])
        try:
            with trio.CancelScope() as self._calls[call.number]:
                value = await self._method(call)(*call.arguments)
                answer = control.Returned(call.number, msgspec.msgpack.encode(value))
        except SwarmbedError as fault:
            answer = control.Failed(call.number, type(fault).__name__, _arguments_of(fault))
        finally:
            del self._calls[call.number]
            self._flush_events()  # whoever called may look for what it did
            self._say(answer)

    def _method(self, call: control.Call) -> Callable[..., Awaitable[Any]]:
        peer = self._nodes[call.peer].peer
        methods: dict[str, Callable[..., Awaitable[Any]]] = {
            # Paths travel as bytes: not every path is text.
            "publish": lambda name, path: peer.publish(name, Path(os.fsdecode(path))),
            "sell": lambda name, path, price_credits: peer.sell(name, Path(os.fsdecode(path)), price_credits),
            "buy": peer.buy,
            "restock": lambda room: peer.restock(Room(*room)),
            "fetch": lambda index, serve: peer.fetch(index, serve=serve),
            "serve": peer.serve,
            "make_room": lambda room: peer.make_room(Room(*room)),
            "drop": peer.drop,
            "believe": peer.believe,
            "balance": peer.balance,
        }
        return methods[call.method]

    def _emit(self, event: Event) -> None:
        self._events.append(msgspec.msgpack.encode((self._clock.now_ns(), event)))

    async def _send_events(self) -> None:
        while True:
            await trio.sleep(EVENTS_S)
            self._flush_events()

    def _flush_events(self) -> None:
        events, self._events = self._events, []
        for start in range(0, len(events), MOST_EVENTS):
            self._say(control.Events(events[start : start + MOST_EVENTS]))


def _arguments_of(fault: SwarmbedError) -> list[str]:
    """Return what makes an equal error on the other side."""
    if isinstance(fault, ConfigError):
        return [fault.field, str(fault.value), fault.allowed]
    named: Any = fault
    first = getattr(named, "reason", None) or getattr(named, "kind", None)
    return [str(fault)] if first is None else [first, str(fault).removeprefix(f"{first}: ").removeprefix(first)]


async def _main(reading: int, writing: int) -> None:
    stream = trio.StapledStream(trio.lowlevel.FdStream(writing), trio.lowlevel.FdStream(reading))
    async with stream:
        await Worker(FrameChannel(stream)).run()


def main() -> None:
    """Run a worker over standard input and output; what is printed goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process says when to end
    reading, writing = os.dup(0), os.dup(1)
    os.dup2(sys.stderr.fileno(), 1)
    allow_many_sockets()
    with rare_collections():
        trio.run(_main, reading, writing)


if __name__ == "__main__":
    main()
