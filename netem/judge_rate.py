"""Pure: the rate at which a link's line delivered while it was saturated, by the receiver's clock and bytes.

Source: DESIGN section 3; tc-netem's rate.
"""

from __future__ import annotations

import numpy as np

from netem.clock import S
from netem.fates import Cause
from netem.host_time import HostTime
from netem.link_count import Columns, LinkCount
from netem.link_laws import CHANGED
from netem.verdicts import Verdicts

_LEAST_PACKETS = 30
_BEFORE = [Cause.LINK_QUEUE, Cause.LIMIT, Cause.CORRUPT]  # dropped before the line
_BUSY = 0.5
_DROPPED = "packets that had passed the link's line were dropped later"
_IDLE = "the link was not saturated"
_HELD = "arrivals were held back"
_SHAPED = "the receiver's access link shapes arrivals"


def judge_rate(columns: Columns, *, host: HostTime) -> Verdicts:
    """Judge the rate of every link that has one, in bytes/s.

    Bytes, as the rate counts them, after the first arrival, over the time from the first to the last arrival less what the line stood idle in between.
    Only the host's lateness at these two moments can falsify that, so there is no chance in it.
    """
    rows = len(columns.links)
    realised, configured, low, high = (np.full(rows, np.nan) for _ in range(4))
    why = np.full(rows, None, dtype=object)
    edge_s = 2.0 * float(host.mean_s(np.ones(1))[0])
    rates = np.array([config.rate_bytes_per_s for config in columns.configs])
    rated = columns.exposed_link[np.isfinite(rates[columns.exposed_config])]
    for row in np.unique(rated).tolist():
        if columns.group[row] < 0:
            why[row] = CHANGED
            continue
        configured[row] = rate = rates[columns.group[row]]
        count = columns.links[row]
        busy_s = _busy_s(count)
        dropped = int(columns.later[row] - columns.dropped[row, _BEFORE].sum())
        why[row] = columns.unjudged[columns.group[row]].get("rate") or _reason(count, dropped, busy_s)
        if why[row] is None:
            realised[row] = count.bytes_after_first / busy_s
            low[row], high[row] = rate * (1.0 - edge_s / busy_s), rate * (1.0 + edge_s / busy_s)
    judged = ~np.isnan(realised)
    return Verdicts(
        name="rate",
        realised=realised,
        configured=configured,
        low=low,
        high=high,
        error=np.where(judged, 0.0, np.nan),
        judged=judged,
        why=why,
    )


def _busy_s(count: LinkCount) -> float:
    """Return how long the line worked between the first arrival and the last; what came after that has not been received."""
    idle_ns = count.rests.earlier_ns + sum(idle_ns for number, idle_ns in count.rests.late if number < count.top)
    return (count.span_ns - idle_ns) / S


def _reason(count: LinkCount, dropped: int, busy_s: float) -> str | None:
    if dropped:
        return _DROPPED
    if count.held_back:
        return _HELD
    if count.received < _LEAST_PACKETS or busy_s < _BUSY * count.span_ns / S:
        return _IDLE
    return None if count.bytes_after_first else _SHAPED
