"""Identity: ids are hashes of keys, both ends agree on a session key, domains separate signatures."""

import nacl.bindings
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netem.errors import BadFrame
from tracker import identity as module
from tracker.identity import Identity, node_id, session_key, verify


def an_identity(number=1, *, epoch=1):
    return Identity(bytes([number]) * 32, epoch=epoch)


def test_the_id_depends_on_the_seed_alone_and_the_exchange_key_on_the_boot_too():
    first, second = an_identity(epoch=1), an_identity(epoch=2)
    assert first.node == second.node == node_id(first.sign_key)
    assert len(first.node) == 8
    assert first.exchange_key != second.exchange_key
    assert an_identity(2).node != first.node


def test_both_ends_agree_on_one_session_key_per_pair_of_boots(monkeypatch):
    monkeypatch.setattr(module, "AGREED_KEPT", 1)
    a, b = an_identity(1, epoch=3), an_identity(2, epoch=5)
    key = session_key(a, b.exchange_key, peer=b.node, peer_epoch=5)
    an_identity(3).agree(a.exchange_key)  # now the process has forgotten what a and b share: b must find it out itself
    assert key == session_key(b, a.exchange_key, peer=a.node, peer_epoch=3)
    assert len(key) == 32
    reborn = an_identity(2, epoch=6)
    assert key != session_key(a, reborn.exchange_key, peer=b.node, peer_epoch=6)
    assert key != session_key(a, b.exchange_key, peer=b.node, peer_epoch=6)


def test_two_ends_in_one_process_compute_their_secret_once_and_few_secrets_are_kept(monkeypatch):
    calls = []
    real = nacl.bindings.crypto_scalarmult
    monkeypatch.setattr(nacl.bindings, "crypto_scalarmult", lambda *keys: calls.append(keys) or real(*keys))
    monkeypatch.setattr(module, "_agreed", {})
    monkeypatch.setattr(module, "AGREED_KEPT", 2)
    a, b = an_identity(1), an_identity(2)
    assert a.agree(b.exchange_key) == b.agree(a.exchange_key)
    assert len(calls) == 1
    assert module._agreed == {}
    for number in range(3, 7):
        a.agree(an_identity(number).exchange_key)
    assert [there for _, there in module._agreed] == [an_identity(number).exchange_key for number in (5, 6)]


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), bytes(32), b"\x01" + bytes(31)])
def test_a_worthless_exchange_key_is_a_bad_frame(key):
    with pytest.raises(BadFrame) as caught:
        an_identity().agree(key)
    assert caught.value.kind == "bad-key"


def test_a_seed_of_another_length_is_refused():
    with pytest.raises(ValueError):
        Identity(bytes(31), epoch=0)


@given(data=st.binary(max_size=200), flip=st.integers(0, 63 * 8))
def test_a_signature_holds_for_its_bytes_domain_and_key_only(data, flip):
    a = an_identity()
    signature = a.sign(b"d", data)
    module._verified.clear()  # so that the signature itself is checked
    assert verify(a.sign_key, b"d", data, signature=signature)
    assert not verify(a.sign_key, b"e", data, signature=signature)
    assert not verify(a.sign_key, b"d", data + b"x", signature=signature)
    assert not verify(an_identity(2).sign_key, b"d", data, signature=signature)
    broken = (int.from_bytes(signature, "big") ^ (1 << flip)).to_bytes(64, "big")
    assert not verify(a.sign_key, b"d", data, signature=broken)


def test_domain_and_data_cannot_be_shifted_into_each_other():
    a = an_identity()
    assert not verify(a.sign_key, b"ab", b"c", signature=a.sign(b"a", b"bc"))


@pytest.mark.parametrize(("key_bytes", "signature_bytes"), [(31, 64), (32, 63), (0, 0), (32, 65)])
def test_keys_and_signatures_of_wrong_length_are_just_not_good(key_bytes, signature_bytes):
    assert not verify(bytes(key_bytes), b"d", b"x", signature=bytes(signature_bytes))


def test_an_identical_broadcast_is_verified_once_and_failures_are_not_remembered(monkeypatch):
    calls = []
    check = nacl.bindings.crypto_sign_open
    monkeypatch.setattr(nacl.bindings, "crypto_sign_open", lambda *args: calls.append(1) or check(*args))
    a = an_identity()
    signature = a.sign(b"d", b"board 7")
    assert verify(a.sign_key, b"d", b"board 7", signature=signature)
    assert not calls  # this process signed it
    monkeypatch.setattr(module, "_verified", {})
    assert all(verify(a.sign_key, b"d", b"board 7", signature=signature) for _ in range(200))
    assert len(calls) == 1
    assert not any(verify(a.sign_key, b"d", b"board 8", signature=signature) for _ in range(3))
    assert len(calls) == 4
    assert len(module._verified) == 1


def test_the_memory_of_verified_bytes_is_bounded_and_drops_the_oldest(monkeypatch):
    a = an_identity()
    signatures = [a.sign(b"d", bytes([i])) for i in range(5)]
    monkeypatch.setattr(module, "_verified", {})
    monkeypatch.setattr(module, "VERIFIED_KEPT", 3)
    assert verify(a.sign_key, b"d", bytes([0]), signature=signatures[0])
    oldest = next(iter(module._verified))
    for i in range(1, 5):
        assert verify(a.sign_key, b"d", bytes([i]), signature=signatures[i])
    assert len(module._verified) == 3
    assert oldest not in module._verified
