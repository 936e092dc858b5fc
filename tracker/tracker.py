"""trio: the tracker: control connections, heartbeats, the odds board every second, settlement.

One task per connection, one for the board, one for settlement; datagrams are handled synchronously. What decides is pure
(`membership`, `catalogue`, `market`, `odds`, `settlement`); money moves only through `Bank.apply`, which returns once the
movement is durable.

Source: DESIGN section 4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import trio

from netem.clock import Clock, S
from netem.errors import Rejection, RemoteProtocolError
from netem.events import Event
from netem.host import Endpoint, Host
from netem.route import Address
from tracker import messages as m
from tracker.bank.bank import Bank
from tracker.bank.movements import mint, tariff
from tracker.bank.transactions import user_account
from tracker.broadcast import Broadcast
from tracker.desk import Desk, Terms
from tracker.doors import Doors, Seat
from tracker.events import FileHeld, FramesDropped, NodeJoined, NodeLeft
from tracker.identity import Identity, node_id
from tracker.market import Market
from tracker.reception import Reception
from tracker.recovery import first_board, recover
from tracker.session import Session
from tracker.sessions import Sessions


class Tracker:
    """One tracker on one host.

    Args:
        host: the host it listens on.
        clock: the run's clock.
        identity: signs orders and odds; its epoch is `bank.next_boot`, so that no session key is used twice.
        bank: already opened, perhaps with the journal of earlier boots; `run` runs it.
        emit: takes the tracker's events.
        port: TCP port, 0 for any free one.

    Invariant: a hold is answered only after the bank made it durable; every hold is settled exactly once.
    """

    def __init__(
        self,
        host: Host,
        clock: Clock,
        *,
        identity: Identity,
        bank: Bank,
        emit: Callable[[Event], None],
        terms: Terms | None = None,
        port: int = 0,
    ) -> None:
        self._host = host
        self._clock = clock
        self._identity = identity
        self._bank = bank
        self._emit = emit
        self._terms = terms or Terms()
        self._port = port
        self._desk = Desk(identity, clock, terms=self._terms, bank=bank, emit=emit)
        self._sessions = Sessions(identity)
        self._doors = Doors()
        self._settle_soon = trio.Event()
        self._settled = trio.lowlevel.ParkingLot()  # where tasks wait for the next settlement
        self.dropped: Counter[str] = Counter()
        self._broadcast = Broadcast(self._desk, clock, identity=identity, floor=self._terms.floor, emit=emit)
        self._reception = Reception(self._desk, self._sessions, clock, emit=emit, dropped=self.dropped)
        self.address: Address = ("", 0)

    @property
    def sign_key(self) -> bytes:
        """Return the key that orders and odds are signed with."""
        return self._identity.sign_key

    @property
    def market(self) -> Market:
        """Return the market's state, to be read."""
        return self._desk.market

    @property
    def board(self) -> int:
        """Return the number of the newest board posted."""
        return self._desk.board

    def proven_bytes_per_s(self, node: bytes) -> float:
        """Return B_i of a node that ever joined."""
        return self._desk.market.rates.rate(node, self._clock.now_ns())

    def withhold_odds(self, nodes: Iterable[bytes]) -> None:
        """Send no odds to these nodes from the next board on, and to all others; boards are made and counted as ever."""
        self._broadcast.withheld = frozenset(nodes)

    def split(self, node: bytes) -> dict[int, float]:
        """Return the split f_ij that a node last declared, by file index; empty for one that bids nothing."""
        return dict(self._desk.market.splits.get(node, {}))

    def sizes(self) -> dict[str, int]:
        """Return how many entries the tables have that others can make grow."""
        return {
            "downloads": len(self._desk.market.downloads),
            "budgets": len(self._reception.budgets),
            **self._doors.sizes(),
        }

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started once what earlier boots left is taken up, the tariff durable, and it listens.

        Raises:
            LedgerError: the newest transaction is in the future, or the disk failed.
        """
        desk, now_ns = self._desk, self._clock.now_ns()
        ledger, terms = self._bank.ledger, self._terms
        desk.board = first_board(ledger, interval_ns=round(terms.board_interval_s * S), now_ns=now_ns)
        recover(ledger, desk.market, now_ns=now_ns, return_ns=round(terms.return_s * S))
        for held in ledger.open_holds():
            self._sessions.trust(node_id(held.terms.sign_key), sign_key=held.terms.sign_key)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._bank.run)
            await self._bank.apply(tariff(terms.fee_credits, board=desk.board, time_ns=now_ns))
            self.address = await self._host.listen_tcp(self._serve, nursery=nursery, port=self._port)
            endpoint = self._host.open_udp(self._reception.on_datagram, port=self.address[1])
            self._reception.endpoint = endpoint
            nursery.start_soon(self._post_boards, endpoint)
            nursery.start_soon(self._settle_downloads)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                endpoint.close()
                self._emit(FramesDropped("tracker", sorted(self.dropped.items())))

    # -- control connections --------------------------------------------------------------------------------------

    async def _serve(self, stream: trio.abc.Stream) -> None:
        channel = self._doors.channel(stream)
        try:
            with self._doors.stranger(channel):
                join = await channel.receive()
            session = await self._admit(join)
            with self._doors.member(session.peer, channel) as seat:
                await self._converse(seat, session)
        except RemoteProtocolError as fault:
            self.dropped[fault.kind] += 1
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.dropped["connection-lost"] += 1
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await channel.aclose()

    async def _converse(self, seat: Seat, session: Session) -> None:
        """Welcome a member and answer its requests until it leaves."""
        balance_credits = self._bank.ledger.balance(user_account(session.peer))
        identity = self._identity
        welcome = m.Welcome(identity.sign_key, identity.exchange_key, self._desk.board, balance_credits)
        await seat.send(session.seal(welcome, board=self._desk.board))
        while (frame := await seat.receive()) is not None:
            message = session.open(frame, board=self._desk.board)
            member = self._desk.membership.current(session.peer, epoch=session.peer_epoch)
            if isinstance(message, m.Leave):
                self._drop(member.node, "leave")
                self._sessions.forget(member.node)
                break
            answer = await self._desk.answer(member, message)
            if isinstance(answer, m.Opened | m.Closed):  # a new time to settle
                self._settle_soon.set()
            await seat.send(session.seal(answer, board=self._desk.board))

    async def _admit(self, frame: bytes | None) -> Session:
        if frame is None:
            raise RemoteProtocolError("closed-early")
        join, session = self._sessions.meet(frame)
        desk, now_ns = self._desk, self._clock.now_ns()
        earlier = desk.membership.get(session.peer)
        try:
            member = desk.membership.join(join, epoch=session.peer_epoch, now_ns=now_ns)
        except Rejection as no:
            raise RemoteProtocolError(no.reason) from no
        if earlier is not None and earlier.epoch != member.epoch:
            self._withdraw(member.node)
        self._sessions.keep(session, sign_key=join.sign_key)
        desk.market.rates.admit(member.node, claimed_bytes_per_s=join.upload_bytes_per_s, now_ns=now_ns)
        account = user_account(member.node)
        endowment = mint(account, self._terms.endowment_credits, board=desk.board, time_ns=now_ns)
        # The bank takes no empty transaction. The id is the same for every boot of a node, which is not endowed twice,
        # also not when an earlier boot of the tracker had other terms.
        if self._terms.endowment_credits and not self._bank.ledger.knows(endowment.id):
            await self._bank.apply(endowment)
        if earlier is None or earlier.epoch != member.epoch:  # else a member that only connects anew
            self._emit(NodeJoined(member.node, member.epoch))
        return session

    def _drop(self, node: bytes, reason: str) -> None:
        self._desk.membership.leave(node)
        self._withdraw(node)
        self._doors.expel(node)
        self._reception.budgets.pop(node, None)
        self._emit(NodeLeft(node, reason))

    def _withdraw(self, node: bytes) -> None:
        """Offer no more what a node held: it is gone, or boots anew and will say what it still has."""
        for index in self._desk.catalogue.drop(node):
            self._emit(FileHeld(node, index, holds=False))
        self._desk.market.withdraw(node, now_ns=self._clock.now_ns())

    # -- the board --------------------------------------------------------------------------------------------------

    async def _post_boards(self, endpoint: Endpoint) -> None:
        start, first = trio.current_time(), self._desk.board
        while True:
            board = self._desk.board + 1
            await trio.sleep_until(start + (board - first) * self._terms.board_interval_s)
            after_ns = round(self._terms.member_timeout_s * S)
            for node in self._desk.membership.expire(self._clock.now_ns(), after_ns=after_ns):
                self._drop(node, "expired")
            self._broadcast.post(board, endpoint)

    # -- settlement -------------------------------------------------------------------------------------------------

    async def _settle_downloads(self) -> None:
        while True:
            self._settle_soon = trio.Event()
            next_ns = self._desk.market.next_settlement_ns()
            wait_s = 3600.0 if next_ns is None else max(0.0, (next_ns - self._clock.now_ns()) / S)
            with trio.move_on_after(wait_s):
                await self._settle_soon.wait()
            for settlement in self._desk.market.due(self._clock.now_ns()):
                await self._desk.settle(settlement)
                self._settled.unpark_all()

    async def wait_settled(self) -> None:
        """Wait until no download is open or closing."""
        while self._desk.market.downloads:
            await self._settled.park()
