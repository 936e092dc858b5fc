"""Pure: storage policies: which files a server buys, keeps and evicts. One file each, found by name."""

from __future__ import annotations

import sys

from node.plugins import choose, find
from node.storage.base import Plan, Shelf, Storage

__all__ = ["Plan", "Shelf", "Storage", "make_storage", "storage_names"]


def storage_names() -> list[str]:
    """Return the names of all storage policies, sorted."""
    return list(find(sys.modules[__name__], Storage))  # type: ignore[type-abstract]  # find takes abstract bases too


def make_storage(name: str) -> Storage:
    """Make the storage policy of that name.

    Raises:
        ConfigError: there is none.
    """
    found = find(sys.modules[__name__], Storage)  # type: ignore[type-abstract]  # find takes abstract bases too
    return choose(found, field="storage", name=name)()
