"""trio: hostile roles: each attacks in one way, with what a real attacker has: its own keys and the wire."""

from __future__ import annotations

import sys

from node.plugins import choose, find
from node.roles.base import Role

__all__ = ["byzantine_names", "byzantine_role"]


def byzantine_names() -> list[str]:
    """Return the names of all hostile roles, sorted."""
    return list(find(sys.modules[__name__], Role))  # type: ignore[type-abstract]  # find takes abstract bases too


def byzantine_role(name: str) -> type[Role]:
    """Return the hostile role of that name.

    Raises:
        ConfigError: there is none.
    """
    found = find(sys.modules[__name__], Role)  # type: ignore[type-abstract]  # find takes abstract bases too
    return choose(found, field="role", name=name)
