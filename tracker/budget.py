"""Pure: a token bucket: how much of something a peer may ask for.

Source: the token bucket of RFC 2697, with one rate.
"""

from __future__ import annotations

NS_PER_S = 1_000_000_000


class Budget:
    """Allow `burst` at once and `per_s` in the long run.

    Invariant: over any t seconds at most burst + per_s * t + what was added is taken.
    """

    __slots__ = ("_burst", "_left", "_per_s", "_since_ns")

    def __init__(self, *, per_s: float, burst: float, now_ns: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._since_ns = now_ns

    def take(self, now_ns: int) -> bool:
        """Take one and return True, or return False if there is none left."""
        if now_ns > self._since_ns:
            self._left = min(self._burst, self._left + self._per_s * (now_ns - self._since_ns) / NS_PER_S)
            self._since_ns = now_ns
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def add(self, amount: float) -> None:
        """Allow more, up to the burst."""
        self._left = min(self._burst, self._left + amount)
