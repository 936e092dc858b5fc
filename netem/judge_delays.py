"""Pure: all links' delays, jitter and order against the laws that their configurations predict; limits as in `judge_fates`.

Source: DESIGN section 3; netem-semantics 2.2 to 2.10 for the laws.
"""

from __future__ import annotations

import numpy as np

from netem import link_laws
from netem.clock import S
from netem.delay_law import DelayLaw
from netem.host_time import HostTime
from netem.link_count import Columns
from netem.loss_chain import LossChain
from netem.sums import PacketSum

KERNEL_SHARE = 1e-4
"""The share of packets that the kernel may drop, or hand over out of order, in a valid run."""


def delay_sums(columns: Columns, *, host: HostTime) -> list[PacketSum]:
    """Return how long packets took, and whether they kept their order, as far as the host's own time does not hide it."""
    return [_mean_delay(columns, host), _jitter(columns, host), _reordering(columns, host)]


def _mean_delay(columns: Columns, host: HostTime) -> PacketSum:
    """Return the mean of the impairments' own delay."""
    laws, known, why = _laws(columns, "delay")
    mean_s, sd_s = (
        link_laws.by_group(columns, [law.mean_s for law in laws]),
        link_laws.by_group(columns, [law.sd_s for law in laws]),
    )
    received = columns.received.astype(np.float64)
    # Those in flight at the end tend to be the slow ones, and those that met a full queue the fast ones: their absence may shift the
    # sum by that much.
    unseen = columns.unseen * link_laws.by_group(columns, [law.shape.furthest for law in laws])
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
    mean_s, sd_s = (
        link_laws.by_group(columns, [law.mean_s for law in laws]),
        link_laws.by_group(columns, [law.sd_s for law in laws]),
    )
    scale = np.where(sd_s > 0.0, sd_s, 1.0)
    received = columns.received.astype(np.float64)
    mean_ns = mean_s * S
    squares_ns2 = columns.delay_squares_ns2 - 2.0 * mean_ns * columns.delay_sum_ns + received * mean_ns**2
    furthest = link_laws.by_group(columns, [law.shape.furthest**2 for law in laws])
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
    known, why = link_laws.predictable(columns, "reorder")
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


def _laws(columns: Columns, quantity: str) -> tuple[list[DelayLaw], np.ndarray, np.ndarray]:
    known, why = link_laws.predictable(columns, quantity)
    laws = [law or DelayLaw(0.0) for law in columns.laws]
    return laws, known & (columns.received > 0), why
