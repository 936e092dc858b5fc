"""Pure: what the scenarios measure, one metric family a file; and all families there are, of every package, by name.

Add one by adding a module with a subclass of `Family` to the package that owns what it measures: no other file changes.
"""

from __future__ import annotations

import importlib
import pkgutil

from netem.metric import Family

PACKAGES = ("netem.metrics", "tracker.metrics", "node.metrics", "scenarios.metrics")


def families() -> dict[str, type[Family]]:
    """Return every metric family by its name, sorted."""
    found: dict[str, type[Family]] = {}
    for package in map(importlib.import_module, PACKAGES):
        for info in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            for value in vars(module).values():
                if isinstance(value, type) and issubclass(value, Family) and value.__module__ == module.__name__:
                    found[value.name] = value
    return dict(sorted(found.items()))
