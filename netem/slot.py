"""Pure: slots: packets leave together, when a slot opens, as on media that are shared in turns.

Source: tc-netem `slot`; `get_slot_next` and `netem_dequeue` of Linux `sch_netem.c`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from netem.clock import S
from netem.distributions import NAMES, law
from netem.errors import ConfigError
from netem.impairments.base import check_duration
from netem.randomness import BlockUniforms

_DRAWS = 64  # at a time
_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Slot:
    """When slots open, and how much leaves in each.

    Args:
        least_s: the shortest time from one slot to the next, or, with a distribution, their mean.
        most_s: the longest, or the deviation.
        distribution: "" for times uniform between the two, or a name (as for jitter: `uniform` is half a range).
        packets: that may leave in one slot; 0 is any number.
        bytes: the slot that reaches this number is the last packet's; 0 is any number.
    """

    least_s: float
    most_s: float
    distribution: str = ""
    packets: int = 0
    bytes: int = 0

    def __post_init__(self) -> None:
        check_duration("slot", self.least_s)
        check_duration("slot", self.most_s)
        if self.distribution and self.distribution not in NAMES:
            raise ConfigError("slot distribution", self.distribution, " or ".join(NAMES))
        if not self.distribution and self.least_s > self.most_s:
            raise ConfigError(
                "slot", f"{self.least_s:g} s to {self.most_s:g} s", "a least time that is at most the largest"
            )
        if not self.least_s + self.most_s > 0.0:
            raise ConfigError("slot", "0 s", "times above 0")
        for field in ("packets", "bytes"):
            if not 0 <= getattr(self, field) <= _MOST:
                raise ConfigError(f"slot {field}", getattr(self, field), f"0 (any number) to {_MOST}")

    def gaps_ns(self, uniforms: np.ndarray) -> list[int]:
        """Return the times (ns, at least 0) from slots to the next, one a uniform."""
        if self.distribution:
            gaps_s = self.least_s + self.most_s * law(self.distribution).quantiles(uniforms)
        else:
            gaps_s = self.least_s + (self.most_s - self.least_s) * uniforms
        gaps: list[int] = np.rint(np.maximum(gaps_s, 0.0) * S).astype(np.int64).tolist()
        return gaps

    def mean_gap_s(self) -> float:
        """Return the expected time from one slot to the next."""
        if self.distribution:
            points = (np.arange(4096) + 0.5) / 4096
            return float(np.mean(self.gaps_ns(points))) / S
        return (self.least_s + self.most_s) / 2.0


class SlotGate:
    """The gate of one link: it says when each packet may leave, in the order in which they come.

    Its times depend on the key and on how many slots there were, not on the number of a packet: slots go by time.

    Invariant: departures never decrease.
    """

    __slots__ = (
        "_block",
        "_bytes_left",
        "_gaps_ns",
        "_key",
        "_last_ns",
        "_open_ns",
        "_packets_left",
        "_uniforms",
        "slot",
    )

    def __init__(self, slot: Slot, *, uniforms: BlockUniforms, key: bytes) -> None:
        self.slot = slot
        self._uniforms = uniforms
        self._key = key
        self._block = 0
        self._gaps_ns: list[int] = []
        self._open_ns = -1  # the first slot opens with the first packet
        self._last_ns = 0
        self._packets_left = self._bytes_left = 0

    def leave(self, now_ns: int, ready_ns: int, size_bytes: int) -> int:
        """Return when a packet leaves that came at `now_ns` and could at `ready_ns`."""
        ready_ns = max(ready_ns, self._last_ns)
        if self._open_ns < 0:
            self._open(now_ns, after=False)
        if self._open_ns < ready_ns:
            # As the kernel has it: who comes to the head draws a new slot from then on, and another if that is too soon.
            self._open(max(now_ns, self._last_ns))
            if self._open_ns < ready_ns:
                self._open(ready_ns)
        leaves_ns = max(ready_ns, self._open_ns)
        self._last_ns = leaves_ns
        self._packets_left -= 1
        self._bytes_left -= size_bytes
        if self._packets_left <= 0 or self._bytes_left <= 0:
            self._open(leaves_ns)
        return leaves_ns

    def _open(self, now_ns: int, *, after: bool = True) -> None:
        """Let the next slot open a drawn time after `now_ns`, or right then."""
        self._open_ns = now_ns + self._gap_ns() if after else now_ns
        self._packets_left = self.slot.packets or sys.maxsize
        self._bytes_left = self.slot.bytes or sys.maxsize

    def _gap_ns(self) -> int:
        if not self._gaps_ns:
            drawn = self._uniforms.draw(self._key, block=self._block, shape=(1, _DRAWS))[0]
            self._block += 1
            self._gaps_ns = self.slot.gaps_ns(drawn)[::-1]
        return self._gaps_ns.pop()
