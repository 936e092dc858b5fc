"""trio: what a node tells the tracker every second, and its way back when the tracker does not know it any more.

Source: DESIGN section 4.
"""

from __future__ import annotations

from collections.abc import Mapping

import trio

from netem.clock import Clock, S
from netem.host import Endpoint
from netem.route import Address
from node.bidding import HEARTBEAT_NS, Bidding
from node.tracker_link import TrackerLink
from node.uploader import Uploader
from tracker import messages as m

SILENCE_NS = 10 * S  # without odds for so long, the tracker may be another boot that does not know us


class Heartbeats:
    """Keep one boot of a node in touch with the tracker.

    Args:
        endpoint: where beats leave; they end when it is closed.
        clock: the run's clock.
        link: to the tracker, which is at `tracker`.
        bidding: knows what to bid.
        uploader: knows what was receipted.
        roots: the files this node serves, by index.

    Attributes:
        heard_ns: when odds were last heard.
        outside: True once the tracker said that it does not know this node.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Clock,
        *,
        link: TrackerLink,
        tracker: Address,
        bidding: Bidding,
        uploader: Uploader,
        roots: Mapping[int, bytes],
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._link = link
        self._tracker = tracker
        self._bidding = bidding
        self._uploader = uploader
        self._roots = roots
        self._announced = 0  # the join after which all was said that a tracker must know
        self._lost_touch = trio.Event()
        self.heard_ns = 0
        self.outside = False

    async def join(self) -> None:
        """Join for the first time, for as long as it takes: an attempt may be lost."""
        await self._link.rejoin()
        self._touched()

    async def run(self, phase_ns: int) -> None:
        """Beat every second, the first time in `phase_ns`, and come back whenever the tracker does not know this node any more."""
        first_ns = self._clock.now_ns() + phase_ns
        self._clock.call_at(first_ns, self._beat, first_ns)
        while True:
            await self._lost_touch.wait()
            await self._come_back()
            self._lost_touch = trio.Event()

    def tell(self, message: m.Message) -> None:
        """Send the tracker a datagram, if there is a session with it."""
        if self._link.session is not None:
            self._endpoint.send(self._link.session.seal(message, board=self._link.board), self._tracker)

    def _beat(self, due_ns: int) -> None:
        """Tell the tracker that this node is alive, what it bids and what it was receipted for; a timer, not a task, as a beat costs less so."""
        if not self._endpoint.open:
            return
        now_ns = self._clock.now_ns()
        if not self._lost_touch.is_set():
            questions = (m.GetStanding(),) if self._bidding.anticipates else ()
            for message in (*self._bidding.heartbeats(), *questions, *self._uploader.deposits()):
                self.tell(message)
            self._uploader.forget_expired()
            silent = now_ns - self.heard_ns > SILENCE_NS
            if self.outside or silent or self._link.joins != self._announced:
                self._lost_touch.set()
        next_ns = max(due_ns, now_ns - HEARTBEAT_NS) + HEARTBEAT_NS
        self._clock.call_at(next_ns, self._beat, next_ns)

    async def _come_back(self) -> None:
        """Join again, unless a request did, and say again what this node holds and was receipted: it may be forgotten."""
        if self._link.joins == self._announced:
            await self._link.rejoin()
        self.outside = False
        self._touched()
        self._uploader.deposit_again()
        for index in sorted(self._roots):
            if index in self._roots:  # else it was dropped meanwhile
                await self._link.ask(m.Hold(index, holds=True), m.Ok)

    def _touched(self) -> None:
        self._announced = self._link.joins
        self.heard_ns = self._clock.now_ns()
