"""Pure: control frames as bytes: messages under one header, with a proof over the exact bytes sent.

A frame is `kind | MessagePack [version, type, from, to, epoch, seq, board, body] | proof`. The kind is 2 with a 16-byte BLAKE2b
tag under a session key, or 3 with a 64-byte Ed25519 signature; types of `messages.SIGNED` have the latter, all others
the former (1 is a block: `tracker/blocks.py`). Array length and version have MessagePack's shortest form, so that a reader of
another version can tell.

Every proof is separated by purpose, version and type. Hostile bytes raise `BadFrame` and nothing else; its kinds here:
`malformed`, `oversized`, `version`, `unknown-type`, `wrong-kind`, `forged`.

Source: DESIGN section 4.
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from netem.errors import BadFrame, LocalProtocolError
from netem.framing import MAX_FRAME_BYTES
from tracker import messages
from tracker.identity import SIGNATURE_BYTES, Identity, node_id, verify
from tracker.messages import Message
from tracker.messages.fields import NodeId

VERSION: Final = 1
TAGGED: Final = 2
SIGNED: Final = 3

NETEM_HEADER_BYTES: Final = 12
MAX_DATAGRAM_BYTES: Final = 1200 - NETEM_HEADER_BYTES
"""What a frame of a type in `messages.DATAGRAMS` may have."""
TAG_BYTES: Final = 16
Counter = Annotated[int, Meta(ge=0, le=2**62)]


class Header(msgspec.Struct, frozen=True, array_like=True):
    """What a control frame says about itself; nothing here is proven before the frame is opened.

    `number` is the type's number, `sender` and `to` are node ids, `epoch` the sender's boot counter, `seq` its count of
    frames, `board` the newest odds number it knew, `body` the undecoded message.
    """

    version: int
    number: Annotated[int, Meta(ge=0)]
    sender: NodeId
    to: NodeId
    epoch: Counter
    seq: Counter
    board: Counter
    body: msgspec.Raw

    @property
    def type(self) -> type[Message]:
        """The message's type."""
        return messages.TYPES[self.number]


def encode_tagged(message: Message, *, sender: bytes, to: bytes, epoch: int, seq: int, board: int, key: bytes) -> bytes:
    """Return the frame of a message, tagged under a 32-byte session key.

    Raises:
        LocalProtocolError: the frame is larger than its type allows.
    """
    number = _NUMBERS[type(message)]
    frame = _TAGGED_BYTE + _encode((VERSION, number, sender, to, epoch, seq, board, message))
    return _fitting(frame + _tag(frame, key, number=number), type(message))


def encode_signed(message: Message, *, to: bytes, seq: int, board: int, identity: Identity) -> bytes:
    """Return the frame of a message, signed by its sender.

    Raises:
        LocalProtocolError: the frame is larger than its type allows.
    """
    number = _NUMBERS[type(message)]
    fields = (VERSION, number, identity.node, to, identity.epoch, seq, board, message)
    frame = _SIGNED_BYTE + _encode(fields)
    return _fitting(frame + identity.sign(_DOMAINS[number], frame), type(message))


def peek(frame: bytes) -> Header:
    """Read a control frame's header: the cheap checks, before any proof is looked at.

    Raises:
        BadFrame: `malformed`, `oversized`, `version`, `unknown-type`, or `wrong-kind` (tag and signature mixed up).
    """
    if len(frame) > MAX_FRAME_BYTES:
        raise BadFrame("oversized", f"a frame of {len(frame)} bytes")
    proof_bytes = _PROOF_BYTES.get(frame[0]) if frame else None
    if proof_bytes is None or len(frame) < proof_bytes + 3 or frame[1] >> 4 != _FIXARRAY:
        raise BadFrame("malformed", "no control frame")
    if frame[2] != VERSION:
        raise BadFrame("version", str(frame[2]))
    header: Header = _decode(_HEADERS, frame[1:-proof_bytes])
    if header.number >= len(messages.TYPES):
        raise BadFrame("unknown-type", str(header.number))
    if frame[0] != _KINDS[header.number]:
        raise BadFrame("wrong-kind", header.type.__name__)
    if len(frame) > MAX_DATAGRAM_BYTES and header.type in messages.DATAGRAMS:
        raise BadFrame("oversized", f"a {header.type.__name__} of {len(frame)} bytes")
    return header


def prove_tag(frame: bytes, header: Header, *, key: bytes) -> None:
    """Check that a frame is tagged under `key`; raise `BadFrame` (`forged`) if not."""
    if not compare_digest(frame[-TAG_BYTES:], _tag(frame[:-TAG_BYTES], key, number=header.number)):
        raise BadFrame("forged", f"tag of {header.type.__name__}")


def prove_signature(frame: bytes, header: Header, *, sign_key: bytes) -> None:
    """Check that a frame is signed by `sign_key`, whose hash is the sender; raise `BadFrame` (`wrong-kind`, `forged`) if not."""
    if frame[0] != SIGNED:
        raise BadFrame("wrong-kind", "not signed")
    good = node_id(sign_key) == header.sender and verify(
        sign_key, _DOMAINS[header.number], frame[:-SIGNATURE_BYTES], signature=frame[-SIGNATURE_BYTES:]
    )
    if not good:
        raise BadFrame("forged", f"signature of {header.type.__name__}")


def decode_body(header: Header) -> Message:
    """Decode the message of a frame; raise `BadFrame` (`malformed`) if a field is missing or out of range."""
    message: Message = _decode(_BODIES[header.number], header.body)
    return message


def open_signed(frame: bytes, sign_key: bytes) -> Message:
    """Return the message of a frame signed by `sign_key`, forwarded by whomever; raise `BadFrame` otherwise.

    `from` must be the key's hash. To whom it was sent and whether it was seen before are the caller's matters.
    """
    header = peek(frame)
    prove_signature(frame, header, sign_key=sign_key)
    return decode_body(header)


def unverified(frame: bytes) -> Message:
    """Return the message of a frame of unknown origin: good only for finding the key that proves it."""
    return decode_body(peek(frame))


def _tag(frame: bytes, key: bytes, *, number: int) -> bytes:
    return hashlib.blake2b(frame, digest_size=TAG_BYTES, key=key, person=_PERSONS[number]).digest()


def _fitting(frame: bytes, message_type: type[Message]) -> bytes:
    if len(frame) <= MAX_DATAGRAM_BYTES:
        return frame
    limit_bytes = MAX_DATAGRAM_BYTES if message_type in messages.DATAGRAMS else MAX_FRAME_BYTES
    if len(frame) > limit_bytes:
        raise LocalProtocolError(f"{message_type.__name__}: a frame of {len(frame)} bytes, at most {limit_bytes}")
    return frame


def _decode(decoder: msgspec.msgpack.Decoder[Any], data: bytes | msgspec.Raw) -> Any:
    # The one place where foreign bytes are parsed. ValueError covers bad UTF-8, RecursionError deep nesting.
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadFrame("malformed", str(error)) from error


_FIXARRAY: Final = 0b1001
_TAGGED_BYTE: Final = bytes([TAGGED])
_SIGNED_BYTE: Final = bytes([SIGNED])
_PROOF_BYTES: Final = {TAGGED: TAG_BYTES, SIGNED: SIGNATURE_BYTES}
_NUMBERS: Final = {message_type: number for number, message_type in enumerate(messages.TYPES)}
_DOMAINS: Final = [b"swarmbed/%d/%d" % (VERSION, number) for number in range(len(messages.TYPES))]
_PERSONS: Final = [b"swarmbed%d/%d" % (VERSION, number) for number in range(len(messages.TYPES))]
_KINDS: Final = [SIGNED if message_type in messages.SIGNED else TAGGED for message_type in messages.TYPES]
_BODIES: Final = [msgspec.msgpack.Decoder(message_type) for message_type in messages.TYPES]
_HEADERS: Final = msgspec.msgpack.Decoder(Header)
_encode: Final = msgspec.msgpack.Encoder().encode
