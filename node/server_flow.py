"""Pure: the pipeline of requests to one server: what it was asked, and which of that is lost.

A server answers in the order it was asked, so gaps in that order mean loss. Its rate, and the timeouts, are `node/pace.py`.

Source: DESIGN section 4 (the receiver asks again for what is missing); RFC 6675 (loss by later answers) and RFC 4015 (a
retransmission that was answered too soon was not needed) in spirit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from node.pace import FIRST_TIMEOUT_NS, NEVER_NS, Pace

MAX_LATE = 1_024
_NONE: Sequence[int] = ()
_NOTHING = (NEVER_NS, NEVER_NS)  # what is outstanding to a server that was asked nothing


class ServerFlow(Pace):
    """What was asked of one server and what its answers tell.

    Blocks are keys (piece * 256 + block).

    Attributes:
        outstanding: key -> (position, time asked in ns) of the blocks asked and neither answered nor given up, in order asked.
        owned: pieces that this server fetches alone, oldest first (kept by the swarm).

    Invariant: at most `MAX_WINDOW` blocks are asked ahead of an answer.
    """

    __slots__ = ("_deadline_ns", "_expected_ns", "_late", "_position", "outstanding", "owned", "server")

    def __init__(self, server: bytes) -> None:
        super().__init__()
        self.server = server
        self.outstanding: dict[int, tuple[int, int]] = {}
        self.owned: list[int] = []
        self._position = 0
        self._late: dict[
            int, int
        ] = {}  # given up here and not answered since: its position if for a gap, 0 if for silence
        # Both are read many times between two changes of the flow; 0: to be reckoned anew.
        self._expected_ns = 0
        self._deadline_ns = 0

    def ask(self, keys: Iterable[int], now_ns: int) -> None:
        """Note that blocks, none of them outstanding, are asked now, in this order."""
        position, outstanding = self._position, self.outstanding
        self._expected_ns = self._deadline_ns = 0
        for key in keys:
            position += 1
            outstanding[key] = (position, now_ns)
        self._position = position

    def answer(self, key: int, now_ns: int) -> Sequence[int] | None:
        """Take the answer to a block and return the keys now known to be lost, in order; None if it was never asked.

        A lost block is no longer outstanding; should it still come, it counts as an answer.
        """
        asked = self.outstanding.pop(key, None)
        self._expected_ns = self._deadline_ns = 0
        if asked is None:
            if key not in self._late:
                return None
            self._forgive(key)
            self.heard(now_ns)
            return _NONE
        position, asked_ns = asked
        once = key not in self._late
        if not once:
            # It may answer the first request; an answer this soon cannot be to the second.
            gap = self._late[key]
            if now_ns - asked_ns < 0.8 * self.rtt_ns:
                self._forgive(key)
            else:
                del self._late[key]
            if gap:
                # The server may have had it queued all the time: its position says nothing.
                self.answered(now_ns)
                return _NONE
        self.answered(now_ns)
        self.measure(position, asked_ns=asked_ns, now_ns=now_ns, once=once)
        oldest, _ = next(iter(self.outstanding.values()), _NOTHING)
        if oldest < position and oldest <= (horizon := position - self.tolerance):
            return self._lost(horizon)
        return _NONE

    def queued(self, until_ns: int, *, now_ns: int) -> None:
        """Note that the server has our request and expects to come to it at `until_ns`.

        That word came at once, so it measures the round trip; the first block will have waited in line besides.
        """
        if self.outstanding:
            if not self.rtt_ns and not self.timeouts:
                self.rtt_ns = max(now_ns - self.oldest_ns(), 1)
            self._expected_ns = self._deadline_ns = 0
            self.in_line(until_ns, now_ns=now_ns)

    def expect_within(self, first_ns: int) -> None:
        """Wait for the first answer no longer than this, in ns, and at least `FIRST_TIMEOUT_NS // 3`."""
        self.patience_ns = min(self.patience_ns, max(first_ns, FIRST_TIMEOUT_NS // 3))
        self._expected_ns = self._deadline_ns = 0

    def _forgive(self, key: int) -> None:
        """Note that a block was late, not lost."""
        position = self._late.pop(key)
        if position:
            self.misjudged(position)
        elif self.timeouts:
            self.hurried()

    def _lost(self, horizon: int, *, by_gap: bool = True) -> list[int]:
        """Give up what was asked at `horizon` or before."""
        self._expected_ns = self._deadline_ns = 0
        lost: list[int] = []
        outstanding, late = self.outstanding, self._late
        for key, (position, _) in outstanding.items():
            if position > horizon:
                break
            lost.append(key)
            late[key] = position if by_gap else 0
        for key in lost:
            del outstanding[key]
        if len(late) > MAX_LATE:
            late.clear()
        return lost

    def give_up(self) -> list[int]:
        """Give up everything outstanding and return the keys in order asked."""
        return self._lost(self._position, by_gap=False)

    def withdraw(self, keys: range) -> None:
        """Forget that blocks were asked or given up; an answer to them is unasked for from now on."""
        self._expected_ns = self._deadline_ns = 0
        for key in keys:
            self.outstanding.pop(key, None)
            self._late.pop(key, None)

    def trim(self, count: int) -> list[int]:
        """Give up what was asked beyond the first `count` blocks outstanding, and return the keys in order asked."""
        keys = list(self.outstanding)[count:]
        self._expected_ns = self._deadline_ns = 0
        for key in keys:
            del self.outstanding[key]
            self._late[key] = 0
        # The server goes from the last of these on to whatever is asked next.
        self._position = next(reversed(self.outstanding.values()))[0]
        return keys

    def timed_out(self) -> list[int]:
        """Give up everything outstanding because of silence; the next timeout takes twice as long, up to 4 s."""
        self.silent()
        return self.give_up()

    def oldest_ns(self) -> int:
        """Return when the oldest outstanding block was asked; `NEVER_NS` if there is none."""
        return next(iter(self.outstanding.values()), _NOTHING)[1]

    def expected_ns(self) -> int:
        """Return when to expect the next answer; `NEVER_NS` if nothing is outstanding."""
        if not self._expected_ns:
            self._reckon()
        return self._expected_ns

    def deadline_ns(self) -> int:
        """Return when silence counts as loss; `NEVER_NS` if nothing is outstanding."""
        if not self._deadline_ns:
            self._reckon()
        return self._deadline_ns

    def _reckon(self) -> None:
        oldest_ns = self.oldest_ns()
        if oldest_ns == NEVER_NS:
            self._expected_ns = self._deadline_ns = NEVER_NS
        else:
            self._expected_ns, self._deadline_ns = self.next_answer(oldest_ns, outstanding=len(self.outstanding))
