"""trio: the odds board on its way to the members: drawn up, signed once, and sent out a slice of them at a time.

Source: DESIGN section 4, odds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netem.clock import Clock
from netem.events import Event
from netem.host import Endpoint
from netem.route import Address
from tracker.desk import Desk
from tracker.events import BoardPosted
from tracker.identity import Identity
from tracker.limits import FAN_OUT, FAN_OUT_NS, FAN_OUTS
from tracker.odds import pages
from tracker.session import seal_broadcast


class Broadcast:
    """Post boards.

    Args:
        desk: knows the members and the market; it is told the newest board's number.
        clock: the run's clock, whose timers send the slices.
        identity: signs the pages.
        floor: the odds of a file without a seller.
        emit: takes `BoardPosted`.

    Attributes:
        withheld: members that get no odds.
    """

    def __init__(
        self, desk: Desk, clock: Clock, *, identity: Identity, floor: float, emit: Callable[[Event], None]
    ) -> None:
        self._desk = desk
        self._clock = clock
        self._identity = identity
        self._floor = floor
        self._emit = emit
        self.withheld: frozenset[bytes] = frozenset()

    def post(self, board: int, endpoint: Endpoint) -> None:
        """Make the odds of this moment board number `board`, above all before it, and send it to all members.

        A large swarm that had it all at once would answer all at once, and stand still meanwhile: so slices leave by timers,
        the last of them half a second later at most.
        """
        desk, now_ns = self._desk, self._clock.now_ns()
        members = desk.membership.members()
        shares, delivered = desk.market.odds(floor=self._floor, now_ns=now_ns)
        desk.board = board
        frames = [seal_broadcast(page, board=board, identity=self._identity) for page in pages(shares, delivered)]
        targets = [(member.host, member.port) for member in members if member.node not in self.withheld]
        at_once = max(FAN_OUT, -(-len(targets) // FAN_OUTS))
        for number, first in enumerate(range(0, len(targets), at_once)):
            slice_ns = now_ns + number * FAN_OUT_NS
            self._clock.call_at(slice_ns, _send, endpoint, frames, targets[first : first + at_once])
        self._emit(BoardPosted(board, shares.tolist(), delivered.tolist(), len(members)))


def _send(endpoint: Endpoint, frames: Sequence[bytes], targets: Sequence[Address]) -> None:
    for frame in frames if endpoint.open else ():  # the tracker may have left meanwhile
        for target in targets:
            endpoint.send(frame, target)
