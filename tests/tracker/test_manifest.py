"""Manifests from the network: only one whose root is its content's, and whose name is safe, is accepted."""

import hashlib

import msgspec
import pytest

from netem.errors import Rejection
from tracker.manifest import check_manifest, manifest_root
from tracker.messages import PIECE_BYTES, Manifest


def forge(**changes):
    pieces = [hashlib.sha256(b"x").digest()]
    fields = {"name": "f", "size_bytes": 1, "pieces": pieces} | changes
    return Manifest(**({"root": manifest_root(**fields)} | fields))


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../f", "a/../b", "a//b", "./a", "a/", "a\x00b", "..", ".", "x" * 1_025]
)
def test_a_name_that_could_escape_is_refused(name):
    with pytest.raises(Rejection) as caught:
        check_manifest(forge(name=name))
    assert caught.value.reason == "bad-manifest"


def test_a_manifest_that_does_not_add_up_is_refused():
    check_manifest(forge())
    right = forge()
    for wrong in (
        forge(size_bytes=PIECE_BYTES + 1),
        forge(pieces=[]),
        msgspec.structs.replace(right, name="g"),
        msgspec.structs.replace(right, size_bytes=2),
        msgspec.structs.replace(right, root=bytes(32)),
        msgspec.structs.replace(right, name="\ud800"),
    ):
        with pytest.raises(Rejection):
            check_manifest(wrong)
