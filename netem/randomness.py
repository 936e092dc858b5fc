"""Pure: keyed randomness, the only source of chance in a run.

A draw depends on its key and nothing else: not on task order, other draws, the hash seed or the machine.
Keys are tuples of strings, bytes and integers; the first element of every key is the run seed.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from typing import Any

import numpy as np

KeyPart = str | bytes | int
_WORDS = struct.Struct("=QQ").unpack


def keyed_bytes(run_seed: int, *key: KeyPart, size: int = 32) -> bytes:
    """Derive `size` (1..64) bytes from the run seed and a key; equal keys give equal bytes."""
    text = b"".join(map(_framed, (run_seed, *key)))
    return hashlib.blake2b(text, digest_size=size, person=b"swarmbed-key").digest()


@functools.lru_cache(maxsize=4096)  # names of hosts and of kinds come again and again
def _framed(part: KeyPart) -> bytes:
    # Type and length first, so that ("ab", "c") and ("a", "bc") differ.
    if isinstance(part, str):
        raw = part.encode()
        return b"s%d:%b" % (len(raw), raw)
    if isinstance(part, bytes):
        return b"b%d:%b" % (len(part), part)
    raw = b"%d" % part
    return b"i%d:%b" % (len(raw), raw)


def keyed_generator(run_seed: int, *key: KeyPart) -> np.random.Generator:
    """Make the counter-based (Philox) generator that belongs to a key."""
    return np.random.Generator(np.random.Philox(key=int.from_bytes(keyed_bytes(run_seed, *key, size=16), "little")))


class BlockUniforms:
    """Draw blocks of uniforms in [0, 1) that belong to a key and a block index, fast.

    One Philox is re-keyed for every block: making a new one costs several times more than the draw itself.
    """

    def __init__(self, run_seed: int) -> None:
        self._run_seed = run_seed
        self._philox = np.random.Philox(key=0)
        self._generator = np.random.Generator(self._philox)
        self._drawn: dict[tuple[int, int], np.ndarray] = {}  # by shape
        self._place: dict[str, Any] = {"counter": [0] * 4, "key": (0, 0)}
        # numpy copies what it is set to, so that one state serves for all blocks; it takes lists in half the time of arrays.
        self._state: Any = {
            "bit_generator": "Philox",
            "state": self._place,
            "buffer": [0] * 4,
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }

    def draw(self, key: bytes, *, block: int, shape: tuple[int, int]) -> np.ndarray:
        """Return float64 uniforms of `shape` (columns, packets) for a 16-byte key and block index >= 0.

        They are overwritten by the next draw of that shape: fresh memory for every block would cost as much as the draw.
        """
        self._place["key"] = _WORDS(key)
        self._place["counter"][3] = block
        self._philox.state = self._state
        uniforms = self._drawn.get(shape)
        if uniforms is None:
            uniforms = self._drawn[shape] = np.empty(shape)
        self._generator.random(out=uniforms)
        return uniforms

    def key(self, *parts: KeyPart) -> bytes:
        """Return the 16-byte key of `parts` under this run's seed."""
        return keyed_bytes(self._run_seed, *parts, size=16)

    @staticmethod
    def key_of(seed: int, *parts: KeyPart) -> bytes:
        """Return the 16-byte key of `parts` under a seed of their own, whatever this run's is."""
        return keyed_bytes(seed, "own seed", *parts, size=16)
