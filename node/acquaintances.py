"""Pure: the sessions a node has with other nodes, one per (node, epoch), shared by both directions of trade.

Source: DESIGN section 4 (session tags, epochs).
"""

from __future__ import annotations

import functools

from netem.errors import BadFrame
from tracker import messages as m
from tracker.identity import Identity, node_id
from tracker.session import Session
from tracker.wire import Header, open_signed, peek, unverified

ORDERS_KEPT = 1024


class Acquaintances:
    """Find or make the session with a peer, from what the tracker said about it.

    Args:
        identity: this node's keys, for this boot.
        tracker_key: orders must be signed with it.
    """

    def __init__(self, identity: Identity, *, tracker_key: bytes) -> None:
        self._identity = identity
        self._tracker_key = tracker_key
        self._sessions: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def of_server(self, server: m.Server) -> Session:
        """Return the session with a server that the tracker named."""
        return self._session(server.node, server.sign_key, server.exchange_key, epoch=server.epoch)

    def open(self, frame: bytes, header: Header, *, board: int) -> m.Message:
        """Return the message of a frame, whose header was read, from a node we already know.

        Raises:
            BadFrame: `unknown-sender`, or what `Session.open` raises.
        """
        session = self._sessions.get(header.sender)
        if session is None:
            raise BadFrame("unknown-sender")
        return session.open(frame, board=board, header=header)

    def open_request(self, frame: bytes, header: Header, *, board: int) -> tuple[m.Request, m.Order | None, Session]:
        """Return a request, the order it shows (or None) and the session it came over.

        A first request comes from a stranger: its keys are in the order, which the tracker signed, so the order is
        checked before the request's own tag.

        Raises:
            BadFrame: forged, replayed, expired, unexpected, misdirected, or a stranger without an order. A session is
                made at most with whom the order, signed by the tracker, names.
        """
        session = self._sessions.get(header.sender)
        if session is None or session.peer_epoch != header.epoch:
            claimed = unverified(frame)
            if not isinstance(claimed, m.Request) or not claimed.order:
                raise BadFrame("unknown-sender")
            keys = _open_order(claimed.order, self._tracker_key)
            if keys.downloader != header.sender:
                raise BadFrame("misdirected", "the order is for somebody else")
            session = self._session(keys.downloader, keys.sign_key, keys.exchange_key, epoch=keys.epoch)
        request = session.open(frame, board=board, header=header)
        assert isinstance(request, m.Request)
        order = _open_order(request.order, self._tracker_key) if request.order else None
        if order is not None and (order.downloader != header.sender or order.download != request.download):
            raise BadFrame("misdirected", "the order is for somebody or something else")
        return request, order, session

    def _session(self, node: bytes, sign_key: bytes, exchange_key: bytes, *, epoch: int) -> Session:
        known = self._sessions.get(node)
        if known is not None and known.peer_epoch >= epoch:
            return known
        session = Session(
            self._identity,
            peer=node,
            peer_sign_key=sign_key,
            peer_exchange_key=exchange_key,
            peer_epoch=epoch,
        )
        self._sessions[node] = session
        return session


@functools.lru_cache(maxsize=ORDERS_KEPT)
def _open_order(frame: bytes, tracker_key: bytes) -> m.Order:
    """Return an order that the tracker signed. A download shows one to all its servers: one process opens it once."""
    if peek(frame).sender != node_id(tracker_key):
        raise BadFrame("forged", "an order by somebody else than the tracker")
    order = open_signed(frame, tracker_key)
    if not isinstance(order, m.Order) or node_id(order.sign_key) != order.downloader:
        raise BadFrame("unexpected", type(order).__name__)
    return order
