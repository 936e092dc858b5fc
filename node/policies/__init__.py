"""Pure: bandwidth policies: how a server splits its upload over the files it holds. One file each, found by name or path."""

from __future__ import annotations

import sys

import numpy as np

from netem.errors import ConfigError
from node.plugins import attempt, defined_in, find, load_file
from node.policies.base import Policy, View

__all__ = ["Policy", "View", "make_policy", "policy_names"]

_OWN = "FILE.py with one class of the kind node.policies.Policy"


def policy_names() -> list[str]:
    """Return the names of all policies, sorted."""
    return list(find(sys.modules[__name__], Policy))  # type: ignore[type-abstract]  # find takes abstract bases too


def make_policy(name: str) -> Policy:
    """Make the policy of that name; one that ends with `.py` is a file of one's own, with one policy in it.

    Raises:
        ConfigError: there is none, or the file's fails, or it does not split three files as `Policy.weights` says.
    """
    if name.endswith(".py"):
        return _policy_of(name)
    found = find(sys.modules[__name__], Policy)  # type: ignore[type-abstract]  # find takes abstract bases too
    if name not in found:
        raise ConfigError("policy", name, f"{', '.join(found)}, or {_OWN}")
    return found[name]()


def _policy_of(path: str) -> Policy:
    kinds = defined_in(load_file(path, field="policy"), Policy)  # type: ignore[type-abstract]  # as above
    if len(kinds) != 1:
        raise ConfigError("policy", path, f"{_OWN} (it has {len(kinds)})")
    policy = attempt(kinds[0], field="policy", path=path)
    trial = np.array([0.5, 0.3, 0.2])
    attempt(lambda: policy.split(held=range(3), odds=trial, beliefs=trial[::-1], own={}), field="policy", path=path)
    return policy
