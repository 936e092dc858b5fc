"""Pure: plug-ins found by name, one file each in a package, no list to edit; and files of the experimenter's own.

Such a file is read and executed before a run, never by a node that runs.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from netem.errors import ConfigError

T = TypeVar("T")


def find(package: ModuleType, base: type[T]) -> dict[str, type[T]]:
    """Return the concrete subclasses of `base` defined in a package's modules, by their `name`, sorted."""
    return dict(_found(package, base))  # type: ignore[arg-type]  # classes are hashable; mypy doubts it of abstract ones


@functools.cache  # every peer of a run asks
def _found(package: ModuleType, base: type[Any]) -> tuple[tuple[str, type[Any]], ...]:
    classes = [each for each in _classes(package) if issubclass(each, base) and not inspect.isabstract(each)]
    return tuple(sorted(((str(vars(each)["name"]), each) for each in classes), key=lambda found: found[0]))


def _classes(package: ModuleType) -> tuple[type, ...]:
    modules = [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    return tuple(dict.fromkeys(each for module in modules for each in vars(module).values() if isinstance(each, type)))


def choose(found: dict[str, type[T]], *, field: str, name: str) -> type[T]:
    """Return the plug-in of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in found:
        raise ConfigError(field, name, ", ".join(found))
    return found[name]


def defined_in(module: ModuleType, base: type[T]) -> list[type[T]]:
    """Return the concrete subclasses of `base` that a module defines itself, in the order of their definition."""
    classes = [member for member in vars(module).values() if isinstance(member, type) and issubclass(member, base)]
    return [each for each in classes if each.__module__ == module.__name__ and not inspect.isabstract(each)]


def load_file(path: str, *, field: str) -> ModuleType:
    """Execute a Python file of the experimenter's and return its module, of a private name; the same text is executed once.

    Raises:
        ConfigError: it cannot be read, or it fails; then the message names the line.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # pathlib is for modules that wait
            source = file.read()
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise ConfigError(field, path, f"a Python file that can be read ({reason})") from None
    return attempt(lambda: _execute(path, source), field=field, path=path)


def attempt(call: Callable[[], T], *, field: str, path: str) -> T:
    """Call into a file of the experimenter's and return what it returns.

    Raises:
        ConfigError: it raised something; the message names the line and the error.
    """
    try:
        return call()
    except ConfigError:
        raise
    except (Exception, SystemExit) as fault:  # code that is not ours may raise anything
        raise ConfigError(field, path, f"a file without mistakes ({blame(path, fault)})") from fault


@functools.cache
def _execute(path: str, source: bytes) -> ModuleType:
    module = ModuleType(
        f"swarmbed_file_{hashlib.sha256(path.encode(errors='surrogateescape') + source).hexdigest()[:16]}"
    )
    module.__file__ = path
    code = compile(source, path, "exec", dont_inherit=True)
    sys.modules[module.__name__] = module  # annotations are looked up there
    exec(code, vars(module))  # noqa: S102  # the experimenter asked for it
    return module


def blame(path: str, fault: BaseException) -> str:
    """Say in one line where in a file an error came from, and what it was."""
    line, trace = 0, fault.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    said = str(fault)
    if isinstance(fault, SyntaxError) and fault.filename == path:
        line, said = fault.lineno or 0, fault.msg
    place = f"{path}:{line}" if line else path
    return f"{place}: {type(fault).__name__}: {' '.join(said.split())}"
