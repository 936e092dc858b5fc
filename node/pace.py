"""Pure: how fast one server answers, and what follows from it: how much to ask ahead, and when silence is loss.

A server answers in the order it was asked, at its reserved rate. So the time between answers, divided by the positions between
them, measures the rate whether or not blocks are lost on the way; the shortest wait is the round trip.

Source: RFC 6298 (a timeout from the mean and the deviation of what was measured, doubled at each); RFC 8985 (the window for
reordering is a time, from a quarter of the round trip on; the last answers are waited for less long, for the server is idle).
"""

from __future__ import annotations

NS_PER_S = 1_000_000_000
NEVER_NS = 2**63 - 1
HORIZON_NS = NS_PER_S
FIRST_BLOCKS = 160  # what comes in a round trip of 80 ms at 2 MB/s
LONE_FIRST = 256
FEWEST_FIRST = 4
FEWEST_AHEAD = 4
MAX_WINDOW = 512  # as many as a server queues for one download
PROBE_WINDOW = 4
LONGEST_GAP = 8  # more blocks in a row are not lost one by one
TOLERANCE = 4
MAX_TOLERANCE = 64
FIRST_TIMEOUT_NS = NS_PER_S * 3 // 20
SECOND_TIMEOUT_NS = NS_PER_S
MAX_TIMEOUT_NS = 4 * NS_PER_S
MAX_BACKOFF = 8
MIN_SPACING_NS = 10_000.0
SILENT_SPACINGS = 5
JITTER_NS = NS_PER_S // 50
_HORIZON_NS = float(HORIZON_NS)


class Pace:
    """What the answers of one server tell.

    Attributes:
        spacing_ns: smoothed time per position; 0 until measured.
        rtt_ns: the shortest time from asking to answer; 0 until measured.
        rate: blocks per ns while the server answers; 0 before its first measure and while it is silent.
        refill_at: no more need be asked while more blocks than this are outstanding; set high by the first measure of the rate.
        timeouts: timeouts since the last answer.
        last_position: the latest position answered; earlier ones still outstanding are late or lost.
        patience_ns: how long to wait for the first answer.
    """

    __slots__ = (
        "_ask_again_ns",
        "_asked_ns",
        "_first_tolerance",
        "_heard_ns",
        "_in_line_ns",
        "_limit",
        "_reorder_ns",
        "_since_ns",
        "_since_position",
        "_slack_ns",
        "last_position",
        "patience_ns",
        "rate",
        "refill_at",
        "rtt_ns",
        "spacing_ns",
        "timeouts",
    )

    def __init__(self) -> None:
        self.spacing_ns = 0.0
        self.rtt_ns = 0
        self.rate = 0.0
        self.timeouts = 0
        self.patience_ns = FIRST_TIMEOUT_NS
        self.last_position = 0
        self.refill_at = 0
        self._slack_ns = JITTER_NS
        self._limit = FEWEST_FIRST
        self._first_tolerance = TOLERANCE  # until the rate is measured
        self._reorder_ns = 0
        self._since_position = 0  # the answer that the next sample of the rate counts from
        self._since_ns = 0
        self._asked_ns = 0  # when that was asked
        self._heard_ns = 0  # when any answer came
        self._in_line_ns = 0  # when the server, by its own word, comes to our request
        self._ask_again_ns = 0  # until when silence is no loss because of that

    def share_first(self, servers: int) -> None:
        """Let the servers of a download be asked `FIRST_BLOCKS` in all before there is an answer, and a lone one more.

        Enough to keep them busy, yet what a slow one gets of that, others have to fetch again.
        """
        self._limit = max(self._limit, FIRST_BLOCKS // servers if servers > 1 else LONE_FIRST)

    def heard(self, now_ns: int) -> None:
        """Note that the server is there."""
        self.timeouts = 0
        self._heard_ns = now_ns
        if self.spacing_ns:
            self.rate = 1.0 / self.spacing_ns

    def in_line(self, until_ns: int, *, now_ns: int) -> None:
        """Note that the server expects to come to our request at `until_ns`."""
        self.heard(now_ns)
        self._in_line_ns = until_ns
        self._ask_again_ns = max(until_ns, now_ns + MAX_TIMEOUT_NS)

    def answered(self, now_ns: int) -> None:
        """Note an answer to something outstanding: it is our turn, and more may be asked ahead."""
        self._in_line_ns = self._ask_again_ns = 0
        self._heard_ns = now_ns
        if self.timeouts:
            self.heard(now_ns)
        if self._limit < MAX_WINDOW:
            self._limit += 2

    def silent(self) -> None:
        """Note a timeout; the next takes twice as long, up to 4 s."""
        self.timeouts = min(self.timeouts + 1, MAX_BACKOFF)
        self._in_line_ns = self._ask_again_ns = 0
        self.rate = 0.0

    def measure(self, position: int, *, asked_ns: int, now_ns: int, once: bool) -> None:
        """Learn from the answer to the block at a position; unless it was asked only once its wait says little."""
        waited_ns = now_ns - asked_ns
        if not self.rtt_ns:
            if once or waited_ns > self.patience_ns // 4:
                self.rtt_ns = max(waited_ns, 1)
        elif once and waited_ns < self.rtt_ns:
            self.rtt_ns = max(waited_ns, 1)
        ahead = position - self.last_position
        if ahead > 0:
            self.last_position = position
            if ahead > LONGEST_GAP and ahead > self.tolerance:
                # A request was lost: the server never came to these positions.
                self._since_ns = 0
            since_ns = now_ns - self._since_ns
            if since_ns >= JITTER_NS:
                # Only while the server had work: this request was there before the first of these answers left.
                if self._since_ns and asked_ns <= max(self._asked_ns, self._since_ns - self.rtt_ns):
                    self._sample(position - self._since_position, since_ns)
                self._since_position, self._since_ns, self._asked_ns = position, now_ns, asked_ns

    def _sample(self, positions: int, took_ns: int) -> None:
        """Learn the rate from the answers since the last sample: many at a time, or jitter would be taken for pace."""
        sample, smoothed = took_ns / positions, self.spacing_ns
        if smoothed:
            # A server that serves older downloads first falls silent; that says little about its rate.
            weight = min(positions, 4) / 8.0
            smoothed += weight * (min(4.0 * smoothed, sample) - smoothed)
        else:
            smoothed = sample
            self.refill_at = MAX_WINDOW
        self.spacing_ns = smoothed = max(MIN_SPACING_NS, smoothed)
        self.rate = 1.0 / smoothed

    def hurried(self) -> None:
        """Note that the last timeout was too early: wait longer from now on."""
        self._slack_ns = min(2 * self._slack_ns, SECOND_TIMEOUT_NS)

    def misjudged(self, position: int) -> None:
        """Note that the block at a position, taken to be lost for a gap, was only late: be slower to believe gaps."""
        behind = self.last_position - position
        if self.spacing_ns:
            self._reorder_ns = min(max(self._reorder_ns, int(1.25 * behind * self.spacing_ns)), self.rtt_ns)
        else:
            self._first_tolerance = min(max(self._first_tolerance, behind + 1), MAX_TOLERANCE)

    @property
    def tolerance(self) -> int:
        """How many positions later an answer may be before the gap counts as loss; reckoned only when there is a gap."""
        if not self.spacing_ns:
            return self._first_tolerance
        late_ns = max(self._reorder_ns, self.rtt_ns // 4)
        return min(int(late_ns / self.spacing_ns) + 1, MAX_TOLERANCE)

    def window(self, remaining_ns: float) -> int:
        """Return how many blocks to have outstanding when the whole download will last `remaining_ns` more.

        The rate times the round trip and a horizon of 1 s; at the end only what this server can deliver by then, so that all
        servers finish together. A server without a measured rate, or a silent one, gets few.
        """
        # The first timeout asks for everything again, so that the order of positions stays the server's order.
        if self.timeouts > 1:
            return PROBE_WINDOW if self.rtt_ns else 1
        if not self.spacing_ns:
            return self._limit
        horizon_ns = max(_HORIZON_NS, FEWEST_AHEAD * self.spacing_ns)
        far = remaining_ns > 2.0 * horizon_ns
        reach_ns = min(self.rtt_ns, HORIZON_NS) + horizon_ns if far else max(remaining_ns, self.rtt_ns)
        return max(1, min(int(reach_ns / self.spacing_ns), self._limit))

    def next_answer(self, oldest_ns: int, *, outstanding: int) -> tuple[int, int]:
        """Return when to expect the next answer, and when silence counts as loss, by what is outstanding and how old it is."""
        if not self.spacing_ns:
            # Short until the first answer, for a lost request costs little.
            patience_ns = SECOND_TIMEOUT_NS if self._heard_ns else self.patience_ns
            since_ns = max(oldest_ns, self._heard_ns)
            timeout_ns = min(patience_ns << self.timeouts, MAX_TIMEOUT_NS)
            return max(since_ns + self.patience_ns, self._in_line_ns), max(since_ns + timeout_ns, self._ask_again_ns)
        expected_ns = max(oldest_ns + self.rtt_ns, self._heard_ns + int(self.spacing_ns), self._in_line_ns)
        # Several spacings, because a few answers in a row may be lost while the rest are on their way.
        spacings = min(outstanding, SILENT_SPACINGS)
        slack_ns = max(self._slack_ns, self.rtt_ns // 2) + int(spacings * self.spacing_ns)
        return expected_ns, max(expected_ns + min(slack_ns << self.timeouts, MAX_TIMEOUT_NS), self._ask_again_ns)

    def overdue_ns(self, expected_ns: int) -> int:
        """Return when an answer expected at `expected_ns` is late beyond jitter, well before the deadline."""
        return expected_ns if expected_ns == NEVER_NS else expected_ns + max(JITTER_NS, self.rtt_ns // 4)
