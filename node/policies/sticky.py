"""Pure: the policy of a server that seldom looks at the odds."""

from __future__ import annotations

from typing import ClassVar

from node.policies.price_taker import PriceTaker


class Sticky(PriceTaker):
    """Put everything on the file with the largest p_ij/π_j, but decide anew on few boards only.

    Few movers at a time see what the others did: the herd of price takers who all move at once thins out, and with it the distance
    to π = p (protocol notes 4.1: 0.32 with 20 % of servers a board, 0.08 with 2 %, against 0.74).
    """

    name: ClassVar[str] = "sticky"
    turns: ClassVar[str] = "random:0.02"
