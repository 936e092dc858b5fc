"""Pure: the tracker's sessions with the nodes that joined, and the keys of all that ever did.

Source: DESIGN section 4 (identity, session tags, receipts forwarded by servers).
"""

from __future__ import annotations

from netem.errors import BadFrame
from tracker.identity import Identity
from tracker.messages import Join, Receipt
from tracker.session import Session, open_join
from tracker.wire import open_signed, peek


class Sessions:
    """One session per node, with the newest boot of it that was kept.

    Args:
        identity: the tracker's.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._sessions: dict[bytes, Session] = {}
        self._sign_keys: dict[bytes, bytes] = {}  # kept for ever: a downloader's receipts outlive it

    def meet(self, frame: bytes) -> tuple[Join, Session]:
        """Return what a node introduces itself with, and a session with that boot; it is not kept yet.

        A boot that joins again has the session it had: a fresh replay window would let its old frames in once more.

        Raises:
            BadFrame: as `open_join`; `misdirected` when it wants another tracker; `bad-key`. Nothing changed.
        """
        header, join = open_join(frame)
        if header.to != self._identity.node:
            raise BadFrame("misdirected", "a join for another tracker")
        session = self._sessions.get(header.sender)
        if session is None or session.peer_epoch != header.epoch:
            session = Session(
                self._identity,
                peer=header.sender,
                peer_sign_key=join.sign_key,
                peer_exchange_key=join.exchange_key,
                peer_epoch=header.epoch,
            )
        return join, session

    def keep(self, session: Session, *, sign_key: bytes) -> None:
        """Keep the session of a boot that was admitted, in place of an earlier one."""
        self._sessions[session.peer] = session
        self._sign_keys[session.peer] = sign_key

    def trust(self, node: bytes, *, sign_key: bytes) -> None:
        """Accept receipts signed with the key of a node that an earlier boot of the tracker admitted."""
        self._sign_keys[node] = sign_key

    def of(self, node: bytes) -> Session:
        """Return the session with a node; raise `BadFrame` (`unknown-sender`) if there is none."""
        session = self._sessions.get(node)
        if session is None:
            raise BadFrame("unknown-sender")
        return session

    def forget(self, node: bytes) -> None:
        """Forget the session with a node that has left."""
        del self._sessions[node]

    def open_receipt(self, frame: bytes) -> tuple[bytes, Receipt]:
        """Return who signed a receipt that a server forwards, and the receipt.

        Raises:
            BadFrame: as `open_signed`; `unknown-sender` for a signer that never joined; `unexpected` for anything else.
        """
        sender = peek(frame).sender
        sign_key = self._sign_keys.get(sender)
        if sign_key is None:
            raise BadFrame("unknown-sender")
        receipt = open_signed(frame, sign_key)
        if not isinstance(receipt, Receipt):
            raise BadFrame("unexpected", type(receipt).__name__)
        return sender, receipt
