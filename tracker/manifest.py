"""Pure: what names a file: the root over its name, size and piece hashes, and the check of a manifest from the network.

Whoever knows the root can check all the rest, so nobody can publish other content under a root that is not its own.

Source: DESIGN section 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from netem.errors import Rejection
from tracker.messages import PIECE_BYTES, Manifest

MAX_NAME_CHARACTERS = 1_024
_DOMAIN = b"swarmbed manifest 1\x00"


def piece_count(size_bytes: int) -> int:
    """Return how many pieces a file of `size_bytes` >= 0 has; an empty file has none."""
    return -(-size_bytes // PIECE_BYTES)


def manifest_root(name: str, size_bytes: int, pieces: Sequence[bytes]) -> bytes:
    """Hash name, size and piece hashes into the 32 bytes that name a file.

    Domain-separated, and every part is preceded by its length, so that no two manifests hash the same bytes.

    Raises:
        UnicodeEncodeError: `name` is not valid Unicode.
    """
    raw = name.encode()
    digest = hashlib.sha256(_DOMAIN)
    digest.update(len(raw).to_bytes(8, "big") + raw)
    digest.update(size_bytes.to_bytes(8, "big") + len(pieces).to_bytes(8, "big"))
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def check_manifest(manifest: Manifest) -> None:
    """Accept a manifest from the network or refuse it.

    Raises:
        Rejection: `bad-manifest`: unsafe name, piece count that does not fit the size, or wrong root.
    """
    fault = name_fault(manifest.name)
    if fault:
        raise Rejection("bad-manifest", fault)
    if len(manifest.pieces) != piece_count(manifest.size_bytes):
        raise Rejection("bad-manifest", f"{len(manifest.pieces)} pieces for {manifest.size_bytes} bytes")
    if manifest.root != manifest_root(manifest.name, manifest.size_bytes, manifest.pieces):
        raise Rejection("bad-manifest", "the root does not match")


def name_fault(name: str) -> str:
    """Say what is wrong with a file name; empty if nothing is."""
    if not name or len(name) > MAX_NAME_CHARACTERS:
        return f"1 to {MAX_NAME_CHARACTERS} characters"
    if "\x00" in name:
        return "no NUL"
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "valid Unicode only"
    if any(part in {"", ".", ".."} for part in name.split("/")):
        return "relative, without empty, '.' or '..' components"
    return ""
