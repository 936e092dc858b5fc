"""Pure: claims about odds that follow a shift of popularity, in markets that hear of the odds differently.

Source: huberman-wu, section 3.3; `scenarios/market/tracking_model.py` for the way and the time it takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from netem.clock import S
from netem.events import Event
from node.policies.proportional_response import SHARE_FLOOR
from scenarios.claims import Claim, Record, assumed, compare, unjudged
from scenarios.market.events import CrowdLeft
from scenarios.market.odds_claims import LAST_BOARDS
from scenarios.market.theory import distance_bound, odds_noise, total_variation
from scenarios.market.tracking_model import MARKETS, answered, not_assumed, predicted
from scenarios.solvers.relaxation import Relaxation, crossing
from tracker.events import BoardPosted

DEVIATIONS = 4.0
BACK = "huberman-wu, section 3.3 (uniform p/π); noise: scenarios/market/theory.py"
TIME = "huberman-wu, section 3.3 (relaxation time), by damped proportional response: scenarios/solvers/relaxation.py"
STILL = "huberman-wu, section 3.3: servers adjust by the π that is broadcast, and by nothing else"


class PopularityShifted(Event, frozen=True):
    """From now on the crowd asks by these shares, by catalogue index."""

    shares: list[float]


def tracking_claims(record: Record) -> list[Claim]:
    """Claim that odds were at p, come back to it in the time predicted where boards are heard, and stay where none are."""
    names = {
        "calm": "odds before the shift, worst market (TV)",
        "back": "odds after the shift, fresh boards (TV)",
        "spread": "spread of p/π, fresh boards (rms of ln p/π)",
        "fresh": f"odds back within {record.params.near:g}, fresh boards (s)",
        "lossy": f"odds back within {record.params.near:g}, {record.params.odds_loss:.0%} of boards lost (s)",
        "deaf": "odds after the shift, no boards (TV)",
    }
    sources = {"fresh": TIME, "lossy": TIME, "deaf": STILL}
    show = _Show(record)
    if why := not_assumed(record.params, files=len(record.facts["old"])):
        return [assumed(name, why, sources.get(key, BACK)) for key, name in names.items()]
    if why := show.lacks():
        return [unjudged(name, why, sources.get(key, BACK)) for key, name in names.items()]
    return [
        show.calm(names["calm"]),
        show.back(names["back"]),
        show.spread(names["spread"]),
        show.time(names["fresh"], "fresh"),
        show.time(names["lossy"], "lossy"),
        show.still(names["deaf"]),
    ]


@dataclass(frozen=True)
class _Show:
    """What a run shows of its three markets; see `lacks` before anything else."""

    record: Record

    @property
    def _params(self) -> Any:
        return self.record.params

    @property
    def _old(self) -> np.ndarray:
        return np.asarray(self.record.facts["old"])

    @property
    def _new(self) -> np.ndarray:
        return np.asarray(self.record.facts["new"])

    @cached_property
    def _shift_ns(self) -> int:
        return next((now_ns for now_ns, _ in self.record.trace.of(PopularityShifted)), 2**63)

    @cached_property
    def _boards(self) -> list[tuple[int, np.ndarray]]:
        """Return when each board was posted while the crowd was there, and its odds within each market, (markets, files)."""
        ended_ns = next((now_ns for now_ns, _ in self.record.trace.of(CrowdLeft)), 2**63)
        shape = len(MARKETS), len(self._old)
        whole = [
            (now_ns, np.reshape(board.shares, shape))
            for now_ns, board in self.record.trace.of(BoardPosted)
            if len(board.shares) == shape[0] * shape[1] and now_ns <= ended_ns
        ]
        return [(now_ns, odds / odds.sum(axis=1, keepdims=True)) for now_ns, odds in whole]

    @cached_property
    def _after(self) -> list[tuple[int, np.ndarray]]:
        """Return the boards that servers answer with their new beliefs: the first may be under way when these come."""
        under_way_ns = round(self._params.link().mean_delay_s() * S)
        return [(now_ns, odds) for now_ns, odds in self._boards if now_ns > self._shift_ns - under_way_ns]

    @cached_property
    def _error(self) -> float:
        """Return the relative error of servers' proven rates: equal servers would all have the same."""
        proven = np.array(self.record.facts["proven_bytes_per_s"])
        return float(np.sqrt(np.mean(proven.var(axis=1) / proven.mean(axis=1) ** 2)))

    @cached_property
    def _noise(self) -> np.ndarray:
        """Bound the standard deviation of each π_j in one market, float64 (files,)."""
        bounds = [
            odds_noise(p, servers=self._params.market_servers(), relative_error=self._error)
            for p in (self._old, self._new)
        ]
        return np.asarray(np.max(bounds, axis=0))

    @property
    def _tolerance(self) -> float:
        # A split keeps SHARE_FLOOR, shared by its files, so that a bid can return: that much is out of place at most.
        return distance_bound(self._noise) + SHARE_FLOOR

    def _predicted(self, market: str) -> Relaxation:
        boards = max(len(self._after), LAST_BOARDS)
        return predicted(self._params, market, old=self._old, new=self._new, boards=boards)

    def lacks(self) -> str:
        """Say what a judgement needs and the run has not; "" for nothing."""
        if len(self._after) < 2 * LAST_BOARDS:
            return f"fewer than {2 * LAST_BOARDS} boards after the shift"
        if self._tolerance >= total_variation(self._old, self._new):
            return f"noise up to {self._tolerance:.2f} would hide the shift"
        return ""

    def calm(self, name: str) -> Claim:
        """Claim that every market's odds were at the old shares on the last board before the shift."""
        last = self._boards[-len(self._after) - 1][1]
        worst = max(total_variation(odds, self._old) for odds in last)
        return compare(name, predicted=0.0, measured=worst, tolerance=self._tolerance, source=BACK)

    def _last(self, market: str) -> np.ndarray:
        last = [odds[MARKETS.index(market)] for _, odds in self._after[-LAST_BOARDS:]]
        return np.asarray(np.mean(last, axis=0))

    def back(self, name: str) -> Claim:
        """Claim that the last boards of the fresh market have the new shares, up to the noise of proven rates."""
        return compare(
            name,
            predicted=total_variation(self._predicted("fresh").odds[-LAST_BOARDS:].mean(axis=0), self._new),
            measured=total_variation(self._last("fresh"), self._new),
            tolerance=self._tolerance,
            source=BACK,
            note=f"mean of the last {LAST_BOARDS} boards; it was {total_variation(self._old, self._new):.3f} at the shift",
        )

    def spread(self, name: str) -> Claim:
        """Claim that p/π is the same for all files: ln p/π is 0 on average over requests, up to the noise.

        Its mean square is Σ p_j (e_j/p_j)² for errors e_j, in `odds_noise` a chi-square variable of n - 1 degrees in units of c²/m.
        """
        p, files = self._new, len(self._new)
        unit = self._error / math.sqrt(self._params.market_servers())
        floor = SHARE_FLOOR / files * math.sqrt(float((1 / p).sum()))
        return compare(
            name,
            predicted=_uneven(self._predicted("fresh").odds[-LAST_BOARDS:].mean(axis=0), p),
            measured=_uneven(self._last("fresh"), p),
            tolerance=unit * (math.sqrt(files - 1) + DEVIATIONS) + floor,
            source=BACK,
            note=f"0 is a uniform p/π; it was {_uneven(self._old, p):.2f} at the shift",
        )

    def time(self, name: str, market: str) -> Claim:
        """Claim how long after the shift the odds come near the new shares, given when the first board after it came."""
        params, path = self._params, self._predicted(market)
        near, board_s = params.near, params.board_interval_s
        first_s = (self._after[0][0] - self._shift_ns) / S
        boards = crossing(path.distances(), near=near)
        if boards is None:
            return unjudged(name, f"the odds are predicted to take more than {len(self._after)} boards", TIME)
        distances = np.array([total_variation(odds[MARKETS.index(market)], self._new) for _, odds in self._after])
        measured = crossing(distances, near=near)
        errors = path.errors(servers=params.market_servers(), rate_error=self._error)
        before = math.ceil(boards) - 1
        slope = near * math.log(path.distances()[before] / path.distances()[before + 1])  # a board
        error = float(np.interp(boards, np.arange(len(errors)), errors)) + SHARE_FLOOR / DEVIATIONS
        return compare(
            name,
            predicted=first_s + boards * board_s,
            measured=None if measured is None else first_s + measured * board_s,
            tolerance=DEVIATIONS * error / slope * board_s,
            source=TIME,
            note=f"{answered(params, market):.0%} of boards are answered; tolerance: which server hears which, and when",
        )

    def still(self, name: str) -> Claim:
        """Claim that the deaf market's odds stay as far from the new shares as the old ones are."""
        return compare(
            name,
            predicted=total_variation(self._old, self._new),
            measured=total_variation(self._last("deaf"), self._new),
            tolerance=self._tolerance,
            source=STILL,
            note=f"mean of the last {LAST_BOARDS} boards",
        )


def _uneven(odds: np.ndarray, p: np.ndarray) -> float:
    """Return the root mean square of ln p/π, over requests."""
    return float(np.sqrt(p @ np.log(odds / p) ** 2))
