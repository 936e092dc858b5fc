"""Pure: a quantity as a sum over packets with a known law: its limits for each link and for all links of a configuration.

Source: DESIGN section 3; Chernoff's bound (see `tails`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from netem import tails
from netem.verdicts import Verdicts

_HIDDEN = 2.0

Slack = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Laws:
    """The laws of many rows' sums, most of which are equal: links often carry equally many packets.

    `log_mgf` are the distinct bounds on log E exp(slope x sum), float64 (laws, slopes); `of` (int64) is each row's index in it.
    """

    log_mgf: np.ndarray
    of: np.ndarray

    def grouped(self, rows: np.ndarray, groups: np.ndarray, count: int) -> Laws:
        """Return the laws of the sums over groups: `groups` has the group of each of `rows`."""
        total = np.zeros((count, self.log_mgf.shape[1]))
        pairs, times = np.unique(groups * len(self.log_mgf) + self.of[rows], return_counts=True)
        if len(pairs):
            owner, law = np.divmod(pairs, len(self.log_mgf))
            starts = np.flatnonzero(np.diff(owner, prepend=-1))
            total[owner[starts]] = np.add.reduceat(self.log_mgf[law] * times[:, None], starts, axis=0)
        return Laws(total, np.arange(count))

    def total(self, rows: np.ndarray) -> np.ndarray:
        """Return the law of the sum of some rows, one element a slope."""
        total: np.ndarray = np.bincount(self.of[rows], minlength=len(self.log_mgf)) @ self.log_mgf
        return total


@dataclass(frozen=True, eq=False)
class PacketSum:
    """A sum observed on many rows (links), and the law it should have.

    Shown values are never negative.

    Args:
        name: of the quantity.
        observed: float64 (rows,).
        laws: of the sum.
        below: how much smaller than under its law the sum may be because of packets whose fate is not known; likewise
            `above`. Where they hide more than the law itself leaves open, the row is not judged.
        divisor: what the sum is divided by to be shown, float64 (rows,).
        configured: the value to compare with; float64 (rows,).
        scale: the shown value is configured x [offset] + scale x sum / divisor; with `root`, scale x sqrt(sum / divisor).
        packets: how many packets each row has; with `slack`, the host may have changed the shown value by slack(packets).
        why: for rows that cannot be judged the reason, or None when they do not have the quantity; see `known`.
        known: bool (rows,), which rows can be judged.
    """

    name: str
    observed: np.ndarray
    laws: Laws
    below: np.ndarray
    above: np.ndarray
    divisor: np.ndarray
    configured: np.ndarray
    packets: np.ndarray
    known: np.ndarray
    why: np.ndarray
    scale: np.ndarray
    offset: bool = False
    root: bool = False
    slack: Slack | None = None
    hidden_by: str | None = field(default=None)

    def grouped(self, groups: np.ndarray, count: int) -> PacketSum:
        """Return the sums over groups of rows; `groups` (int64) has a row's group, -1 for none.

        Rows of a group have the same law. A group can be judged when all its rows can be.
        """
        inside = (groups >= 0) & self.known
        members = np.flatnonzero(inside)
        to = groups[members]
        first = np.full(count, -1)
        first[to[::-1]] = members[::-1]
        some = first >= 0

        def added(column: np.ndarray) -> np.ndarray:
            return np.bincount(to, weights=column[members], minlength=count)

        why = np.full(count, None, dtype=object)
        for row in np.flatnonzero((groups >= 0) & ~self.known):
            why[groups[row]] = why[groups[row]] or self.why[row]
        return PacketSum(
            name=self.name,
            observed=added(self.observed),
            laws=self.laws.grouped(members, to, count),
            below=added(self.below),
            above=added(self.above),
            divisor=added(self.divisor),
            configured=np.where(some, self.configured[first], np.nan),
            packets=added(self.packets),
            known=some,
            why=why,
            scale=np.where(some, self.scale[first], np.nan),
            offset=self.offset,
            root=self.root,
            slack=self.slack,
            hidden_by=self.hidden_by,
        )

    def judge(self, level: float) -> Verdicts:
        """Judge every row that can be, each two-sided at `level`."""
        low, high = (limit[self.laws.of] for limit in tails.accepted(self.laws.log_mgf, level=level))
        judged, why = self.known, self.why
        if self.hidden_by is not None:
            hidden = judged & (self.below + self.above > _HIDDEN * (high - low))
            judged = judged & ~hidden
            why = np.where(hidden, np.array(self.hidden_by, dtype=object), why)
        with np.errstate(divide="ignore", invalid="ignore"):
            slack = self.slack(self.packets) if self.slack else 0.0
            realised = self._shown(self.observed)
            judged &= ~np.isnan(realised)
            return Verdicts(
                name=self.name,
                realised=realised,
                configured=self.configured,
                low=np.maximum(self._shown(low - self.below) - slack, 0.0),
                high=self._shown(high + self.above) + slack,
                error=self._error(),
                judged=judged,
                why=why,
            )

    def _shown(self, sums: np.ndarray) -> np.ndarray:
        share = sums / self.divisor
        root = np.sqrt(np.maximum(share, 0.0)) if self.root else share
        shown: np.ndarray = self.configured * self.offset + self.scale * root
        return shown

    def _error(self) -> np.ndarray:
        error: np.ndarray = self.scale * tails.spread(self.laws.log_mgf)[self.laws.of] / self.divisor
        return error / 2.0 if self.root else error
