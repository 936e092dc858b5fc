"""Pure: all links' losses, bursts, copies, delays, order and rates against the laws that their configurations predict.

Limits are Chernoff bounds under the links' own laws, so they hold for few packets, bursty losses and long tails too. Every row is
judged: each link, and all links of a configuration together, where what is too small to show on one link does.

Source: DESIGN section 3; netem-semantics 2.2 to 2.10 for the laws.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from netem import link_laws
from netem.clock import S
from netem.delay_law import DelayLaw
from netem.fates import Cause
from netem.host_time import HostTime
from netem.link_config import LinkConfig
from netem.link_count import Columns
from netem.loss_chain import LossChain
from netem.packet_chain import PacketChain
from netem.sums import PacketSum

KERNEL_SHARE = 1e-4
"""The share of packets that the kernel may drop, or hand over out of order, in a valid run."""

_CHANGED = "the link's configuration changed during the run"
_OTHER_DROPS = "packets dropped for other causes, or still on their way, hide it"


def packet_sums(columns: Columns, *, kernel_drops: int, host: HostTime) -> list[PacketSum]:
    """Return every quantity that is a sum over packets; a kernel drop is known by number, not by link."""
    return [
        losses(columns, kernel_drops),
        _bursts(columns, kernel_drops),
        _duplicates(columns, kernel_drops),
        _damages(columns),
        _early(columns),
        _mean_delay(columns, host),
        _jitter(columns, host),
        _reordering(columns, host),
    ]


def losses(columns: Columns, kernel_drops: int) -> PacketSum:
    """Return transmissions (packets and copies) lost per packet."""
    chains = link_laws.chains(columns, LinkConfig.transmission_chain, PacketChain.lost, quantity="loss")
    nothing = np.zeros(len(columns.links))
    known, why = _predictable(columns, "loss", changing=True)
    return PacketSum(
        name="loss",
        observed=columns.lost.astype(np.float64),
        laws=link_laws.per_exposure(columns, chains),
        below=nothing,
        # Any of the kernel's drops may be among a link's missing packets.
        above=nothing + kernel_drops,
        divisor=columns.packets.astype(np.float64),
        configured=link_laws.mean_rate(columns, chains),
        packets=columns.packets,
        known=known & (columns.packets > 0),
        why=why,
        scale=np.ones(len(columns.links)),
    )


def _bursts(columns: Columns, kernel_drops: int) -> PacketSum:
    """Return the mean number of losses in a row, of packet numbers.

    Judged is losses - mean burst x bursts, which is 0 in the long run whatever the loss rate.
    """
    chains = link_laws.chains(columns, LinkConfig.packet_chain, PacketChain.missing, quantity="burst")
    mean = _by_group(columns, [chain.mean_burst() for chain in chains])
    missing = (columns.offered - columns.distinct).astype(np.float64)
    last_came = (columns.top == columns.offered) & (columns.offered > 0)
    begins_missing = (columns.offered > 0) & (columns.first == 0)
    bursts = columns.distinct - last_came - columns.adjacent + begins_missing
    others = columns.partitioned + columns.others + columns.in_flight + kernel_drops
    known, why = _predictable(columns, "burst")
    rates = _by_group(columns, [chain.rate() for chain in chains])
    # Without losses there are no bursts; when all is lost there is one without an end.
    known &= (rates > 0.0) & np.isfinite(mean)
    mean = np.where(known, mean, 1.0)
    return PacketSum(
        name="burst",
        observed=missing - mean * bursts,
        laws=link_laws.by_steps(
            columns,
            columns.offered,
            link_laws.identities(chains),
            lambda group, packets: chains[group].burst_log_mgf(packets),
        ),
        below=others * (1.0 + mean),
        above=others * (1.0 + mean),
        divisor=bursts.astype(np.float64),
        configured=mean,
        packets=columns.packets,
        known=known,
        why=why,
        scale=np.ones(len(columns.links)),
        offset=True,
        hidden_by=_OTHER_DROPS,
    )


def _duplicates(columns: Columns, kernel_drops: int) -> PacketSum:
    """Return the share of packets that arrive twice."""
    chains = link_laws.chains(columns, LinkConfig.packet_chain, PacketChain.twice, quantity="duplicates")
    known, why = _predictable(columns, "duplicates", changing=True)
    return PacketSum(
        name="duplicates",
        observed=(columns.received - columns.distinct).astype(np.float64),
        laws=link_laws.per_exposure(columns, chains),
        below=(columns.others + columns.in_flight + kernel_drops).astype(np.float64),
        above=np.zeros(len(columns.links)),
        divisor=columns.packets.astype(np.float64),
        configured=link_laws.mean_rate(columns, chains),
        packets=columns.packets,
        known=known & (columns.packets > 0),
        why=why,
        scale=np.ones(len(columns.links)),
        hidden_by=_OTHER_DROPS,
    )


def _damages(columns: Columns) -> PacketSum:
    """Return the share of transmissions that were damaged, of those not lost, by the link's own count: receivers cannot tell."""
    ruined = columns.dropped[:, Cause.CORRUPT]
    met = columns.packets + columns.copies - columns.dropped[:, Cause.LOSS]
    queued = columns.dropped[:, Cause.LINK_QUEUE] + columns.dropped[:, Cause.LIMIT]
    return _chosen(columns, columns.corrupted + ruined, "corrupt", of=met, chain=LinkConfig.damage_chain, hidden=queued)


def _early(columns: Columns) -> PacketSum:
    """Return the share of transmissions that skipped delay and rate, by the link's own count; receivers see it in their delays."""
    stopped = columns.dropped[:, [Cause.LOSS, Cause.CORRUPT, Cause.LIMIT]].sum(axis=1)
    met = columns.packets + columns.copies - stopped
    return _chosen(columns, columns.early, "early", of=met, chain=LinkConfig.early_chain, hidden=np.zeros_like(met))


def _chosen(
    columns: Columns,
    counted: np.ndarray,
    name: str,
    *,
    of: np.ndarray,
    chain: Callable[[LinkConfig], LossChain],
    hidden: np.ndarray,
) -> PacketSum:
    """Return the share that a chain chose; of some that are left out others are less correlated, so that its law bounds them too."""
    chains = link_laws.chains(columns, chain, lambda one: one, quantity=name)
    rates = _by_group(columns, [chain.rate() for chain in chains])
    known, why = _predictable(columns, name)
    return PacketSum(
        name=name,
        observed=counted.astype(np.float64),
        laws=link_laws.by_steps(
            columns, of, link_laws.identities(chains), lambda group, packets: chains[group].log_mgf(packets)
        ),
        below=hidden.astype(np.float64),
        above=np.zeros(len(columns.links)),
        divisor=of.astype(np.float64),
        configured=rates,
        packets=of,
        # A link that neither should nor does is not worth a test.
        known=known & (of > 0) & ((rates > 0.0) | (counted > 0)),
        why=np.where(rates > 0.0, why, np.array(None, dtype=object)),
        scale=np.ones(len(columns.links)),
        hidden_by=_OTHER_DROPS,
    )


def _mean_delay(columns: Columns, host: HostTime) -> PacketSum:
    """Return the mean of the impairments' own delay."""
    laws, known, why = _laws(columns, "delay")
    mean_s, sd_s = _by_group(columns, [law.mean_s for law in laws]), _by_group(columns, [law.sd_s for law in laws])
    received = columns.received.astype(np.float64)
    # Those in flight at the end tend to be the slow ones, and those that met a full queue the fast ones: their absence may shift the
    # sum by that much.
    unseen = columns.unseen * _by_group(columns, [law.shape.furthest for law in laws])
    surplus_s = columns.delay_sum_ns / S - received * mean_s
    return PacketSum(
        name="delay",
        observed=surplus_s / np.where(sd_s > 0.0, sd_s, 1.0),
        laws=link_laws.by_steps(
            columns,
            columns.received,
            link_laws.shapes(laws),
            lambda group, packets: packets[:, None] * laws[group].sum_log_mgf(),
        ),
        below=unseen,
        above=unseen,
        divisor=received,
        configured=mean_s,
        packets=columns.received,
        known=known,
        why=why,
        scale=np.where(sd_s > 0.0, sd_s, 1.0),
        offset=True,
        slack=host.mean_s,
    )


def _jitter(columns: Columns, host: HostTime) -> PacketSum:
    """Return the root mean square deviation of the own delay from its configured mean."""
    laws, known, why = _laws(columns, "jitter")
    mean_s, sd_s = _by_group(columns, [law.mean_s for law in laws]), _by_group(columns, [law.sd_s for law in laws])
    scale = np.where(sd_s > 0.0, sd_s, 1.0)
    received = columns.received.astype(np.float64)
    mean_ns = mean_s * S
    squares_ns2 = columns.delay_squares_ns2 - 2.0 * mean_ns * columns.delay_sum_ns + received * mean_ns**2
    furthest = _by_group(columns, [law.shape.furthest**2 for law in laws])
    return PacketSum(
        name="jitter",
        observed=np.maximum(squares_ns2, 0.0) / (scale * S) ** 2,
        laws=link_laws.by_steps(
            columns,
            columns.received,
            link_laws.shapes(laws),
            lambda group, packets: packets[:, None] * laws[group].square_log_mgf(),
        ),
        below=columns.unseen * furthest,
        above=columns.unseen * 1.0,
        divisor=received,
        configured=sd_s,
        packets=columns.received,
        known=known,
        why=why,
        scale=scale,
        root=True,
        # Sums of squares are floats: a millionth of the delay itself is what they may be off by.
        slack=lambda packets: host.root_mean_square_s(packets) + 1e-6 * float(np.nanmax(mean_s, initial=0.0)),
    )


def _reordering(columns: Columns, host: HostTime) -> PacketSum:
    """Return the share of packets that arrive after a later one."""
    known, why = _predictable(columns, "reorder")
    kernel = LossChain.independent(KERNEL_SHARE if host.measured else 0.0)
    distinct = columns.distinct.astype(np.float64)
    return PacketSum(
        name="reorder",
        observed=columns.reordered.astype(np.float64),
        laws=link_laws.by_steps(
            columns, columns.distinct, [0] * len(columns.configs), lambda _, packets: kernel.log_mgf(packets)
        ),
        below=KERNEL_SHARE * distinct,
        above=np.zeros(len(columns.links)),
        divisor=distinct,
        configured=np.zeros(len(columns.links)),
        packets=columns.distinct,
        known=known & (columns.distinct > 0),
        why=why,
        scale=np.ones(len(columns.links)),
    )


def _predictable(columns: Columns, quantity: str, *, changing: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return which links' laws say something of a quantity, and why not the others'; `changing` if each packet's own law will do."""
    reasons = [*(reasons.get(quantity) for reasons in columns.unjudged), None if changing else _CHANGED]
    why = np.array(reasons, dtype=object)[columns.group]
    known = np.array([reason is None for reason in reasons], dtype=bool)
    unknown = ~known[columns.exposed_config] if changing else np.zeros(0, dtype=bool)
    for exposure in np.flatnonzero(unknown):
        why[columns.exposed_link[exposure]] = reasons[columns.exposed_config[exposure]]
    known = known[columns.group]
    known[columns.exposed_link[np.flatnonzero(unknown)]] = False
    return known, why


def _laws(columns: Columns, quantity: str) -> tuple[list[DelayLaw], np.ndarray, np.ndarray]:
    known, why = _predictable(columns, quantity)
    laws = [law or DelayLaw(0.0) for law in columns.laws]
    return laws, known & (columns.received > 0), why


def _by_group(columns: Columns, values: list[float]) -> np.ndarray:
    """Return each link's value; NaN for links without a group."""
    spread: np.ndarray = np.array([*values, np.nan])[columns.group]
    return spread
