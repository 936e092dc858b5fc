"""trio: a peer that lives in a worker, as a scenario sees it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import trio

from netem import errors
from netem.errors import RunVoid
from node.shelving import Room
from node.trading import Restocked
from scenarios import control
from tracker import messages as m

T = TypeVar("T")


class Line:
    """Calls to the peers of one worker, and their answers.

    Args:
        order: sends an order to the worker.
    """

    def __init__(self, order: Callable[[control.AnyOrder], None]) -> None:
        self.order = order
        self._numbers = itertools.count()
        self._waiting: dict[int, trio.Event] = {}
        self._answers: dict[int, control.Returned | control.Failed] = {}
        self._dead = ""

    async def call(self, peer: str, method: str, *arguments: Any) -> bytes:
        """Call a peer's method and return its encoded result.

        Cancelling cancels the call in the worker, and waits until it has cleaned up there.

        Raises:
            SwarmbedError: what the method raised.
            RunVoid: the worker is dead.
        """
        if self._dead:
            raise RunVoid(self._dead)
        number = next(self._numbers)
        answered = self._waiting[number] = trio.Event()
        self.order(control.Call(number, peer, method, list(arguments)))
        try:
            await answered.wait()
        except trio.Cancelled:
            self.order(control.Cancel(number))
            with trio.CancelScope(shield=True):
                await answered.wait()
            del self._answers[number]
            raise
        answer = self._answers.pop(number)
        if isinstance(answer, control.Returned):
            return answer.value
        kind = getattr(errors, answer.error, None)
        raise RunVoid(" ".join(answer.arguments)) if kind is None else kind(*answer.arguments)

    def answer(self, answer: control.Returned | control.Failed) -> None:
        """Take an answer."""
        if answer.number in self._waiting:
            self._answers[answer.number] = answer
            self._waiting.pop(answer.number).set()

    def cut(self, reason: str) -> None:
        """Fail all calls, now and from now on: a worker is dead."""
        self._dead = reason
        for number in list(self._waiting):
            self.answer(control.Failed(number, RunVoid.__name__, [reason]))


class RemotePeer:
    """What a scenario may ask of a peer in a worker; see `node.peer.Peer` for the meanings.

    Attributes:
        name: its host's.
        node: its id.
    """

    def __init__(self, name: str, node: bytes, line: Line) -> None:
        self.name = name
        self.node = node
        self._line = line
        self._held: set[int] = set()

    async def publish(self, name: str, source: Path) -> int:
        """See `Peer.publish`."""
        index = await self._ask(int, "publish", name, os.fsencode(source))
        self._held.add(index)
        return index

    async def sell(self, name: str, source: Path, price_credits: int) -> int:
        """See `Peer.sell`."""
        index = await self._ask(int, "sell", name, os.fsencode(source), price_credits)
        self._held.add(index)
        return index

    async def buy(self, index: int) -> int:
        """See `Peer.buy`."""
        return await self._ask(int, "buy", index)

    async def restock(self, room: Room) -> Restocked:
        """See `Peer.restock`."""
        restocked = await self._ask(Restocked, "restock", room)
        self._held.difference_update(restocked.dropped)
        self._held.update(restocked.got)
        return restocked

    async def fetch(self, index: int, *, serve: bool = True) -> m.Manifest:
        """See `Peer.fetch`."""
        manifest = await self._ask(m.Manifest, "fetch", index, serve)
        if serve:
            self._held.add(index)
        return manifest

    async def serve(self, index: int) -> None:
        """See `Peer.serve`."""
        await self._ask(type(None), "serve", index)
        self._held.add(index)

    async def make_room(self, room: Room) -> list[int]:
        """See `Peer.make_room`."""
        dropped = await self._ask(list[int], "make_room", room)
        self._held.difference_update(dropped)
        return dropped

    async def drop(self, index: int) -> None:
        """See `Peer.drop`."""
        self._held.discard(index)
        await self._ask(type(None), "drop", index)

    async def believe(self, prior: Sequence[float]) -> None:
        """See `Peer.believe`."""
        await self._ask(type(None), "believe", list(prior))

    async def balance(self) -> m.Balance:
        """See `Peer.balance`."""
        return await self._ask(m.Balance, "balance")

    def holds(self, index: int) -> bool:
        """See `Peer.holds`; it may lag behind by a message."""
        return index in self._held

    async def _ask(self, kind: type[T], method: str, *arguments: Any) -> T:
        return msgspec.msgpack.decode(await self._line.call(self.name, method, *arguments), type=kind)
