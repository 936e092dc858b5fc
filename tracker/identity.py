"""Pure: who a node is: an Ed25519 signing key, an X25519 exchange key per boot, and an id that is the hash of the first.

Every signature and hash is domain-separated, so that bytes signed for one purpose mean nothing for another.

Source: DESIGN section 4.
"""

from __future__ import annotations

import hashlib

import nacl.bindings
import nacl.exceptions

from netem.errors import BadFrame

NODE_ID_BYTES = 8
KEY_BYTES = 32
SIGNATURE_BYTES = 64
VERIFIED_KEPT = 4096
AGREED_KEPT = 16_384


def node_id(sign_key: bytes) -> bytes:
    """Return the 8-byte id of the node that signs with a 32-byte Ed25519 public key."""
    return hashlib.blake2b(sign_key, digest_size=NODE_ID_BYTES, person=b"swarmbed-node").digest()


class Identity:
    """Hold one node's keys for one boot.

    Args:
        seed: 32 secret bytes; the signing key, and so the id, depends on it alone.
        epoch: the boot counter, 0 .. 2**62; the exchange key depends on seed and epoch, so that session keys of an
            earlier boot say nothing about this one's.

    Raises:
        ValueError: the seed has not 32 bytes.
    """

    __slots__ = ("_exchange_secret", "_sign_secret", "epoch", "exchange_key", "node", "sign_key")

    def __init__(self, seed: bytes, *, epoch: int) -> None:
        self.epoch = epoch
        self.sign_key, self._sign_secret = nacl.bindings.crypto_sign_seed_keypair(seed)
        self.node = node_id(self.sign_key)
        self._exchange_secret = hashlib.blake2b(
            epoch.to_bytes(8, "big"), key=seed, digest_size=KEY_BYTES, person=b"swarmbed-x25519"
        ).digest()
        self.exchange_key: bytes = nacl.bindings.crypto_scalarmult_base(self._exchange_secret)

    def sign(self, domain: bytes, data: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature over a domain (at most 255 bytes) and data."""
        signed: bytes = nacl.bindings.crypto_sign(_separated(domain, data), self._sign_secret)
        _remember(_fingerprint(self.sign_key, signed))
        return signed[:SIGNATURE_BYTES]

    def agree(self, exchange_key: bytes) -> bytes:
        """Return the raw 32-byte X25519 secret shared with the owner of a public exchange key.

        The process keeps the last `AGREED_KEPT` secrets until the other end asks too: when both ends live here, the
        costliest step of a session is done once.

        Raises:
            BadFrame: `bad-key`: the key has the wrong length or is a point of low order, which would make the secret
                known to everybody.
        """
        if len(exchange_key) != KEY_BYTES:
            raise BadFrame("bad-key", f"an exchange key of {len(exchange_key)} bytes")
        known = _agreed.pop((exchange_key, self.exchange_key), None)
        if known is not None:
            return known
        try:
            secret: bytes = nacl.bindings.crypto_scalarmult(self._exchange_secret, exchange_key)
        except nacl.exceptions.RuntimeError as error:
            raise BadFrame("bad-key", "an exchange key of low order") from error
        if len(_agreed) >= AGREED_KEPT:
            del _agreed[next(iter(_agreed))]
        _agreed[self.exchange_key, exchange_key] = secret
        return secret


def session_key(identity: Identity, peer_exchange_key: bytes, *, peer: bytes, peer_epoch: int) -> bytes:
    """Return the 32-byte key that two nodes share for one pair of boots, equal at both ends.

    It is BLAKE2b over the X25519 secret and both (id, epoch) in sorted order.

    Raises:
        BadFrame: `bad-key`, see `Identity.agree`.
    """
    ends = sorted(
        (identity.node + identity.epoch.to_bytes(8, "big"), peer + peer_epoch.to_bytes(8, "big")),
    )
    secret = identity.agree(peer_exchange_key)
    return hashlib.blake2b(b"".join(ends), key=secret, digest_size=KEY_BYTES, person=b"swarmbed-sess").digest()


def verify(sign_key: bytes, domain: bytes, data: bytes, *, signature: bytes) -> bool:
    """Say whether a signature by `sign_key` over a domain and exact bytes is good.

    The process remembers the last `VERIFIED_KEPT` good ones, its own and those it checked, so that a broadcast to many nodes
    of one process is checked once, and what one of them signed never. Failures are not remembered: they would let forgers push good ones out.
    """
    if len(sign_key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    signed = signature + _separated(domain, data)
    fingerprint = _fingerprint(sign_key, signed)
    if fingerprint in _verified:
        return True
    try:
        nacl.bindings.crypto_sign_open(signed, sign_key)
    except nacl.exceptions.BadSignatureError:
        return False
    _remember(fingerprint)
    return True


def _fingerprint(sign_key: bytes, signed: bytes) -> bytes:
    return hashlib.blake2b(sign_key + signed, digest_size=32).digest()


def _remember(fingerprint: bytes) -> None:
    if len(_verified) >= VERIFIED_KEPT:
        del _verified[next(iter(_verified))]
    _verified[fingerprint] = None


_agreed: dict[tuple[bytes, bytes], bytes] = {}  # by the keys of the end that asked and of the end that did not yet
_verified: dict[bytes, None] = {}  # a dict, not a set: its order says which is the oldest


def _separated(domain: bytes, data: bytes) -> bytes:
    # The length first: no domain and data can be read as another domain and data.
    return b"%c%b%b" % (len(domain), domain, data)
