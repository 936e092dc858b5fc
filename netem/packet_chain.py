"""Pure: what befalls the packets of a link, as one Markov chain: loss, copies, and the damage that loses them.

Source: tc-netem: loss and duplication of one packet cancel, and damage comes after both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netem.loss_chain import LossChain

MOST_STATES = 100
"""Tail bounds of a chain with more states would take longer than a run."""


@dataclass(frozen=True, eq=False)
class PacketChain:
    """Independent chains taken together: of losses, of copies made, and of damage that loses packets.

    A copy is lost by `losses.copy_loss`, and damaged in the long run as often as its original, on its own.
    """

    losses: LossChain
    copies: LossChain
    ruins: LossChain

    @property
    def states(self) -> int:
        """How many states all of it has."""
        return len(self.losses.loss) * len(self.copies.loss) * len(self.ruins.loss)

    def lost(self) -> LossChain:
        """Return the chain of transmissions (packets and copies) lost per packet, damage apart.

        A loss without a copy is one; a copy of a packet that was not lost may be one; both at once cancel.
        """
        loss, copy_loss, copied, _ = self._by_state()
        return self._chain(loss * (1.0 - copied) + (1.0 - loss) * copied * copy_loss)

    def missing(self) -> LossChain:
        """Return the chain of packets of which nothing arrives."""
        loss, copy_loss, copied, ruined = self._by_state()
        copy_gone = 1.0 - (1.0 - copy_loss) * (1.0 - self.ruins.rate())
        one_goes = loss * copied + (1.0 - loss) * (1.0 - copied)
        return self._chain(loss * (1.0 - copied) + ruined * (one_goes + (1.0 - loss) * copied * copy_gone))

    def twice(self) -> LossChain:
        """Return the chain of packets that arrive twice: copied, and neither the packet nor its copy lost or damaged."""
        loss, copy_loss, copied, ruined = self._by_state()
        return self._chain((1.0 - loss) * copied * (1.0 - ruined) * (1.0 - copy_loss) * (1.0 - self.ruins.rate()))

    def _by_state(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return by state the probabilities of a loss, of the copy's loss, of a copy and of damage that loses."""
        losses, copies, ruins = (np.ones(len(chain.loss)) for chain in (self.losses, self.copies, self.ruins))
        return (
            np.kron(np.kron(self.losses.loss, copies), ruins),
            np.kron(np.kron(self.losses.copy_loss(), copies), ruins),
            np.kron(np.kron(losses, self.copies.loss), ruins),
            np.kron(np.kron(losses, copies), self.ruins.loss),
        )

    def _chain(self, befallen: np.ndarray) -> LossChain:
        both = self.losses.beside(self.copies).beside(self.ruins)
        return LossChain(both.transition, befallen, both.stationary, both.first())
