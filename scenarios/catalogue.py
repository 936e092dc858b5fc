"""Pure: the scenarios there are, found by name in `scenarios/scripts/`; adding one file there adds a scenario."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netem.errors import ConfigError
from scenarios import scripts
from scenarios.claims import Claim, Record
from scenarios.parameters import Params

if TYPE_CHECKING:
    from scenarios.testbed import Bed


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario: its question (the module's docstring), parameters, play and claims."""

    name: str
    question: str
    params: type[Params]
    run: Callable[[Bed], Awaitable[None]]
    claims: Callable[[Record], Sequence[Claim]]


def scenario_names() -> list[str]:
    """Return the names of all scenarios, sorted."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(scripts.__path__))


def scenario_named(name: str) -> Scenario:
    """Return a scenario.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in scenario_names():
        raise ConfigError("SCENARIO", name, ", ".join(scenario_names()))
    module: Any = importlib.import_module(f"{scripts.__name__}.{name.replace('-', '_')}")
    return Scenario(name, (module.__doc__ or "").strip(), module.Params, module.run, module.claims)
