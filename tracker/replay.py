"""Pure: a sliding bitmap of the sequence numbers seen from one peer in one boot.

Source: RFC 4303 appendix A2 (the window of IPsec); DESIGN section 4.
"""

from __future__ import annotations


class ReplayWindow:
    """Accept every sequence number at most once, in any order within the last `size`.

    Feed it authentic frames only: a forged number would move the window and shut out the true ones.

    Invariant: bit k of the bitmap says whether `newest - k` was seen, 0 <= k < size; older numbers count as seen.
    """

    __slots__ = ("_bitmap", "_mask", "_newest", "_size")

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._mask = (1 << size) - 1
        self._newest = -1
        self._bitmap = 0

    def accept(self, seq: int) -> bool:
        """Mark a sequence number (>= 0) and say whether it is new; one older than the window is not."""
        ahead = seq - self._newest
        if ahead > 0:
            # A jump beyond the window forgets all; shifting by it could ask for a number of 2**62 bits.
            self._bitmap = ((self._bitmap << ahead) & self._mask) | 1 if ahead < self._size else 1
            self._newest = seq
            return True
        bit = 1 << -ahead if -ahead < self._size else 0
        if not bit or self._bitmap & bit:
            return False
        self._bitmap |= bit
        return True
