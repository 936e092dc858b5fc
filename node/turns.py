"""Pure: turns: which servers decide anew on a board, and how far they go.

Simultaneous best responses need not settle, so the schedule is part of what is studied: `all` decide on every board, `random:Q`
each with probability Q, `damped:D` all but only the fraction D of the way, `once` never again after the first time.

Source: huberman-wu, section 3.3 (servers that respond to the odds); protocol notes 4.1 (dynamics).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netem.errors import ConfigError

ALLOWED = "all, once, random:Q or damped:D, with 0 < Q, D <= 1"


@dataclass(frozen=True, slots=True)
class Turns:
    """When a server decides anew, and how far it goes.

    Attributes:
        probability: of deciding anew on a board, in [0, 1].
        step: how far it goes from the split in force to the one decided, in (0, 1].
    """

    probability: float = 1.0
    step: float = 1.0

    def comes(self, draw: float) -> bool:
        """Tell whether it is this server's turn, by a uniform draw from [0, 1)."""
        return draw < self.probability

    def settle(self, own: Mapping[int, float], decided: Mapping[int, float]) -> dict[int, float]:
        """Return the next split, from the one in force and the one decided, both over the same files in the same order."""
        if self.step == 1.0:
            return dict(decided)
        return {file: own[file] + self.step * (share - own[file]) for file, share in decided.items()}


def make_turns(text: str) -> Turns:
    """Read turns as people write them.

    Raises:
        ConfigError: it is none of `ALLOWED`.
    """
    kind, _, number = text.partition(":")
    if text == "all":
        return Turns()
    if text == "once":
        return Turns(probability=0.0)
    try:
        share = float(number)
    except ValueError:
        share = 0.0
    if not 0.0 < share <= 1.0 or kind not in ("random", "damped"):
        raise ConfigError("turns", text, ALLOWED)
    return Turns(probability=share) if kind == "random" else Turns(step=share)
