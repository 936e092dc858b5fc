"""Pure: plug-ins found by name: one file each in a package, no list to edit."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import TypeVar

from netem.errors import ConfigError

T = TypeVar("T")


def find(package: ModuleType, base: type[T]) -> dict[str, type[T]]:
    """Return the concrete subclasses of `base` defined in a package's modules, by their `name`, sorted."""
    found: dict[str, type[T]] = {}
    for module in pkgutil.iter_modules(package.__path__):
        members = vars(importlib.import_module(f"{package.__name__}.{module.name}"))
        for member in members.values():
            if isinstance(member, type) and issubclass(member, base) and not inspect.isabstract(member):
                found[str(vars(member)["name"])] = member
    return dict(sorted(found.items()))


def choose(found: dict[str, type[T]], *, field: str, name: str) -> type[T]:
    """Return the plug-in of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in found:
        raise ConfigError(field, name, ", ".join(found))
    return found[name]
