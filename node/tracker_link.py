"""trio: a node's control connection to the tracker: join, ask, reconnect.

Source: DESIGN section 4 (TCP: join, catalogue, manifests, open, close, bank).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import trio

from netem.channel import FrameChannel
from netem.errors import BadFrame, Rejection, RemoteProtocolError
from netem.host import Host
from netem.route import Address
from tracker import messages as m
from tracker.identity import Identity, node_id
from tracker.session import Session
from tracker.wire import encode_signed, open_signed, peek

RETRY_S = 1.0
ANSWER_S = 10.0  # a connection that is silent for longer is given up and made anew, with twice the patience each time
MOST_PATIENCE_S = 80.0

Answer = TypeVar("Answer", bound=m.Message)
T = TypeVar("T")


class TrackerLink:
    """One node's conversation with the tracker, one request at a time.

    Args:
        host: the node's host.
        identity: the node's keys, for this boot.
        tracker: the tracker's control address.
        tracker_key: the key that the tracker signs with; everything else is learned from it.
        join: the message this node joins with.
        dropped: counts the bad frames that came over the connection, by kind.

    Attributes:
        session: the session with the tracker's present boot; None before the first welcome.
        board: the newest odds number known; the owner raises it.
        joins: how often the tracker has welcomed this boot.
    """

    def __init__(
        self,
        host: Host,
        identity: Identity,
        *,
        tracker: Address,
        tracker_key: bytes,
        join: m.Join,
        dropped: Counter[str],
    ) -> None:
        self._host = host
        self._identity = identity
        self._tracker = tracker
        self._tracker_key = tracker_key
        self._join = join
        self._dropped = dropped
        self._turn = trio.Lock()
        self._channel: FrameChannel | None = None
        self._unread = 0  # answers still to come on this channel
        self._boot = host.boots
        self._crashed = trio.Event()
        self.session: Session | None = None
        self.board = 0
        self.joins = 0

    async def connect(self) -> m.Welcome:
        """Connect and join.

        Raises:
            OSError, trio.BrokenResourceError: the tracker cannot be reached or hung up; there is no connection.
            RemoteProtocolError: the answer was not a welcome by this tracker.
        """
        channel = FrameChannel(await self._host.connect_tcp(self._tracker))
        try:
            welcome = await self._greet(channel)
        except BaseException:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await channel.aclose()
            raise
        self._channel = channel
        self._unread = 0
        self.board = max(self.board, welcome.board)
        self.joins += 1
        return welcome

    async def _greet(self, channel: FrameChannel) -> m.Welcome:
        """Join, and make the session that the welcome brings; one with the same boot is kept, with its replay window."""
        to = node_id(self._tracker_key)
        await channel.send(encode_signed(self._join, identity=self._identity, to=to, seq=0, board=self.board))
        frame = await channel.receive()
        if frame is None:
            raise trio.BrokenResourceError("the tracker hung up")
        welcome = open_signed(frame, self._tracker_key)
        header = peek(frame)
        if not isinstance(welcome, m.Welcome) or header.to != self._identity.node:
            raise BadFrame("unexpected", type(welcome).__name__)
        if self.session is None or self.session.peer_epoch != header.epoch:
            self.session = Session(
                self._identity,
                peer=header.sender,
                peer_sign_key=self._tracker_key,
                peer_exchange_key=welcome.exchange_key,
                peer_epoch=header.epoch,
            )
        return welcome

    async def ask(self, message: m.Message, answer: type[Answer]) -> Answer:
        """Send a request and return its answer, over a new connection as often as it takes.

        When this node's own host is down, nothing is asked any more: it waits to be cancelled, or for this boot to end.

        Raises:
            Rejection: the tracker says no, or `crashed`: this boot has ended.
            RemoteProtocolError: the tracker answered with something else.
        """
        async with self._turn:
            reply = await self._persist(partial(self._exchange, message))
        if isinstance(reply, m.Reject):
            raise Rejection(reply.reason, reply.detail)
        if not isinstance(reply, answer):
            raise RemoteProtocolError("unexpected", type(reply).__name__)
        return reply

    async def rejoin(self) -> None:
        """Join again, over a new connection: for when the tracker says that this node is no member any more."""
        async with self._turn:
            await self._hang_up()
            await self._persist(self.connect)

    async def _persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Attempt something over new connections until it works."""
        patience_s = ANSWER_S
        while True:
            if not self._host.up or self._crashed.is_set():
                await self._crashed.wait()
                raise Rejection("crashed", "this boot of the node has ended")
            try:
                with trio.fail_after(patience_s):
                    return await attempt()
            except BadFrame as fault:  # not the tracker's word, so the connection is worth nothing
                self._dropped[fault.kind] += 1
            except trio.TooSlowError:  # a tracker in a rush is not helped by a request that it must begin anew
                patience_s = min(2 * patience_s, MOST_PATIENCE_S)
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            await self._hang_up()
            await trio.sleep(RETRY_S)

    async def _exchange(self, message: m.Message) -> m.Message:
        if self._channel is None:
            await self.connect()
        channel, session = self._channel, self.session
        assert channel is not None
        assert session is not None
        try:
            await channel.send(session.seal(message, board=self.board))
        except trio.Cancelled:
            await self._hang_up()  # half a request may be on the wire: what follows would make no sense
            raise
        self._unread += 1
        while True:
            frame = await channel.receive()
            if frame is None:
                raise trio.BrokenResourceError("the tracker hung up")
            reply = session.open(frame, board=self.board)
            self._unread -= 1
            if not self._unread:  # else it answers a request whose asker was cancelled meanwhile
                return reply

    async def _hang_up(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await channel.aclose()

    async def leave(self) -> None:
        """Say goodbye and hang up; best effort, at most a second. After a crash nobody hears it, and nothing is asked any more."""
        if self._host.boots != self._boot:
            self._crashed.set()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            async with self._turn:
                if self._channel is not None and self.session is not None:
                    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                        await self._channel.send(self.session.seal(m.Leave(), board=self.board))
        await self._hang_up()
