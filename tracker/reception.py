"""trio: what members send the tracker as datagrams: heartbeats, and receipts that they forward.

Handled synchronously; a bad frame is counted by kind and dropped.

Source: DESIGN section 4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from netem.clock import Clock
from netem.errors import BadFrame, Rejection, RemoteProtocolError
from netem.events import Event
from netem.host import Endpoint
from netem.route import Address
from tracker import messages as m
from tracker.budget import Budget
from tracker.desk import Desk
from tracker.events import EquivocationSeen
from tracker.limits import DATAGRAMS_PER_S
from tracker.membership import Member
from tracker.session import Session
from tracker.sessions import Sessions
from tracker.wire import peek


class Reception:
    """Take the members' datagrams.

    Args:
        desk: knows members, files and the market.
        sessions: with members and those who were members.
        clock: the run's clock.
        emit: takes events.
        dropped: counts what was dropped, by kind.

    Attributes:
        endpoint: where answers leave; set before the first datagram comes.
        budgets: what each member may still send.
    """

    def __init__(
        self,
        desk: Desk,
        sessions: Sessions,
        clock: Clock,
        *,
        emit: Callable[[Event], None],
        dropped: Counter[str],
    ) -> None:
        self._desk = desk
        self._sessions = sessions
        self._clock = clock
        self._emit = emit
        self._dropped = dropped
        self._accused: set[bytes] = set()
        self.endpoint: Endpoint | None = None
        self.budgets: dict[bytes, Budget] = {}

    def on_datagram(self, data: bytes, source: Address) -> None:
        """Take a datagram from anywhere; what is wrong with it is counted."""
        try:
            header = peek(data)
            session = self._sessions.of(header.sender)
            if header.type is m.Heartbeat and self._desk.membership.get(session.peer) is None:
                self._turn_away(session, source)
                return
            message = session.open(data, board=self._desk.board, header=header)
            if not self._budget(header.sender).take(self._clock.now_ns()):
                raise BadFrame("flooded")
            if isinstance(message, m.Heartbeat):
                self._heartbeat(self._desk.membership.current(session.peer, epoch=session.peer_epoch), message)
            elif isinstance(message, m.GetStanding):
                self._answer(session, m.Standing(self._desk.market.standing(session.peer)), source)
            elif isinstance(message, m.Deposit):
                for receipt in message.receipts:
                    self._deposit(receipt, session=session, source=source)
            else:
                raise BadFrame("unexpected", type(message).__name__)
        except RemoteProtocolError as fault:
            self._dropped[fault.kind] += 1

    def _budget(self, node: bytes) -> Budget:
        """Return what a member may still send: a full heartbeat every second with all its receipts, and as much again."""
        budget = self.budgets.get(node)
        if budget is None:
            budget = self.budgets[node] = Budget(
                per_s=DATAGRAMS_PER_S, burst=2 * DATAGRAMS_PER_S, now_ns=self._clock.now_ns()
            )
        return budget

    def _turn_away(self, session: Session, source: Address) -> None:
        """Tell a node that it was silent for too long: it cannot know, and hears no odds.

        Its heartbeat is not opened, for it would often be expired; whoever forges one learns nothing.
        """
        self._answer(session, m.Reject("not-a-member"), source)

    def _answer(self, session: Session, message: m.Message, source: Address) -> None:
        assert self.endpoint is not None
        self.endpoint.send(session.seal(message, board=self._desk.board), source)

    def _heartbeat(self, member: Member, beat: m.Heartbeat) -> None:
        now_ns = self._clock.now_ns()
        held = self._desk.catalogue.files_of(member.node)
        self._desk.membership.heartbeat(member.node, beat, now_ns, held=held)
        self._desk.market.declare(member.node, member.split, now_ns=now_ns)

    def _deposit(self, frame: bytes, *, session: Session, source: Address) -> None:
        """Take one forwarded receipt; a bad one is counted and leaves the others of its datagram alone.

        The server hears of an authentic one that is not taken: else it would go on to serve for nothing.
        """
        try:
            sender, receipt = self._sessions.open_receipt(frame)
        except RemoteProtocolError as fault:
            self._dropped[f"receipt-{fault.kind}"] += 1
            return
        try:
            self._desk.market.receipt(receipt, sender=sender, now_ns=self._clock.now_ns())
        except Rejection as no:
            self._dropped[f"receipt-{no.reason}"] += 1
            self._answer(session, m.Refusal(receipt.download, no.reason), source)
            if no.reason == "equivocation" and sender not in self._accused:  # once: it may be told us for ever
                self._accused.add(sender)
                self._emit(EquivocationSeen(sender, "two receipts that contradict each other"))
