"""Pure: one peer's conversation with another, over TCP and UDP alike: seal, and open with every check in order of cost.

Beside it the two frames outside any conversation: the `Join` that begins one, and the odds for everybody.

Source: DESIGN section 4.
"""

from __future__ import annotations

import functools

from netem.errors import BadFrame
from tracker import messages, wire
from tracker.blocks import block_digest
from tracker.identity import Identity, node_id, session_key
from tracker.messages import EVERYBODY, Message
from tracker.replay import ReplayWindow

BOARDS_KEPT = 30
"""A frame that is more odds boards behind than this is expired, whatever the clocks say."""

MAX_PAGES = 4096


class Session:
    """Seal and open the frames between this node's boot and one boot of a peer.

    Args:
        identity: this node.
        peer: the other node's id.
        peer_sign_key: its Ed25519 public key (32 bytes).
        peer_exchange_key: its X25519 public key of that boot (32 bytes).
        peer_epoch: its boot counter.

    `key` is the shared 32-byte session key, `block_digest` what the blocks between the two are tagged with.

    Raises:
        BadFrame: `forged` when the id is not the signing key's hash, `bad-key` for a worthless exchange key.
    """

    __slots__ = ("_identity", "_peer_sign_key", "_seq", "_window", "block_digest", "key", "peer", "peer_epoch")

    def __init__(
        self, identity: Identity, *, peer: bytes, peer_sign_key: bytes, peer_exchange_key: bytes, peer_epoch: int
    ) -> None:
        if node_id(peer_sign_key) != peer:
            raise BadFrame("forged", "a node id that is not its key's hash")
        self.peer = peer
        self.peer_epoch = peer_epoch
        self.key = session_key(identity, peer_exchange_key, peer=peer, peer_epoch=peer_epoch)
        self.block_digest = block_digest(self.key)
        self._identity = identity
        self._peer_sign_key = peer_sign_key
        self._seq = 0
        self._window = ReplayWindow()

    def seal(self, message: Message, *, board: int) -> bytes:
        """Return the next frame to the peer, signed or tagged as the message's type wants.

        Args:
            message: what to say.
            board: the newest odds number this node knows.

        Raises:
            LocalProtocolError: the message is too large for its kind of transport; a sequence number is skipped.
        """
        seq = self._seq
        self._seq = seq + 1
        identity = self._identity
        if type(message) in messages.SIGNED:
            return wire.encode_signed(message, to=self.peer, seq=seq, board=board, identity=identity)
        return wire.encode_tagged(
            message, sender=identity.node, to=self.peer, epoch=identity.epoch, seq=seq, board=board, key=self.key
        )

    def open(self, frame: bytes, *, board: int, header: wire.Header | None = None) -> Message:
        """Return the message of a frame from the peer to this node.

        Args:
            frame: the exact bytes received.
            board: the newest odds number this node knows.
            header: the frame's header, if the caller has read it already.

        Raises:
            BadFrame: the kinds of `wire.peek`; then `misdirected`, `wrong-epoch`, `expired`, `forged`, `replayed`. Only
                authentic frames move the replay window, so a forger cannot shut out the peer.
        """
        header = header or wire.peek(frame)
        self._admit(header, board)
        if frame[0] == wire.SIGNED:
            wire.prove_signature(frame, header, sign_key=self._peer_sign_key)
        else:
            wire.prove_tag(frame, header, key=self.key)
        if not self._window.accept(header.seq):
            raise BadFrame("replayed", f"seq {header.seq}")
        return wire.decode_body(header)

    def _admit(self, header: wire.Header, board: int) -> None:
        if header.sender != self.peer or header.to != self._identity.node:
            raise BadFrame("misdirected", f"from {header.sender.hex()} to {header.to.hex()}")
        if header.epoch != self.peer_epoch:
            raise BadFrame("wrong-epoch", f"{header.epoch}, not {self.peer_epoch}")
        if header.board + BOARDS_KEPT < board:
            raise BadFrame("expired", f"board {header.board}, now {board}")


def open_join(frame: bytes) -> tuple[wire.Header, messages.Join]:
    """Return the header and message of the frame that a stranger introduces itself with, signed by the key it brings.

    Raises:
        BadFrame: as `wire.open_signed`, and `unexpected` for any other type.
    """
    header = wire.peek(frame)
    message = wire.decode_body(header)
    if not isinstance(message, messages.Join):
        raise BadFrame("unexpected", f"{header.type.__name__} before a join")
    wire.prove_signature(frame, header, sign_key=message.sign_key)
    return header, message


def seal_broadcast(odds: messages.Odds, *, board: int, identity: Identity) -> bytes:
    """Return one signed frame of an odds page for everybody; the same arguments give the same bytes.

    Its seq is `board * MAX_PAGES + page`, apart from every session's own count.

    Args:
        odds: the page.
        board: the board's number; no number may be used for two different boards.
        identity: the tracker.
    """
    seq = board * MAX_PAGES + odds.page
    return wire.encode_signed(odds, to=EVERYBODY, seq=seq, board=board, identity=identity)


@functools.lru_cache(maxsize=64)  # all nodes of a process get the same frames; what raises is not kept
def open_broadcast(frame: bytes, sign_key: bytes) -> tuple[int, messages.Odds]:
    """Return the board number and page of an odds frame signed for everybody by `sign_key` (the tracker's).

    A page that comes twice opens twice: `odds.OddsView` ignores a repeat, refuses an older one and, because no replay
    window hides it, sees a second, different page under the same number.

    Raises:
        BadFrame: as `wire.open_signed`; `unexpected` for anything but odds, `misdirected` when it is not for everybody,
            `malformed` when seq does not name board and page.
    """
    header = wire.peek(frame)
    if header.to != EVERYBODY:
        raise BadFrame("misdirected", "odds for somebody")
    wire.prove_signature(frame, header, sign_key=sign_key)
    message = wire.decode_body(header)
    if not isinstance(message, messages.Odds):
        raise BadFrame("unexpected", f"a broadcast {header.type.__name__}")
    if header.seq != header.board * MAX_PAGES + message.page:
        raise BadFrame("malformed", "odds whose seq is not board and page")
    return header.board, message
