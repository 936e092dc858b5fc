"""Pure: claims about servers of bounded rationality: how many came to serve file A, urn by urn, against the exact law.

An urn is a market of two files with servers of its own. All urns with the same α are independent samples of one process.

Source: huberman-wu, section 3.4, eq. (10) to (12); `scenarios/solvers/imitation.py` for the law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np

from netem.events import Event
from scenarios.claims import Claim, Record, compare, unjudged
from scenarios.solvers.imitation import Urn
from scenarios.solvers.urn_samples import mean_square_bounds
from tracker.events import BoardPosted

DEVIATIONS = 4.0
SURPRISE = 2 * NormalDist().cdf(-DEVIATIONS)  # the chance of a deviation that large, either way
FLOAT32 = 2.0**-22  # the odds travel as float32: of a share of two, a few roundings
LAW = "huberman-wu, eq. (11) and (12): scenarios/solvers/imitation.py"
HEARD_NAME = "odds that newcomers heard, against servers (gap)"
CHOICES_NAME = "choices of A against eq. (11), worst α (sd)"
BIAS_NAME = "bias of π over the arrivals, worst (standard errors)"


class ServerArrived(Event, frozen=True):
    """A newcomer declared what it serves: it had heard that a share `heard` of its urn's bandwidth was on file A."""

    urn: int
    number: int
    rational: bool
    heard: float
    chose_a: bool


class AllArrived(Event, frozen=True):
    """All newcomers have declared what they serve, and from this board on the odds show it."""

    board: int


@dataclass(frozen=True)
class Group:
    """The urns that share an α.

    Attributes:
        urn: the process that they are samples of.
        chose: whether each newcomer serves A, bool (urns, arrivals).
        heard: π as each newcomer heard it, float64 (urns, arrivals).
        last: π on the board that shows all arrivals, float64 (urns,).
    """

    urn: Urn
    chose: np.ndarray
    heard: np.ndarray
    last: np.ndarray

    @property
    def arrivals(self) -> int:
        """Return how many servers arrived in each urn."""
        return int(self.chose.shape[1])

    @cached_property
    def shares(self) -> np.ndarray:
        """Return π(0) to π(t) as the odds had it, float64 (urns, arrivals + 1)."""
        return np.column_stack([self.heard, self.last])

    @cached_property
    def counted(self) -> np.ndarray:
        """Return π(0) to π(t) as servers counted make it, float64 (urns, arrivals + 1)."""
        serving = self.urn.a + np.cumsum(self.chose, axis=1)
        first = np.full(len(self.chose), self.urn.a)
        return np.asarray(np.column_stack([first, serving]) / (self.urn.size + np.arange(self.arrivals + 1)))

    def choices(self) -> float:
        """Return how far the number of choices of A is from what eq. (11) gives for the odds heard, in standard deviations.

        Given what was before, each choice has probability θ = α p + (1 - α) π: the sum of its errors is a martingale.
        """
        chance = self.urn.alpha * self.urn.p + (1.0 - self.urn.alpha) * self.counted[:, :-1]
        spread = math.sqrt(float((chance * (1.0 - chance)).sum()))
        error = abs(float((self.chose - chance).sum()))
        return error / spread if spread else math.inf if error else 0.0

    def bias(self) -> float:
        """Return how far the mean of π(t) is from E π(t), in standard errors, at the arrival where it is farthest."""
        times = range(1, self.arrivals + 1)
        errors = [math.sqrt(self.urn.variance(t) / len(self.last)) for t in times]
        apart = np.abs(self.shares[:, 1:].mean(axis=0) - self.urn.mean(np.arange(1, self.arrivals + 1)))
        return max(
            gap / error if error else math.inf if gap > FLOAT32 else 0.0
            for gap, error in zip(apart.tolist(), errors, strict=True)
        )


def urn_claims(record: Record) -> list[Claim]:
    """Claim that π(t) has the mean and the spread of the exact law for each α, and why: odds, choices, bias on the way."""
    alphas: list[float] = record.params.shares_rational()
    names = [name for alpha in alphas for name in (_mean_name(record.params, alpha), _spread_name(alpha))]
    groups = groups_of(record)
    if groups is None:
        names = [HEARD_NAME, CHOICES_NAME, *names, BIAS_NAME]
        return [unjudged(name, "not all servers had arrived when the show was over", LAW) for name in names]
    bonferroni = SURPRISE / sum(group.arrivals for group in groups)
    return [
        compare(
            HEARD_NAME,
            predicted=0.0,
            measured=max(float(np.abs(group.shares - group.counted).max()) for group in groups),
            tolerance=FLOAT32,
            source="huberman-wu, eq. (11): π(t) is that of the servers there are, all with the same bandwidth",
            note="nobody has fetched anything yet, so every newcomer counts with the same allowance",
        ),
        compare(
            CHOICES_NAME,
            predicted=0.0,
            measured=max(group.choices() for group in groups),
            tolerance=-NormalDist().inv_cdf(SURPRISE / len(groups) / 2),
            source=LAW,
        ),
        *[claim for group in groups for claim in (_mean(record.params, group), _spread(group))],
        compare(
            BIAS_NAME,
            predicted=0.0,
            measured=max(group.bias() for group in groups),
            tolerance=-NormalDist().inv_cdf(bonferroni / 2),
            source=f"{LAW}; E π - p falls as N^-α",
            note="; ".join(_bias_note(group) for group in groups),
        ),
    ]


def groups_of(record: Record) -> list[Group] | None:
    """Return the urns by α, in the order of the parameters; None when not all servers have arrived."""
    params: Any = record.params
    alphas, urns = params.shares_rational(), params.urns()
    ends = [event.board for _, event in record.trace.of(AllArrived)]
    boards = {event.board: event.shares for _, event in record.trace.of(BoardPosted)}
    if not ends or ends[0] not in boards:
        return None
    chose = np.zeros((urns, params.arrivals), dtype=bool)
    heard = np.zeros((urns, params.arrivals))
    for _, event in record.trace.of(ServerArrived):
        chose[event.urn, event.number] = event.chose_a
        heard[event.urn, event.number] = event.heard
    pairs = np.reshape(boards[ends[0]], (urns, 2))
    last = pairs[:, 0] / pairs.sum(axis=1)
    groups = []
    for place, alpha in enumerate(alphas):
        mine = slice(place, None, len(alphas))  # urns take their α in turns
        urn = Urn(alpha=alpha, p=params.p, a=params.start_a, b=params.start_b)
        groups.append(Group(urn, chose[mine], heard[mine], last[mine]))
    return groups


def _mean_name(params: Any, alpha: float) -> str:
    return f"α = {alpha:g}: mean of π after {params.arrivals} arrivals"


def _spread_name(alpha: float) -> str:
    return f"α = {alpha:g}: spread of π between urns (rms)"


def _mean(params: Any, group: Group) -> Claim:
    urn, samples = group.urn, len(group.last)
    predicted = float(urn.mean(group.arrivals))
    return compare(
        _mean_name(params, urn.alpha),
        predicted=predicted,
        measured=float(group.last.mean()),
        tolerance=DEVIATIONS * math.sqrt(urn.variance(group.arrivals) / samples) + FLOAT32,
        source=LAW,
        note=f"{samples} urns; p = {urn.p:g}, π(0) = {urn.a / urn.size:.3g}: {abs(predicted - urn.p):.3f} from p, "
        f"{abs(predicted - urn.a / urn.size):.3f} from the start",
    )


def _spread(group: Group) -> Claim:
    """Compare the mean square distance from E π, by bounds that are as wide as this few urns make them."""
    urn, samples, size = group.urn, len(group.last), group.urn.size + group.arrivals
    mean = float(urn.mean(group.arrivals))
    low, high = mean_square_bounds(
        urn.laws([group.arrivals])[group.arrivals],
        centre=mean * size - urn.a,
        samples=samples,
        surprise=SURPRISE / 2,
    )
    predicted = math.sqrt(urn.variance(group.arrivals))
    measured = math.sqrt(float(((group.last - mean) ** 2).mean()))
    bound = (math.sqrt(high) if measured > predicted else math.sqrt(low)) / size
    return compare(
        _spread_name(urn.alpha),
        predicted=predicted,
        measured=measured,
        tolerance=abs(bound - predicted) + FLOAT32,
        source=f"{LAW}; {samples} urns: scenarios/solvers/urn_samples.py",
        note=f"allowed {math.sqrt(low) / size:.3f} to {math.sqrt(high) / size:.3f}"
        + ("; Pólya's urn: what chance made of the first arrivals stays" if urn.alpha == 0.0 else ""),
    )


def _bias_note(group: Group) -> str:
    urn = group.urn
    start, end = (abs(float(urn.mean(t)) - urn.p) for t in (0, group.arrivals))
    return f"α = {urn.alpha:g}: {start:.3f} to {end:.3f}, measured {abs(float(group.last.mean()) - urn.p):.3f}"
