"""Pure: what a storage policy is: a worth for every file, from which follows what a finite store buys, keeps and evicts.

Source: huberman-wu, section 2 (a server can only store and serve a small subset, and chooses it for its own utility).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from netem.errors import LocalProtocolError


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a server knows when it decides what to store; all arrays run over the files it stores or could buy.

    What it published itself is no part of it: that neither takes room nor goes.

    Attributes:
        files: file indices, ascending.
        odds: π_j > 0, float64 (files,).
        beliefs: p_ij >= 0, float64 (files,).
        size_bytes: int64 (files,).
        stored: whether it stores the file, bool (files,).
        since: 0, 1, ... in the order in which the stored files came, int64 (files,); -1 for the others.
        cost_credits: what storing and serving it still costs, micro-credits >= 0, int64 (files,): the licence unless there is one
            or none is needed, and the flat fee unless it is stored.
        room_files, room_bytes: what the store has room for, > 0.
        purse_credits: what the server can pay, micro-credits.
        share: the part of all bandwidth, in [0, 1], that a place in the full store gets when the upload is split evenly; 0 while unknown.
        place_credits: what such a place is expected to earn where π_j = p_ij, in micro-credits >= 0: fee x requests x `share`.
    """

    files: tuple[int, ...]
    odds: np.ndarray
    beliefs: np.ndarray
    size_bytes: np.ndarray
    stored: np.ndarray
    since: np.ndarray
    cost_credits: np.ndarray
    room_files: int
    room_bytes: float
    purse_credits: int
    share: float
    place_credits: float


@dataclass(frozen=True, slots=True)
class Purchase:
    """A file to buy and fetch, and the stored ones that make way for it, in order."""

    file: int
    evict: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: files to evict because there are too many, in order; then purchases, the best first."""

    evict: tuple[int, ...]
    purchases: tuple[Purchase, ...]


class Storage(ABC):
    """Decide what a server stores; a pure function of what it is given."""

    name: ClassVar[str]

    @abstractmethod
    def worth(self, shelf: Shelf) -> np.ndarray:
        """Return what storing each file is worth, finite, float64 (files,); a file that is not stored yet is bought only above 0."""

    def cost(self, shelf: Shelf) -> np.ndarray:
        """Return what getting each file costs in the unit of `worth`, >= 0, float64 (files,); by default only the purse sets limits."""
        return np.zeros(len(shelf.files))

    def plan(self, shelf: Shelf) -> Plan:
        """Evict what is worth least until the rest has room, then buy what is worth more than it costs and what makes way for it.

        Of equals the oldest goes, and the smallest index is bought.

        Raises:
            LocalProtocolError: `worth` or `cost` returned something else than they should.

        Invariant: once carried out, the store has at most `room_files` files and `room_bytes` bytes, the purse is not
        overdrawn, and no file is both bought and evicted.
        """
        worth = self._numbers("worth", self.worth(shelf), files=len(shelf.files))
        gain = worth - self._numbers("cost", self.cost(shelf), files=len(shelf.files))
        kept = sorted(np.flatnonzero(shelf.stored).tolist(), key=lambda place: (worth[place], shelf.since[place]))
        surplus = self._making_room(shelf, kept, files=0, nbytes=0)
        kept = kept[len(surplus) :]
        purchases = []
        bought: list[int] = []
        purse_credits = shelf.purse_credits
        wanted = [place for place in np.flatnonzero(~shelf.stored).tolist() if gain[place] > 0]
        for place in sorted(wanted, key=lambda place: (-gain[place], place)):
            size_bytes = int(shelf.size_bytes[place]) + int(shelf.size_bytes[bought].sum())
            if shelf.cost_credits[place] > purse_credits or size_bytes > shelf.room_bytes:
                continue
            if len(bought) >= shelf.room_files:
                break
            goes = self._making_room(shelf, kept, files=len(bought) + 1, nbytes=size_bytes)
            if goes and worth[goes].sum() >= gain[place]:
                continue
            kept = kept[len(goes) :]
            bought.append(place)
            purse_credits -= int(shelf.cost_credits[place])
            purchases.append(Purchase(shelf.files[place], tuple(shelf.files[one] for one in goes)))
        return Plan(tuple(shelf.files[place] for place in surplus), tuple(purchases))

    def _numbers(self, what: str, values: np.ndarray, *, files: int) -> np.ndarray:
        numbers = np.asarray(values, dtype=np.float64)
        if numbers.shape != (files,) or not math.isfinite(float(numbers.sum())):
            raise LocalProtocolError(f"{type(self).__name__}.{what} gave {values}, not {files} finite numbers")
        return numbers

    def _making_room(self, shelf: Shelf, kept: list[int], *, files: int, nbytes: int) -> list[int]:
        """Return the first of `kept` that must go until the others have room beside `files` more files of `nbytes` in all."""
        left_bytes = nbytes + int(shelf.size_bytes[kept].sum())
        goes: list[int] = []
        while len(goes) < len(kept) and (
            files + len(kept) - len(goes) > shelf.room_files or left_bytes > shelf.room_bytes
        ):
            left_bytes -= int(shelf.size_bytes[kept[len(goes)]])
            goes.append(kept[len(goes)])
        return goes
