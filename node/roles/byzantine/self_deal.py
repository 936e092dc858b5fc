"""trio: self-dealing: an identity of its own pays it for downloads that never happened.

Aim: seem a mighty server, so that the odds of the files it holds look high, the others leave these files to it, and it sells more of
its upload. Its second identity opens downloads of its files, signs for every byte, and closes. Defence: fee in is payout out, so the dealing
itself earns nothing; and for what it does to the odds, only bytes that others accepted are paid by others, so it gains at most what its real
upload can deliver. Its weight in the odds is not bounded.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import ClassVar

import trio

from netem.errors import Rejection
from netem.randomness import keyed_bytes
from node.roles.base import Role
from node.tracker_link import TrackerLink
from tracker import messages as m
from tracker.identity import Identity
from tracker.settlement import EMPTY_ROOT
from tracker.wire import encode_signed

EVERY_S = 1.0


class SelfDeal(Role):
    """Serve, and be its own best customer."""

    name: ClassVar[str] = "self_deal"
    symptom: ClassVar[str] = "overrated"
    serves: ClassVar[bool] = True
    colludes: ClassVar[bool] = True

    async def act(self) -> None:
        """Deal with itself in every file it holds, again every second (see `Role.act`)."""
        shill = Identity(keyed_bytes(self._config.run_seed, "shill", self.node), epoch=self._identity.epoch)
        host, port = self._endpoint.address
        link = TrackerLink(
            self._host,
            shill,
            tracker=self._config.tracker,
            tracker_key=self._config.tracker_key,
            join=m.Join(shill.sign_key, shill.exchange_key, host, port, 1.0),
            dropped=Counter(),
        )
        while True:
            await link.rejoin()  # it never beats, so it is forgotten now and then
            for file in await self._files():
                if self.holds(file.index):
                    with suppress(Rejection):
                        await self._deal(file, shill, link)
            await trio.sleep(EVERY_S)

    async def _deal(self, file: m.Entry, shill: Identity, link: TrackerLink) -> None:
        self.done["dealings"] += 1
        name = keyed_bytes(self._config.run_seed, "dealing", self.node, self.done["dealings"], size=16)
        await link.ask(m.Open(name, file.index), m.Opened)
        receipt = m.Receipt(name, self.node, file.size_bytes, 1, EMPTY_ROOT)
        frame = encode_signed(receipt, identity=shill, to=self.node, seq=self.done["dealings"], board=self._link.board)
        self._heartbeats.tell(m.Deposit([frame]))
        await link.ask(m.Close(name, [(self.node, file.size_bytes)]), m.Closed)
