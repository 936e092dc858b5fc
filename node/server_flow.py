"""Pure: the pipeline of requests to one server: how many blocks to have asked, which are lost, when to ask again.

A server answers in the order it was asked, at its reserved rate. So gaps in that order mean loss, and the time between
answers, divided by the positions between them, measures the rate whether or not blocks are lost on the way.

Source: DESIGN section 4 (the receiver asks again for what is missing); RFC 6675 (loss by later answers) and RFC 4015 (a
retransmission that was answered too soon was not needed) in spirit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

NS_PER_S = 1_000_000_000
NEVER_NS = 2**63 - 1
HORIZON_NS = NS_PER_S
FIRST_WINDOW = 4
MIN_WINDOW = 2
MAX_WINDOW = 256
TOLERANCE = 4
MAX_TOLERANCE = 64
FIRST_TIMEOUT_NS = NS_PER_S // 4
SECOND_TIMEOUT_NS = NS_PER_S
MAX_TIMEOUT_NS = 4 * NS_PER_S
MAX_BACKOFF = 8
MIN_SLACK_NS = NS_PER_S // 20
MIN_SPACING_NS = 10_000.0
SILENT_SPACINGS = 5
JITTER_NS = NS_PER_S // 50
MAX_LATE = 1_024
_NONE: Sequence[int] = ()
_HORIZON_NS = float(HORIZON_NS)


class ServerFlow:
    """What was asked of one server and what its answers tell.

    Blocks are keys (piece * 256 + block).

    Attributes:
        outstanding: key -> (position, time asked in ns) of the blocks asked and neither answered nor given up.
        spacing_ns: smoothed time per position; 0 until measured.
        rtt_ns: the shortest time from asking to answer; 0 until measured.
        rate: blocks per ns while the server answers; 0 before its first measure and while it is silent.
        timeouts: timeouts since the last answer.
        last_position: the latest position answered; earlier ones still outstanding are late or lost.
        refill_at: the driver need not ask for more while more blocks than this are outstanding.
        owned: pieces that this server fetches alone, oldest first (kept by the swarm).

    Invariant: at most `MAX_WINDOW` blocks are asked ahead of an answer.
    """

    __slots__ = (
        "_ask_again_ns",
        "_deadline_ns",
        "_expected_ns",
        "_heard_ns",
        "_in_line_ns",
        "_last_ns",
        "_late",
        "_limit",
        "_order",
        "_position",
        "_tolerance",
        "last_position",
        "outstanding",
        "owned",
        "rate",
        "refill_at",
        "rtt_ns",
        "server",
        "spacing_ns",
        "timeouts",
    )

    def __init__(self, server: bytes) -> None:
        self.server = server
        self.outstanding: dict[int, tuple[int, int]] = {}
        self.owned: list[int] = []
        self.spacing_ns = 0.0
        self.rtt_ns = 0
        self.rate = 0.0
        self.timeouts = 0
        self.refill_at = 0
        self._order: deque[tuple[int, int]] = deque()  # (position, key), some of them answered already
        self._position = 0
        self._late: dict[int, bool] = {}  # given up here and not answered since: whether for a gap (else for silence)
        self._tolerance = TOLERANCE
        self._limit = FIRST_WINDOW
        self.last_position = 0
        self._last_ns = 0  # when the answer to `last_position` came
        self._heard_ns = 0  # when any answer came
        self._in_line_ns = 0  # when the server, by its own word, comes to our request
        self._ask_again_ns = 0  # until when silence is no loss because of that
        # Both are read many times between two changes of the flow; 0: to be reckoned anew.
        self._expected_ns = 0
        self._deadline_ns = 0

    def ask(self, keys: Iterable[int], now_ns: int) -> None:
        """Note that blocks are asked now, in this order."""
        position = self._position
        outstanding, order = self.outstanding, self._order
        self._expected_ns = self._deadline_ns = 0
        for key in keys:
            position += 1
            outstanding[key] = (position, now_ns)
            order.append((position, key))
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
            self._heard(now_ns)
            self._forgive(key)
            return _NONE
        position, asked_ns = asked
        self._in_line_ns = self._ask_again_ns = 0
        waited_ns = now_ns - asked_ns
        self._heard_ns = now_ns
        if self.timeouts:
            self._heard(now_ns)
        if self._limit < MAX_WINDOW:
            self._limit += 2
        if key in self._late:
            # It may answer the first request, which the server may have had queued all the time: its position and time
            # say nothing, except that an answer this soon cannot be to the second.
            if waited_ns < 0.8 * self.rtt_ns:
                self._forgive(key)
            else:
                del self._late[key]
            return _NONE
        if waited_ns < self.rtt_ns or not self.rtt_ns:
            self.rtt_ns = max(waited_ns, 1)
        if position > self.last_position:
            self._measure(position, asked_ns=asked_ns, now_ns=now_ns)
            self.last_position = position
            self._last_ns = now_ns
        order = self._order
        horizon = position - self._tolerance
        if order and order[0][0] <= horizon:
            return self._lost(horizon)
        return _NONE

    def queued(self, until_ns: int, *, now_ns: int) -> None:
        """Note that the server has our request and expects to come to it at `until_ns`."""
        if self.outstanding:
            self._heard(now_ns)
            self._expected_ns = self._deadline_ns = 0
            self._in_line_ns = until_ns
            self._ask_again_ns = max(until_ns, now_ns + MAX_TIMEOUT_NS)

    def _heard(self, now_ns: int) -> None:
        self.timeouts = 0
        self._heard_ns = now_ns
        if self.spacing_ns:
            self.rate = 1.0 / self.spacing_ns

    def _forgive(self, key: int) -> None:
        """Note that a block was late, not lost; if a gap had told otherwise, be slower to believe gaps."""
        if self._late.pop(key):
            self._tolerance = min(2 * self._tolerance, MAX_TOLERANCE)

    def _measure(self, position: int, *, asked_ns: int, now_ns: int) -> None:
        # Only while the server had work: this block's request was there before the previous answer left.
        if self.last_position and asked_ns + self.rtt_ns <= self._last_ns:
            sample, smoothed = (now_ns - self._last_ns) / (position - self.last_position), self.spacing_ns
            if smoothed:
                # A server that serves older downloads first falls silent; that says little about its rate.
                smoothed += (min(4.0 * smoothed, sample) - smoothed) / 8.0
            else:
                smoothed = sample
            self.spacing_ns = smoothed = max(MIN_SPACING_NS, smoothed)
            self.rate = 1.0 / smoothed

    def _lost(self, horizon: int, *, by_gap: bool = True) -> list[int]:
        """Give up what was asked at `horizon` or before."""
        lost = []
        outstanding, order = self.outstanding, self._order
        self._expected_ns = self._deadline_ns = 0
        while order and order[0][0] <= horizon:
            position, key = order.popleft()
            asked = outstanding.get(key)
            if asked is not None and asked[0] == position:
                del outstanding[key]
                lost.append(key)
        if len(self._late) > MAX_LATE:
            self._late.clear()
        if lost:
            self._late.update(dict.fromkeys(lost, by_gap))
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

    def timed_out(self) -> list[int]:
        """Give up everything outstanding because of silence; the next timeout takes twice as long, up to 4 s."""
        self.timeouts = min(self.timeouts + 1, MAX_BACKOFF)
        self._in_line_ns = self._ask_again_ns = 0
        self.rate = 0.0
        return self.give_up()

    def window(self, remaining_ns: float) -> int:
        """Return how many blocks to have outstanding when the whole download will last `remaining_ns` more.

        The rate times the round trip and a horizon of 1 s; at the end only what this server can deliver by then, so that all
        servers finish together. A server without a measured rate, or a silent one, gets few.
        """
        # The first timeout asks for everything again, so that the order of positions stays the server's order.
        if self.timeouts > 1:
            return 1
        if not self.spacing_ns:
            return self._limit
        far = remaining_ns > HORIZON_NS
        reach_ns = min(self.rtt_ns, HORIZON_NS) + (_HORIZON_NS if far else remaining_ns)
        return max(MIN_WINDOW if far else 1, min(int(reach_ns / self.spacing_ns) + 1, self._limit))

    def oldest_ns(self) -> int:
        """Return when the oldest outstanding block was asked; `NEVER_NS` if there is none."""
        order = self._order
        while order:
            position, key = order[0]
            asked = self.outstanding.get(key)
            if asked is not None and asked[0] == position:
                return asked[1]
            order.popleft()
        return NEVER_NS

    def expected_ns(self) -> int:
        """Return when to expect the next answer; `NEVER_NS` if nothing is outstanding."""
        if not self._expected_ns:
            self._reckon()
        return self._expected_ns

    def overdue_ns(self, expected_ns: int) -> int:
        """Return when an answer expected at `expected_ns` is late beyond jitter, well before the deadline."""
        return expected_ns if expected_ns == NEVER_NS else expected_ns + max(JITTER_NS, self.rtt_ns // 4)

    def _patience_ns(self) -> int:
        """Return the first timeout while the rate is unknown: short until the first answer, for a lost request costs little."""
        return SECOND_TIMEOUT_NS if self._heard_ns else FIRST_TIMEOUT_NS

    def deadline_ns(self) -> int:
        """Return when silence counts as loss; `NEVER_NS` if nothing is outstanding."""
        if not self._deadline_ns:
            self._reckon()
        return self._deadline_ns

    def _reckon(self) -> None:
        """Reckon when to expect the next answer, and the deadline for it."""
        oldest_ns = self.oldest_ns()
        if oldest_ns == NEVER_NS:
            self._expected_ns = self._deadline_ns = NEVER_NS
            return
        if not self.spacing_ns:
            patience_ns = self._patience_ns()
            since_ns = max(oldest_ns, self._heard_ns)
            self._expected_ns = max(since_ns + patience_ns, self._in_line_ns)
            timeout_ns = min(patience_ns << self.timeouts, MAX_TIMEOUT_NS)
            self._deadline_ns = max(since_ns + timeout_ns, self._ask_again_ns)
            return
        spacing_ns = int(self.spacing_ns)
        self._expected_ns = max(oldest_ns + self.rtt_ns, self._heard_ns + spacing_ns, self._in_line_ns)
        # Several spacings, because a few answers in a row may be lost while the rest are on their way.
        slack_ns = max(MIN_SLACK_NS, self.rtt_ns, int(SILENT_SPACINGS * self.spacing_ns))
        self._deadline_ns = max(self._expected_ns + min(slack_ns << self.timeouts, MAX_TIMEOUT_NS), self._ask_again_ns)
