"""Pure: loss and mean delay over all links of a network, whatever their configurations.

Source: DESIGN section 3; Chernoff's bound.
"""

from __future__ import annotations

import numpy as np

from netem import tails
from netem.host_time import HostTime
from netem.link_count import Columns
from netem.sums import PacketSum
from netem.tails import SLOPES
from netem.verdicts import Quantity


def loss_of_all(losses: PacketSum, *, level: float) -> Quantity:
    """Return the loss of all links together."""
    known = losses.known
    packets = int(losses.packets[known].sum())
    if not packets:
        return Quantity(0)
    log_mgf = losses.laws.total(known)
    total = float(tails.expected(log_mgf))
    low, high = tails.accepted(log_mgf, level=level)
    # The kernel's drops are the same few packets, whichever link missed them.
    tolerance = float(max(high + losses.above.max() - total, total - low))
    return Quantity(
        packets, float(losses.observed[known].sum()) / packets, total / packets, tolerance=tolerance / packets
    )


def delay_of_all(delays: PacketSum, columns: Columns, *, level: float, host: HostTime) -> Quantity:
    """Return the mean delay of all packets whose delay has a known law."""
    known = delays.known
    received = delays.packets[known]
    total = int(received.sum())
    if not total:
        return Quantity(0)
    scale = delays.scale[known]
    # Links' slopes are in their own deviations. A chord of a convex function is above it, so that between two slopes it bounds.
    unit = float(np.sqrt(received @ scale**2 / total)) or 1.0
    log_mgf = np.zeros(len(SLOPES))
    slopes = np.insert(SLOPES, len(SLOPES) // 2, 0.0)
    for group in np.unique(columns.group[known]):
        members = np.flatnonzero(known & (columns.group == group))
        rows = delays.laws.total(members)
        at = SLOPES * delays.scale[members[0]] / unit
        log_mgf += np.interp(at, slopes, np.insert(rows, len(SLOPES) // 2, 0.0), left=np.inf, right=np.inf)
    low, high = tails.accepted(log_mgf, level=level)
    configured = float(delays.configured[known] @ received) / total
    unseen = float(delays.above[known] @ scale) / total
    tolerance = float(max(high, -low)) * unit / total + unseen + float(host.mean_s(np.array([float(total)]))[0])
    realised = configured + float(delays.observed[known] @ scale) / total
    return Quantity(total, realised, configured, tolerance=tolerance)
