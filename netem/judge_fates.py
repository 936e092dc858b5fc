"""Pure: all links' losses, bursts, copies and damage against the laws that their configurations predict.

Limits are Chernoff bounds under the links' own laws, so they hold for few packets, bursty losses and long tails too. Every row is
judged: each link, and all links of a configuration together, where what is too small to show on one link does.

Source: DESIGN section 3; netem-semantics 2.2 to 2.10 for the laws.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from netem import link_laws
from netem.fates import Cause
from netem.link_config import LinkConfig
from netem.link_count import Columns
from netem.loss_chain import LossChain
from netem.packet_chain import PacketChain
from netem.sums import PacketSum

_OTHER_DROPS = "packets dropped for other causes, or still on their way, hide it"


def fate_sums(columns: Columns, *, kernel_drops: int) -> list[PacketSum]:
    """Return what befell packets, the losses first; a kernel drop is known by number, not by link."""
    return [
        _losses(columns, kernel_drops),
        _bursts(columns, kernel_drops),
        _duplicates(columns, kernel_drops),
        _damages(columns),
        _early(columns),
    ]


def _losses(columns: Columns, kernel_drops: int) -> PacketSum:
    """Return transmissions (packets and copies) lost per packet."""
    chains = link_laws.chains(columns, LinkConfig.transmission_chain, PacketChain.lost, quantity="loss")
    nothing = np.zeros(len(columns.links))
    known, why = link_laws.predictable(columns, "loss", changing=True)
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
    mean = link_laws.by_group(columns, [chain.mean_burst() for chain in chains])
    missing = (columns.offered - columns.distinct).astype(np.float64)
    last_came = (columns.top == columns.offered) & (columns.offered > 0)
    begins_missing = (columns.offered > 0) & (columns.first == 0)
    bursts = columns.distinct - last_came - columns.adjacent + begins_missing
    others = columns.partitioned + columns.others + columns.in_flight + kernel_drops
    known, why = link_laws.predictable(columns, "burst")
    rates = link_laws.by_group(columns, [chain.rate() for chain in chains])
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
    known, why = link_laws.predictable(columns, "duplicates", changing=True)
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
    rates = link_laws.by_group(columns, [chain.rate() for chain in chains])
    known, why = link_laws.predictable(columns, name)
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
