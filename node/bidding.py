"""Pure: a node's bids: the odds it heard, how it splits its upload over the files it holds, and the heartbeats that say so.

Source: huberman-wu, section 2 (the bids b_ij); DESIGN section 4 (odds).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

import numpy as np

from netem.clock import S
from node.beliefs.base import Beliefs
from node.policies.base import ODDS_FLOOR, Policy
from node.turns import Turns, make_turns
from tracker.messages import Heartbeat
from tracker.odds import OddsView

BIDS_PER_HEARTBEAT = 80  # as many as surely fit a datagram
HEARTBEAT_NS = S
CONTROL_RESERVE = 0.08  # of the upload: requests, receipts and heartbeats need room beside the reserved rates


class Bidding:
    """Bid under a policy.

    Args:
        policy: splits the upload.
        beliefs: p_ij, which the policy is shown.
        upload_bytes_per_s: the node's upload, B_i, > 0.
        turns: when it decides anew; the policy's own by default.
        chance: returns uniform draws from [0, 1).

    Attributes:
        odds: the newest odds heard; the owner adds to it.
        budget: this server's share of all bandwidth, as the tracker last said; 0 before. The owner sets it.
        split: the shares f_ij in force, by file index, in ascending order.

    Invariant: the reserved rates b_ij add up to at most the upload rate less the reserve.
    """

    def __init__(
        self,
        policy: Policy,
        beliefs: Beliefs,
        *,
        upload_bytes_per_s: float,
        turns: Turns | None = None,
        chance: Callable[[], float] = lambda: 0.5,
    ) -> None:
        self._policy = policy
        self._turns = turns or make_turns(policy.turns)
        self._chance = chance
        self._beliefs = beliefs
        self._usable_bytes_per_s = upload_bytes_per_s * (1 - CONTROL_RESERVE)
        self.odds = OddsView()
        self.budget = 0.0
        self.split: dict[int, float] = {}

    @property
    def anticipates(self) -> bool:
        """Whether the policy wants to know `budget`."""
        return self._policy.anticipates

    def rebid(self, held: Iterable[int], *, fetched: Container[int] = ()) -> dict[int, float]:
        """Split the upload anew over the files held (any order) and return b_ij in bytes/s by file index.

        Whoever holds other files than at the last split decides anew, whoever's turn it is.
        """
        files = sorted(held)
        if not files:
            self.split = {}
            return {}
        odds = self.odds.shares
        known = max(len(odds), files[-1] + 1)
        moves, wish = self._chance(), self._chance()
        if list(self.split) != files or self._turns.comes(moves):
            decided = self._policy.split(
                held=files,
                odds=odds,
                beliefs=self._beliefs.probabilities(known),
                own=self.split,
                fetched=fetched,
                budget=self.budget,
                draw=wish,
            )
            self.split = self._turns.settle(self.split, decided) if list(self.split) == files else decided
        return {index: share * self._usable_bytes_per_s for index, share in self.split.items()}

    def prospects(self, files: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return π_j, at least the house floor, and p_ij of some files, float64 (files,) each; p is over all files there are."""
        odds, places = self.odds.shares, list(files)
        known = max([len(odds), *(index + 1 for index in files)])
        heard = np.zeros(known)
        heard[: len(odds)] = odds
        return np.maximum(heard[places], ODDS_FLOOR), self._beliefs.probabilities(known)[places]

    def heartbeats(self) -> list[Heartbeat]:
        """Return the heartbeat that declares the split, in pages of at most `BIDS_PER_HEARTBEAT` files, at least one."""
        bids = list(self.split.items())
        size = BIDS_PER_HEARTBEAT
        parts = [bids[i : i + size] for i in range(0, len(bids), size)] or [[]]
        return [Heartbeat(page, len(parts), part) for page, part in enumerate(parts)]
