"""Pure: what a Markov chain of losses predicts: rate, variance of a measured rate, bursts, copies, and sums to bound.

Source: tc-netem's loss models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from netem.tails import MarkovSum

_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class LossChain:
    """A chain that starts in state 0, loses a packet with probability `loss[state]`, and then steps.

    Args:
        transition: float64 (states, states), rows sum to 1.
        loss: float64 (states,), probabilities.
        stationary: float64 (states,), the long-run share of time in each state.
    """

    transition: np.ndarray
    loss: np.ndarray
    stationary: np.ndarray

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
        )

    def with_copies(self, copy_rate: float) -> LossChain:
        """Return the chain of transmissions lost per packet when copies are made as `Duplicate` does.

        A loss without a copy is one; a copy of a packet that was not lost may be one; both at once cancel.
        """
        loss = self.loss * (1.0 - copy_rate) + copy_rate * (1.0 - self.loss) * self.loss
        return LossChain(self.transition, loss, self.stationary)

    def rate(self) -> float:
        """Return the long-run share of packets lost."""
        return float(self.stationary @ self.loss)

    def variance(self, packets: int) -> float:
        """Return the variance of the loss rate over `packets` packets (for many): correlation widens it."""
        rate = self.rate()
        surplus = self.loss - rate
        # Sum of T^j surplus over j >= 0, by the fundamental matrix; lag 0 is the Bernoulli variance itself.
        fundamental = np.eye(len(self.loss)) - self.transition + self.stationary
        later = np.linalg.solve(fundamental, surplus) - surplus
        return float(rate * (1.0 - rate) + 2.0 * (self.stationary * self.loss) @ later) / packets

    def log_mgf(self, packets: np.ndarray) -> np.ndarray:
        """Return log E exp(slope x losses) from state 0 on, see `MarkovSum.log_mgf`."""
        risk = self.loss[:, None]
        return MarkovSum([(0.0, (1.0 - risk) * self.transition), (1.0, risk * self.transition)]).log_mgf(packets)

    def never_arriving(self, copy_rate: float) -> LossChain:
        """Return the chain of packets of which nothing arrives: a loss and a copy at once cancel."""
        return LossChain(self.transition, self.loss * (1.0 - copy_rate), self.stationary)

    def arriving_twice(self, copy_rate: float) -> LossChain:
        """Return the chain of packets that arrive twice: copied, and neither the packet nor its copy lost."""
        return LossChain(self.transition, copy_rate * (1.0 - self.loss) ** 2, self.stationary)

    def mean_burst(self) -> float:
        """Return the mean number of losses in a row: 1 when nothing is lost, infinity when everything is."""
        in_a_row = float((self.stationary * self.loss) @ self.transition @ self.loss)
        rate = self.rate()
        if not rate:
            return 1.0
        return rate / (rate - in_a_row) if rate - in_a_row > _ROUNDING * rate else math.inf

    def burst_log_mgf(self, packets: np.ndarray) -> np.ndarray:
        """Return log E exp(slope x (losses - mean_burst x bursts)), see `MarkovSum.log_mgf`.

        A burst is losses in a row; the first packet may begin one. The difference is 0 in the long run.
        """
        states = len(self.loss)
        lost, kept = self.loss[:, None] * self.transition, (1.0 - self.loss)[:, None] * self.transition
        # States twice: after an arrival (first half), after a loss.
        first, again, arrived = (np.zeros((2 * states, 2 * states)) for _ in range(3))
        first[:states, states:] = lost
        again[states:, states:] = lost
        arrived[:states, :states] = arrived[states:, :states] = kept
        return MarkovSum([(0.0, arrived), (1.0, again), (1.0 - self.mean_burst(), first)]).log_mgf(packets)
