"""trio: the scenarios there are: found by name in `scenarios/scripts/`, or in a file of one's own. Blocking, before a run.

Adding one file to `scenarios/scripts/` adds a scenario.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netem.errors import ConfigError
from scenarios import scripts
from scenarios.claims import Claim, Record
from scenarios.parameters import Params
from scenarios.scenario_file import load_scenario

if TYPE_CHECKING:
    from scenarios.testbed import Bed


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario: its question (the module's docstring), parameters, play and claims; and its file, if it is one's own."""

    name: str
    question: str
    params: type[Params]
    run: Callable[[Bed], Awaitable[None]]
    claims: Callable[[Record], Sequence[Claim]]
    file: str | None = None


def scenario_names() -> list[str]:
    """Return the names of all scenarios, sorted."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(scripts.__path__))


def scenario_named(name: str) -> Scenario:
    """Return the scenario of that name; one that ends with `.py` is a file of one's own.

    Raises:
        ConfigError: there is none of that name, or the file is no scenario.
    """
    own = name.endswith(".py")
    if not own and name not in scenario_names():
        raise ConfigError("SCENARIO", name, f"{', '.join(scenario_names())}, or your own FILE.py")
    module: Any = load_scenario(name) if own else importlib.import_module(_module_of(name))
    title = Path(name).stem.replace("_", "-") if own else name
    file = name if own else None
    return Scenario(title, (module.__doc__ or "").strip(), module.Params, module.run, module.claims, file)


def _module_of(name: str) -> str:
    return f"{scripts.__name__}.{name.replace('-', '_')}"
