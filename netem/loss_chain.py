"""Pure: what a Markov chain of losses predicts: rate, variance of a measured rate, bursts, and sums to bound.

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
    """A chain that loses a packet with probability `loss[state]` and then steps; it starts in state 0 unless `initial` is given.

    It may stand for anything that befalls some packets: copies, damage, haste.

    Args:
        transition: float64 (states, states), rows sum to 1.
        loss: float64 (states,), probabilities.
        stationary: float64 (states,), the long-run share of time in each state.
        initial: float64 (states,), the law of the first state.
        copies: float64 (states,), with what probability a packet's copy is lost in its state, on its own; None if with the packet's.
    """

    transition: np.ndarray
    loss: np.ndarray
    stationary: np.ndarray
    initial: np.ndarray | None = None
    copies: np.ndarray | None = None

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
            copies=1.0 - np.kron(1.0 - self.copy_loss(), 1.0 - other.copy_loss()),
        )

    def first(self) -> np.ndarray:
        """Return the law of the first state."""
        return np.eye(1, len(self.loss))[0] if self.initial is None else self.initial

    def copy_loss(self) -> np.ndarray:
        """Return with what probability a packet's copy is lost in each state."""
        return self.loss if self.copies is None else self.copies

    def rate(self) -> float:
        """Return the long-run share of packets lost."""
        return float(self.stationary @ self.loss)

    def pair_rate(self) -> float:
        """Return how often a packet and the next are both lost, in the long run."""
        return float((self.stationary * self.loss) @ self.transition @ self.loss)

    def variance(self, packets: int) -> float:
        """Return the variance of the loss rate over `packets` packets (for many): correlation widens it."""
        rate = self.rate()
        surplus = self.loss - rate
        # Sum of T^j surplus over j >= 0, by the fundamental matrix; lag 0 is the Bernoulli variance itself.
        fundamental = np.eye(len(self.loss)) - self.transition + self.stationary
        later = np.linalg.solve(fundamental, surplus) - surplus
        return float(rate * (1.0 - rate) + 2.0 * (self.stationary * self.loss) @ later) / packets

    def log_mgf(self, packets: np.ndarray) -> np.ndarray:
        """Return log E exp(slope x losses), see `MarkovSum.log_mgf`."""
        risk = self.loss[:, None]
        moves = [(0.0, (1.0 - risk) * self.transition), (1.0, risk * self.transition)]
        return MarkovSum(moves, initial=self.first()).log_mgf(packets)

    def mean_burst(self) -> float:
        """Return the mean number of losses in a row: 0 without loss, infinity when all is lost."""
        in_a_row, rate = self.pair_rate(), self.rate()
        if not rate:
            return 0.0
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
        moves = [(0.0, arrived), (1.0, again), (1.0 - self.mean_burst(), first)]
        return MarkovSum(moves, initial=np.concatenate((self.first(), np.zeros(states)))).log_mgf(packets)
