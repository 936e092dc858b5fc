"""Pure: what a tc line means: what this emulator makes of it, what the kernel would, and where that surprises.

Source: DESIGN section 6; the closed forms are those of the impairments; Linux `sch_netem.c` for the surprises.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from netem.impairments.corrupt import Corrupt
from netem.impairments.delay import Delay
from netem.impairments.duplicate import Duplicate
from netem.impairments.loss import Loss
from netem.impairments.reorder import Reorder
from netem.link import LinkConfig
from netem.link_config import KERNEL_LIMIT_PACKETS
from netem.memory_loss import kernel_rate
from netem.tc import describe, parse_tc

DATAGRAM_BYTES = 1200  # with the netem header
HEADER_BYTES = 12
SHARES = (0.01, 0.1, 0.5, 0.9, 0.99)
_TYPICAL_GAP_S = 0.001
_HARDLY_EVER = 1e-7
_TYPICAL_PER_S = 1000
_WITH_MEMORY = (Corrupt, Duplicate, Loss, Reorder)


@dataclass(frozen=True)
class Meaning:
    """What a line means.

    Args:
        line: the options as they were understood.
        figures: numbers by name, units in the names; only those that the line has something to say of.
        warnings: where it does nothing, or not what one would think.
    """

    line: str
    figures: dict[str, float]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; infinity becomes null."""
        figures = {name: value if math.isfinite(value) else None for name, value in self.figures.items()}
        return {"line": self.line, **figures, "warnings": list(self.warnings)}


def explain(line: str) -> Meaning:
    """Read a tc line and say what it means; raise ConfigError as `parse_tc` does."""
    config = parse_tc(line)
    figures = dict((*_delay(config), *_loss(config), *_rate(config)))
    return Meaning(describe(config), figures, tuple(_warnings(config)))


def _delay(config: LinkConfig) -> Iterator[tuple[str, float]]:
    if config.mean_of_delayed_s() == 0.0:
        return
    yield "delay_mean_s", config.mean_delay_s()
    law = config.delay_law()
    assert law is not None  # a line has one delay
    # The law is tabulated, to a few ten-thousandths; where next to nothing is cut at 0, the deviation is known better.
    cut = any(one.delay_law().quantile_s(_HARDLY_EVER) <= 0.0 for one in _delays(config))
    yield "delay_deviation_s", law.sd_s if cut else config.delay_sd_s()
    for share in SHARES:
        yield f"delay_p{share * 100:g}_s", law.quantile_s(share)
    if config.early_rate():
        yield "early_share", config.early_rate()


def _loss(config: LinkConfig) -> Iterator[tuple[str, float]]:
    lossy = [impairment for impairment in config.impairments if impairment.loss_rate() > 0.0]
    lost = 1.0 - math.prod(1.0 - impairment.loss_rate() for impairment in lossy)
    if lossy:
        yield "loss_rate", lost
        yield "mean_burst_packets", lossy[0].mean_burst()
    if config.corrupt_rate():
        yield "corrupt_share", config.corrupt_rate()
    if config.copy_rate():
        yield "copy_share", config.copy_rate()
    if lossy or config.copy_rate() or config.corrupt_rate():
        # A lost packet's copy takes its place, and is none more.
        survivors = 1.0 + config.copy_rate() * (1.0 - lost) - config.loss_rate()
        whole = math.prod(1.0 - one.ruin_chain().rate() for one in config.impairments)
        yield "copies_delivered_per_packet", survivors * whole


def _rate(config: LinkConfig) -> Iterator[tuple[str, float]]:
    rate = config.rate_bytes_per_s
    if rate != math.inf:
        rated = config.rated_bytes(DATAGRAM_BYTES)
        yield "rate_bytes_per_s", rate
        yield "datagrams_per_s", rate / rated if rated else math.inf
        yield "goodput_bytes_per_s", rate * (DATAGRAM_BYTES - HEADER_BYTES) / rated if rated else math.inf
        yield "required_limit_packets", _required_limit(config, rate / rated) if rated else math.inf
    elif config.mean_of_delayed_s() > 0.0:
        yield f"required_limit_{_TYPICAL_PER_S}_per_s_packets", _required_limit(config, _TYPICAL_PER_S)
    if config.slot is not None:
        yield "slot_gap_mean_s", config.slot.mean_gap_s()
        if config.slot.packets:
            yield "slot_datagrams_per_s", config.slot.packets / config.slot.mean_gap_s()
    limit = config.limit()
    if limit is not None:
        yield "limit_packets", float(limit)


def _required_limit(config: LinkConfig, per_s: float) -> float:
    """Return how many packets arrive while the slowest waits, and half as many again."""
    slowest_s = config.mean_of_delayed_s() + 3.0 * math.hypot(*(one.delay_sd_s() for one in config.impairments))
    return float(math.ceil(1.5 * per_s * slowest_s) + 1)


def _delays(config: LinkConfig) -> list[Delay]:
    return [one for one in config.impairments if isinstance(one, Delay)]


def _warnings(config: LinkConfig) -> Iterator[str]:
    kernel = config.mode == "kernel"
    for impairment in config.impairments:
        if isinstance(impairment, Delay):
            yield from _of_jitter(impairment, config)
        elif isinstance(impairment, _WITH_MEMORY):
            yield from _of_correlation(impairment, kernel=kernel)
        if isinstance(impairment, Reorder):
            yield f"reorder: packets that follow each other by more than {_ms(config.mean_of_delayed_s())} are not reordered"
    yield from _of_nothing(config)
    if config.ecn:
        yield "ecn: datagrams here are sent without ECN, so they are lost and not marked, as the kernel loses such packets"
    yield from _of_limit(config)


def _of_jitter(delay: Delay, config: LinkConfig) -> Iterator[str]:
    if delay.jitter_s == 0.0:
        return
    if delay.distribution == "uniform":
        deviation = delay.jitter_s / math.sqrt(3.0)
        yield f"delay: without a distribution jitter is uniform, half a range of {_ms(delay.jitter_s)}: its deviation is {_ms(deviation)}"
    else:
        table = Delay(delay.delay_s, delay.jitter_s, delay.distribution, 0.0, delay.table, kernel=True)
        if abs(table.delay_sd_s() / delay.jitter_s - 1.0) > 0.01:
            yield (
                f"delay: the kernel's table for {delay.distribution} has a deviation of {_ms(table.delay_sd_s())}, not "
                f"{_ms(delay.jitter_s)}, and never strays more than {_ms(table.furthest_s())} from its mean"
            )
    if delay.correlation:
        yield (
            "delay: in the kernel this correlation comes to nothing, as the draw is then taken modulo the table's length or twice the "
            "jitter"
            + ("" if config.mode == "kernel" else "; here delays follow each other, with the same distribution")
        )
    if delay.jitter_s > delay.delay_s:
        yield f"delay: jitter above the delay is cut at 0, which raises the mean to {_ms(delay.mean_delay_s())}"
    if config.rate_bytes_per_s != math.inf or config.slot is not None:
        yield (
            "rate: packets leave in order, so that jitter does not reorder them"
            if config.slot is None
            else "slot: packets leave in order"
        )
    elif not config.ordered:
        yield (
            f"delay: jitter reorders: {_swapped(delay):.0%} of packets sent {_ms(_TYPICAL_GAP_S)} apart arrive in the wrong order; "
            "`ordered` keeps it, and so does a rate"
        )


def _swapped(delay: Delay) -> float:
    """Return how often the second of two packets arrives first; memory makes it rarer."""
    points = (np.arange(400) + 0.5) / 400
    law = delay.delay_law()
    delays_s = law.quantiles_s(points)
    if delay.memory():
        from scipy.special import ndtr, ndtri

        rho = delay.memory()
        later = ndtr(rho * ndtri(points)[:, None] + math.sqrt(1.0 - rho * rho) * ndtri(points)[None, :])
        return float((delays_s[:, None] > law.quantiles_s(later) + _TYPICAL_GAP_S).mean())
    return float((delays_s[:, None] > delays_s[None, :] + _TYPICAL_GAP_S).mean())


def _of_correlation(one: Corrupt | Duplicate | Loss | Reorder, *, kernel: bool) -> Iterator[str]:
    probability, rho = one.probability, one.correlation
    if not rho or not 0.0 < probability < 1.0:
        return
    real = kernel_rate(probability, rho)
    if abs(real / probability - 1.0) < 0.01:
        return
    nothing = ": next to nothing" if real < probability / 1000.0 else ""
    here = "" if kernel else f"; here it stays {probability:.3g}, and hits cluster"
    yield f"{one.name}: in the kernel this correlation makes the rate {real:.3g} instead of {probability:.3g}{nothing}{here}"


def _of_nothing(config: LinkConfig) -> Iterator[str]:
    """Say what has no effect, here and in the kernel."""
    for one in config.impairments:
        rates = one.loss_rate(), one.copy_rate(), one.corrupt_rate(), one.early_rate()
        if not isinstance(one, Delay) and not any(rates):
            yield f"{' '.join(one.tc)}: it never happens, so that `{one.to_tc()}` does nothing"
    for delay in _delays(config):
        if delay.jitter_s == 0.0 and (delay.correlation or delay.distribution != "uniform"):
            yield "delay: without jitter a correlation or a distribution does nothing"
    if config.ordered and not any(delay.jitter_s for delay in _delays(config)):
        yield "ordered: without jitter packets keep their order anyway, so that it does nothing"
    if config.cell_overhead_bytes and not config.cell_bytes:
        yield "rate: an overhead of cells does nothing without cells"


def _of_limit(config: LinkConfig) -> Iterator[str]:
    delay_s = config.mean_of_delayed_s()
    if config.limit_packets is None and delay_s > 0.0:
        own = "here" if config.mode == "kernel" else "in the kernel"
        other = (
            ""
            if config.mode == "kernel"
            else "; here it is automatic, and what does not fit the queue of a rate is counted apart"
        )
        yield f"limit: {own} {KERNEL_LIMIT_PACKETS} packets by default: above {KERNEL_LIMIT_PACKETS / delay_s:,.0f} packets/s it drops the rest, which looks like loss{other}"
    elif config.limit_packets is not None and delay_s > 0.0:
        yield f"limit: above {config.limit_packets / delay_s:,.0f} packets/s it drops the rest (cause `limit`, apart from loss)"


def _ms(duration_s: float) -> str:
    return f"{duration_s * 1e3:.4g} ms"
