"""Pure: the predictions there are, found by their files' names: `market.growth` is `market/growth.py`.

Such a file has a docstring whose first line says what is answered, a msgspec struct `Input` (its fields are the keys of the
input), and `predict(given)`, which returns what is printed: numbers, text, lists and dicts of them.

Source: DESIGN section 6.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from netem.errors import ConfigError
from scenarios import predictions


class NoAnswer(Exception):
    """Report that the model itself has no answer to a sound question, and why."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One quantity: `about` says in a line what it is, `input_type` what it needs, `predict` answers."""

    name: str
    about: str
    input_type: type[msgspec.Struct]
    predict: Callable[[Any], dict[str, Any]]


def prediction_names() -> list[str]:
    """Return the names of all predictions, sorted."""
    names = []
    for system in pkgutil.iter_modules(predictions.__path__):
        if system.ispkg:
            package = importlib.import_module(f"{predictions.__name__}.{system.name}")
            names += [
                f"{system.name}.{module.name.replace('_', '-')}" for module in pkgutil.iter_modules(package.__path__)
            ]
    return sorted(names)


def prediction_named(name: str) -> Prediction:
    """Return the prediction of that name.

    Raises:
        ConfigError: there is none.
    """
    names = prediction_names()
    if name not in names:
        raise ConfigError("QUANTITY", name, ", ".join(names))
    module = importlib.import_module(f"{predictions.__name__}.{name.replace('-', '_')}")
    about = (module.__doc__ or "").splitlines()[0].removeprefix("Pure: ")
    return Prediction(name, about, module.Input, module.predict)
