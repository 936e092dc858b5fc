"""Pure: the impairments a link may have; one module a kind, found by name.

Add one by adding a module with a subclass of `Impairment`: no other file changes.

Source: DESIGN sections 2 and 3.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from netem.impairments.base import Impairment


@functools.cache
def kinds() -> Mapping[str, type[Impairment]]:
    """Return every kind of impairment by its name, sorted."""
    found: dict[str, type[Impairment]] = {}
    for module_info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        for value in vars(module).values():
            own = isinstance(value, type) and issubclass(value, Impairment) and value.__module__ == module.__name__
            if own and value is not Impairment:
                found[value.name] = value
    return MappingProxyType(dict(sorted(found.items())))
