"""Pure: the names of a run's hosts."""

from __future__ import annotations

TRACKER = "tracker"


def node_names(nodes: int) -> list[str]:
    """Return the names of the nodes, in order."""
    return [f"node-{number}" for number in range(nodes)]
