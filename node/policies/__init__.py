"""Pure: bandwidth policies: how a server splits its upload over the files it holds. One file each, found by name."""

from __future__ import annotations

import sys

from node.plugins import choose, find
from node.policies.base import Policy, View

__all__ = ["Policy", "View", "make_policy", "policy_names"]


def policy_names() -> list[str]:
    """Return the names of all policies, sorted."""
    return list(find(sys.modules[__name__], Policy))  # type: ignore[type-abstract]  # find takes abstract bases too


def make_policy(name: str) -> Policy:
    """Make the policy of that name.

    Raises:
        ConfigError: there is none.
    """
    found = find(sys.modules[__name__], Policy)  # type: ignore[type-abstract]  # find takes abstract bases too
    return choose(found, field="policy", name=name)()
