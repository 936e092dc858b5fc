"""trio: claim bandwidth it lacks: a thousand times its upload at the join, and a split that makes its rate look larger.

Aim: weigh more in the odds than it serves. It holds a file that nobody wants and declares nearly all its bandwidth for that one, so
that it counts as hardly busy with the files it really serves. Defence: a claim counts little and only at first, rates are
proven by receipts over busy time, and a busy share counts at least `LEAST_BUSY`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import ClassVar

import trio

from node.bidding import Bidding
from node.roles.base import Role
from tracker.messages import Heartbeat

TIMES = 1_000.0
DECOY_SHARE = 0.99


class _FalseSplit(Bidding):
    """Declare bandwidth for the decoy, reserve it for the other files."""

    decoy: int | None = None

    def rebid(self, held: Iterable[int], *, fetched: Container[int] = ()) -> dict[int, float]:
        return super().rebid((index for index in held if index != self.decoy), fetched=fetched)

    def heartbeats(self) -> list[Heartbeat]:
        if self.decoy is None:
            return super().heartbeats()
        split = {index: share * (1 - DECOY_SHARE) for index, share in self.split.items()}
        return [Heartbeat(0, 1, sorted({**split, self.decoy: DECOY_SHARE}.items()))]


class OverclaimBandwidth(Role):
    """Serve, and boast."""

    name: ClassVar[str] = "overclaim_bandwidth"
    symptom: ClassVar[str] = "overrated"
    serves: ClassVar[bool] = True
    bidding_kind: ClassVar[type[Bidding]] = _FalseSplit

    def _claimed_bytes_per_s(self) -> float:
        return TIMES * super()._claimed_bytes_per_s()

    async def act(self) -> None:
        """Publish the decoy and declare nearly all bandwidth for it (see `Role.act`)."""
        path = self._store.directory / "decoy"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.node)
        assert isinstance(self._bidding, _FalseSplit)
        self._bidding.decoy = await self.publish(f"decoy-{self.node.hex()}", path)
        self._rebid()
        self.done["decoys"] += 1
        await trio.sleep_forever()
