"""Pure: what a Markov chain of losses predicts: rate, variance of a measured rate, and tail bounds of counts.

Source: tc-netem's loss models; Chernoff's bound, which holds for every number of packets and every state of the chain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Slopes at which tail bounds are tried: any slope gives a valid bound, so a coarse grid costs power, not validity.
_STEEP = np.geomspace(3e-4, 30.0, 40)
SLOPES: np.ndarray = np.concatenate((-_STEEP[::-1], _STEEP))


@dataclass(frozen=True, eq=False)
class LossChain:
    """A chain that loses a packet with probability `loss[state]` and then steps; it starts in state 0 unless `initial` is given.

    Args:
        transition: float64 (states, states), rows sum to 1.
        loss: float64 (states,), probabilities.
        stationary: float64 (states,), the long-run share of time in each state.
        initial: float64 (states,), the law of the first state.
    """

    transition: np.ndarray
    loss: np.ndarray
    stationary: np.ndarray
    initial: np.ndarray | None = None

    @classmethod
    def independent(cls, probability: float) -> LossChain:
        """Return the chain of one state: independent loss."""
        return cls(np.ones((1, 1)), np.array([probability]), np.ones(1))

    def beside(self, other: LossChain) -> LossChain:
        """Return the chain of packets that either of two independent chains loses."""
        return LossChain(
            transition=np.kron(self.transition, other.transition),
            loss=1.0 - np.kron(1.0 - self.loss, 1.0 - other.loss),
            stationary=np.kron(self.stationary, other.stationary),
            initial=np.kron(self.first(), other.first()),
        )

    def first(self) -> np.ndarray:
        """Return the law of the first state."""
        return np.eye(1, len(self.loss))[0] if self.initial is None else self.initial

    def with_copies(self, copy_rate: float) -> LossChain:
        """Return the chain of transmissions lost per packet when copies are made as `Duplicate` does.

        A loss without a copy is one; a copy of a packet that was not lost may be one; both at once cancel.
        """
        loss = self.loss * (1.0 - copy_rate) + copy_rate * (1.0 - self.loss) * self.loss
        return LossChain(self.transition, loss, self.stationary, self.initial)

    def rate(self) -> float:
        """Return the long-run share of packets lost."""
        return float(self.stationary @ self.loss)

    def pair_rate(self) -> float:
        """Return how often a packet and the next are both lost, in the long run."""
        return float((self.stationary * self.loss) @ self.transition @ self.loss)

    def mean_burst(self) -> float:
        """Return the mean number of packets lost in a row; 0 without loss, infinity without an end."""
        rate = self.rate()
        ends = rate - self.pair_rate()
        if rate == 0.0:
            return 0.0
        return rate / ends if ends > 0.0 else np.inf

    def variance(self, packets: int) -> float:
        """Return the variance of the loss rate over `packets` packets (for many): correlation widens it."""
        rate = self.rate()
        surplus = self.loss - rate
        # Sum of T^j surplus over j >= 0, by the fundamental matrix; lag 0 is the Bernoulli variance itself.
        fundamental = np.eye(len(self.loss)) - self.transition + self.stationary
        later = np.linalg.solve(fundamental, surplus) - surplus
        return float(rate * (1.0 - rate) + 2.0 * (self.stationary * self.loss) @ later) / packets

    def log_mgf(self, packets: np.ndarray) -> np.ndarray:
        """Return log E exp(slope x losses) from state 0 on, of shape (len(packets), len(SLOPES)).

        Args:
            packets: int64, numbers of packets >= 0.
        """
        # Powers of the tilted transition matrix by repeated squaring, in logarithms: states may differ beyond any range.
        tilt = (1.0 - self.loss) + self.loss * np.exp(SLOPES)[:, None]
        with np.errstate(divide="ignore"):  # log 0 is -inf, as it should be
            power = np.log(tilt[:, :, None] * self.transition)
            state = np.tile(np.log(self.first()), (len(packets), len(SLOPES), 1))
        bits = packets.copy()
        while bits.any():
            odd = bits % 2 == 1
            state[odd] = np.logaddexp.reduce(state[odd][:, :, :, None] + power, axis=2)
            power = np.logaddexp.reduce(power[:, :, :, None] + power[:, None, :, :], axis=2)
            bits //= 2
        log_mgf: np.ndarray = np.logaddexp.reduce(state, axis=2)
        return log_mgf


def expected(log_mgf: np.ndarray) -> np.ndarray:
    """Return the expected count, the slope of `log_mgf` (..., len(SLOPES)) at 0."""
    middle = len(SLOPES) // 2
    near, far = SLOPES[middle], SLOPES[middle + 1]
    rise_near = (log_mgf[..., middle] - log_mgf[..., middle - 1]) / (2.0 * near)
    rise_far = (log_mgf[..., middle + 1] - log_mgf[..., middle - 2]) / (2.0 * far)
    # Central differences err by the square of the step; two of them cancel that.
    slope: np.ndarray = (rise_near * far**2 - rise_far * near**2) / (far**2 - near**2)
    return slope


def accepted(log_mgf: np.ndarray, *, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest count that are not beyond a two-sided test at `level`.

    Chernoff: P(count >= x) <= exp(log_mgf(s) - s x) for every slope s > 0, and likewise below; so each tail outside
    the returned range has probability at most level / 2.
    """
    limits = (log_mgf + np.log(2.0 / level)) / SLOPES
    middle = len(SLOPES) // 2
    return np.max(limits[..., :middle], axis=-1), np.min(limits[..., middle:], axis=-1)
