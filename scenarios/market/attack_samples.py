"""trio: what is looked at, every second, of a market under attack.

Source: the bounds of `node/tabs.py`, `tracker/doors.py` and `tracker/odds.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from node.peer import Peer
from node.roles.base import Role
from scenarios.testbed import Bed


def sample(bed: Bed, honest: Sequence[Peer], attackers: Sequence[Role]) -> dict[str, Any]:
    """Look at everything that an attacker could make grow."""
    upload = bed.params.upload_bytes_per_s
    return {
        "board_ahead": max(peer.board for peer in honest) - bed.tracker.board,
        "proven": {peer.node: bed.tracker.proven_bytes_per_s(peer.node) / upload for peer in attackers},
        "colluders": [peer.node for peer in attackers if peer.colludes],
        "tracker": bed.tracker.sizes(),
        "nodes": [peer.sizes() for peer in honest],
    }
