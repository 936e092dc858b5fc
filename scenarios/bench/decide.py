"""trio: what a link's verdict costs against drawing from `random` for each packet (it reads the CPU clock).

All decide Gilbert-Elliott loss and normal jitter. The baseline is the shortest code that does so with the standard library,
as a method of an object with slots; it keeps no counters, no packet numbers and no repeatable draws.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from netem.fate_blocks import FateBlocks
from netem.impairments.delay import Delay
from netem.impairments.gilbert_elliott import GilbertElliott
from netem.link import Link, LinkConfig
from netem.randomness import BlockUniforms
from netem.route import MAX_DATAGRAM_BYTES
from scenarios.bench.base import Bench, Effort, Figure, Goal, take_turns

PACKETS = 200_000
CHAIN = GilbertElliott(p=0.01, r=0.25, bad=0.7, good=0.001)  # Elliott's: both states draw for the loss
DELAY_S, JITTER_S = 0.02, 0.003
_P, _R, _BAD, _GOOD = CHAIN.p, CHAIN.r, CHAIN.bad, CHAIN.good
_NOW_NS = 1_700_000_000 * 10**9
_GAP_NS = 10_000


class Decide(Bench):
    """Verdicts from blocks against verdicts drawn one by one."""

    name = "decide"
    goal = (
        "a verdict (Gilbert-Elliott + normal jitter) at most 0.25 times one drawn from `random`; its part that is drawn in blocks "
        "at most 0.10 us"
    )

    def figures(self, effort: Effort) -> Iterator[Figure]:
        """Yield CPU microseconds per verdict."""
        packets = effort.of(PACKETS)
        subject, baseline = take_turns(
            lambda: block_us(packets), lambda: naive_us(packets), repetitions=effort.repetitions
        )
        yield Figure(
            name=self.name,
            what="Link.verdict, over random.random() twice and random.gauss() for each packet",
            unit="us CPU/packet",
            subject=subject,
            baseline=baseline,
            goal=Goal(limit=0.25, at_most=True),
            note="each in a bare loop, whose own cost is part of both",
        )
        drawn, baseline = take_turns(
            lambda: drawn_us(packets), lambda: naive_us(packets), repetitions=effort.repetitions
        )
        yield Figure(
            name=f"{self.name}, blocks",
            what="drawing, deciding and listing the fates of whole blocks, over the same draws from `random`",
            unit="us CPU/packet",
            subject=drawn,
            baseline=baseline,
            goal=Goal(limit=0.10, at_most=True, of_subject=True),
            note="the rest of a verdict is one call of a Python method, its counters and its clock",
        )


def block_us(packets: int) -> float:
    """Return the CPU microseconds of one verdict, the drawing of the blocks included."""
    config = LinkConfig((CHAIN, Delay(DELAY_S, JITTER_S, "normal")))
    link = Link(config, source="a", target="b", uniforms=BlockUniforms(1), link_id=0)
    verdict = link.verdict
    began_s = time.process_time()
    for now_ns in range(_NOW_NS, _NOW_NS + packets * _GAP_NS, _GAP_NS):
        verdict(now_ns, MAX_DATAGRAM_BYTES)
    return (time.process_time() - began_s) / packets * 1e6


def drawn_us(packets: int) -> float:
    """Return the CPU microseconds of one packet's fate as it is decided in blocks."""
    blocks = FateBlocks((CHAIN, Delay(DELAY_S, JITTER_S, "normal")), source="a", target="b", uniforms=BlockUniforms(1))
    began_s = time.process_time()
    while blocks.end < packets:
        blocks.advance(blocks.end)
    return (time.process_time() - began_s) / blocks.end * 1e6


class _NaiveLink:
    __slots__ = ("_bad",)

    def __init__(self) -> None:
        self._bad = False

    def verdict(self, now_ns: int, _size_bytes: int) -> int:
        draw = random.random
        bad = self._bad
        lost = draw() < (_BAD if bad else _GOOD)
        if draw() < (_R if bad else _P):
            self._bad = not bad
        return -1 if lost else now_ns + max(0, int(random.gauss(DELAY_S, JITTER_S) * 1e9))


def naive_us(packets: int) -> float:
    """Return the CPU microseconds of one verdict drawn from `random`."""
    verdict = _NaiveLink().verdict
    began_s = time.process_time()
    for now_ns in range(_NOW_NS, _NOW_NS + packets * _GAP_NS, _GAP_NS):
        verdict(now_ns, MAX_DATAGRAM_BYTES)
    return (time.process_time() - began_s) / packets * 1e6
