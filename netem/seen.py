"""Pure: which packet numbers a receiver has seen, one bit each, and so the gaps between them, whatever their order of arrival.

A link's numbers fill pages of 512. A page 65,536 numbers behind its link's highest is reduced to a count: memory is one bit a
packet and at most 8 KiB a link, 64 bytes for a link that carried little.

Source: DESIGN section 3 (realised taken from receivers' counts).
"""

from __future__ import annotations

import numpy as np

NUMBER_BITS = 40
HORIZON = 65_536  # numbers of one link
_PAGE_BITS = 9
_PAGE_BYTES = (1 << _PAGE_BITS) // 8
_INDEX_BITS = NUMBER_BITS - _PAGE_BITS
_INDEX_MASK = (1 << _INDEX_BITS) - 1
_PAGES_KEPT = HORIZON >> _PAGE_BITS
_PAGES_AT_FIRST = 64
_ONE = np.uint64(1)
_TOP = np.uint64(63)


class SeenNumbers:
    """Sets of packet numbers by link.

    A *key* is link << 40 | number. A number more than `HORIZON` below its link's highest may be taken for a new one.
    """

    __slots__ = ("_bits", "_free", "_keys", "_reduce_at", "_reduced", "_slots")

    def __init__(self) -> None:
        self._keys = np.zeros(0, dtype=np.int64)  # of pages: link << 31 | page; sorted
        self._slots = np.zeros(0, dtype=np.int64)  # where each page's bits are
        self._bits = np.zeros((_PAGES_AT_FIRST, _PAGE_BYTES), dtype=np.uint8)
        self._free = np.arange(_PAGES_AT_FIRST)
        self._reduced = np.zeros(0, dtype=np.int64)  # adjacent pairs in pages that are gone, by link
        self._reduce_at = 1024

    def add(self, keys: np.ndarray) -> np.ndarray:
        """Add numbers, and tell which were there before.

        Args:
            keys: int64, sorted, each once.

        Returns:
            bool, one element a key.
        """
        pages = keys >> _PAGE_BITS
        starts = np.flatnonzero(np.diff(pages, prepend=-1))
        slots = np.repeat(self._slots_of(pages[starts]), np.diff(starts, append=len(keys)))
        places = slots * _PAGE_BYTES + ((keys >> 3) & (_PAGE_BYTES - 1))
        masks = np.left_shift(1, keys & 7).astype(np.uint8)
        bits = self._bits.reshape(-1)
        before: np.ndarray = (bits[places] & masks) != 0
        # Keys of one byte are neighbours, so that each byte is written once.
        first = np.flatnonzero(np.diff(places, prepend=-1))
        bits[places[first]] |= np.bitwise_or.reduceat(masks, first)
        return before

    def adjacent(self, links: int) -> np.ndarray:
        """Return for each link id below `links` how many numbers were seen whose successor was seen too (int64)."""
        pairs = np.zeros(max(links, len(self._reduced)), dtype=np.int64)
        pairs[: len(self._reduced)] = self._reduced
        pairs += _sum_by_link(self._keys, self._pairs(), len(pairs))
        wanted: np.ndarray = pairs[:links]
        return wanted

    def reduce(self, highest: np.ndarray) -> None:
        """Free pages far behind, once there are many.

        Args:
            highest: int64, the highest number seen by link id.
        """
        if len(self._keys) < self._reduce_at:
            return
        old = (self._keys & _INDEX_MASK) < (highest[self._keys >> _INDEX_BITS] >> _PAGE_BITS) - _PAGES_KEPT
        counted = _sum_by_link(self._keys[old], self._pairs()[old], len(highest))
        counted[: len(self._reduced)] += self._reduced
        self._reduced = counted
        freed = self._slots[old]
        self._bits[freed] = 0
        self._free = np.concatenate((self._free, freed))
        self._keys, self._slots = self._keys[~old], self._slots[~old]
        self._reduce_at = 2 * len(self._keys) + 1024

    def _slots_of(self, pages: np.ndarray) -> np.ndarray:
        """Return where the bits of pages (sorted, each once) are; make those that are new."""
        places = np.searchsorted(self._keys, pages)
        known = np.zeros(len(pages), dtype=bool)
        inside = places < len(self._keys)
        known[inside] = self._keys[places[inside]] == pages[inside]
        slots = np.empty(len(pages), dtype=np.int64)
        slots[known] = self._slots[places[known]]
        if not known.all():
            fresh = self._take(int((~known).sum()))
            slots[~known] = fresh
            self._keys = np.insert(self._keys, places[~known], pages[~known])
            self._slots = np.insert(self._slots, places[~known], fresh)
        return slots

    def _take(self, pages: int) -> np.ndarray:
        """Take empty pages, making more if there are too few."""
        if pages > len(self._free):
            have = len(self._bits)
            more = max(have, pages)
            self._bits = np.concatenate((self._bits, np.zeros((more, _PAGE_BYTES), dtype=np.uint8)))
            self._free = np.concatenate((self._free, np.arange(have, have + more)))
        taken, self._free = self._free[:pages], self._free[pages:]
        return taken

    def _pairs(self) -> np.ndarray:
        """Return for each page how many of its numbers were seen together with their successor."""
        words = self._bits.view("<u8")[self._slots]
        inside = np.bitwise_count(words & (words >> _ONE)).sum(axis=1, dtype=np.int64)
        inside += ((words[:, :-1] >> _TOP) & words[:, 1:] & _ONE).sum(axis=1, dtype=np.int64)
        follows = np.flatnonzero(np.diff(self._keys) == 1)
        inside[follows] += ((words[follows, -1] >> _TOP) & words[follows + 1, 0] & _ONE).astype(np.int64)
        pairs: np.ndarray = inside
        return pairs


def _sum_by_link(keys: np.ndarray, counts: np.ndarray, links: int) -> np.ndarray:
    sums = np.zeros(links, dtype=np.int64)
    np.add.at(sums, keys >> _INDEX_BITS, counts)
    return sums
