"""trio: what a peer may be besides an honest server: roles, one file each, found by name. The hostile ones are in `byzantine/`."""

from __future__ import annotations

import sys

from node.plugins import choose, find
from node.roles.ordinary import Ordinary

__all__ = ["Ordinary", "ordinary_names", "ordinary_role"]


def ordinary_names() -> list[str]:
    """Return the names of all roles that keep the protocol, sorted."""
    return list(find(sys.modules[__name__], Ordinary))  # type: ignore[type-abstract]  # find takes abstract bases too


def ordinary_role(name: str) -> type[Ordinary]:
    """Return the role of that name, of those that keep the protocol.

    Raises:
        ConfigError: there is none.
    """
    found = find(sys.modules[__name__], Ordinary)  # type: ignore[type-abstract]  # find takes abstract bases too
    return choose(found, field="role", name=name)
