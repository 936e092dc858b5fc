"""The catalogue: one index per root for ever, holders sorted, nothing held by those who left."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.errors import Rejection
from netem.framing import MAX_FRAME_BYTES
from tracker import messages as m
from tracker.catalogue import ENTRIES_PER_ANSWER, Catalogue
from tracker.manifest import manifest_root, piece_count

A, B, C = (bytes([n]) * 8 for n in (1, 2, 3))


def a_manifest(number=0, *, size_bytes=1, name="file"):
    pieces = [number.to_bytes(32, "big")] * piece_count(size_bytes)
    return m.Manifest(name, size_bytes, pieces, manifest_root(name, size_bytes, pieces))


def reason_of(call, *args, **kwargs):
    with pytest.raises(Rejection) as caught:
        call(*args, **kwargs)
    return caught.value.reason


def test_the_same_root_has_the_same_index():
    catalogue = Catalogue()
    assert [catalogue.publish(a_manifest(n)) for n in (5, 6, 5, 7, 6)] == [0, 1, 0, 2, 1]
    assert len(catalogue) == 3
    assert catalogue.manifest(1) == a_manifest(6)


@pytest.mark.parametrize("known", [False, True])
def test_nobody_can_squat_on_the_root_of_another_content(known):
    catalogue, right = Catalogue(), a_manifest(1)
    if known:
        catalogue.publish(right)
    squatter = msgspec.structs.replace(a_manifest(2, name="other"), root=right.root)
    assert reason_of(catalogue.publish, squatter) == "bad-manifest"
    assert len(catalogue) == known
    assert catalogue.manifest(catalogue.publish(right)) == right


@pytest.mark.parametrize("size_bytes", [0, 1, m.PIECE_BYTES - 1, m.PIECE_BYTES, m.PIECE_BYTES + 1])
def test_pieces_must_add_up_to_the_size(size_bytes):
    good = a_manifest(size_bytes=size_bytes)
    assert Catalogue().publish(good) == 0
    pieces = [*good.pieces, bytes(32)]
    bad = msgspec.structs.replace(good, pieces=pieces, root=manifest_root(good.name, size_bytes, pieces))
    assert reason_of(Catalogue().publish, bad) == "bad-manifest"


def test_a_full_catalogue_refuses_new_roots_only(monkeypatch):
    monkeypatch.setattr("tracker.catalogue.MAX_FILES", 2)
    catalogue = Catalogue()
    catalogue.publish(a_manifest(1))
    catalogue.publish(a_manifest(2))
    assert reason_of(catalogue.publish, a_manifest(3)) == "catalogue-full"
    assert catalogue.publish(a_manifest(2)) == 1


def test_an_answer_with_the_longest_names_fits_a_frame_and_all_files_can_be_had():
    catalogue = Catalogue()
    for number in range(ENTRIES_PER_ANSWER + 3):
        catalogue.publish(a_manifest(number, name="𝄞" * 1024))
    first = catalogue.entries(0)
    assert len(msgspec.msgpack.encode(m.Catalogue(first))) < MAX_FRAME_BYTES - 200
    rest = catalogue.entries(len(first))
    assert [entry.index for entry in first + rest] == list(range(ENTRIES_PER_ANSWER + 3))
    assert catalogue.entries(len(catalogue)) == []


def test_holding_is_news_only_once():
    catalogue = Catalogue()
    catalogue.publish(a_manifest())
    assert catalogue.hold(A, 0, holds=True)
    assert not catalogue.hold(A, 0, holds=True)
    assert catalogue.hold(A, 0, holds=False)
    assert not catalogue.hold(A, 0, holds=False)
    assert catalogue.servers(0) == []


@pytest.mark.parametrize("index", [-1, 1])
def test_an_unknown_file_has_no_manifest_and_no_holder(index):
    catalogue = Catalogue()
    catalogue.publish(a_manifest())
    assert reason_of(catalogue.manifest, index) == "unknown-file"
    assert reason_of(catalogue.hold, A, index, holds=True) == "unknown-file"
    assert catalogue.files_of(A) == set()


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 3), st.sampled_from(["hold", "end", "drop"]))))
def test_both_directions_of_holding_agree_whatever_happens(steps):
    catalogue, truth = Catalogue(), set()
    for number in range(4):
        catalogue.publish(a_manifest(number))
    for node, index, step in steps:
        if step == "drop":
            assert catalogue.drop(node) == sorted(i for n, i in truth if n == node)
            truth = {(n, i) for n, i in truth if n != node}
        else:
            catalogue.hold(node, index, holds=step == "hold")
            truth = truth | {(node, index)} if step == "hold" else truth - {(node, index)}
    for index in range(4):
        assert catalogue.servers(index) == sorted(n for n, i in truth if i == index)
    for node in (A, B, C):
        assert catalogue.files_of(node) == {i for n, i in truth if n == node}
