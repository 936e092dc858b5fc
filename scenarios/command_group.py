"""trio: a group of commands that finds them: one module of a package each, imported when it is needed.

Source: DESIGN section 2 (one plug-in, one file).
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

import click


class Commands(click.Group):
    """The commands there are in a package, by the names of their modules; each has a `command`."""

    def __init__(self, *args: Any, package: ModuleType, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._package = package

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, sorted."""
        return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(self._package.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is no such."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{self._package.__name__}.{cmd_name.replace('-', '_')}")
        found: click.Command = module.command
        found.name = cmd_name
        return found
