"""The shape of the repository: which way imports point, what a pure module may touch, which folders there are.

The rules read source text with `ast`; each has a small example of what breaks it, so that none can pass by finding nothing.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("netem", "tracker", "node", "scenarios")  # an import may only point leftward
ELSEWHERE = ("grafana", "tests")
METRIC_SPECS = ("netem.metric", "scenarios.metrics")  # all that dashboards are made of
MOST_README_LINES = 60  # a page

# What waits, reads a clock or draws chance by itself. Time is passed in, randomness is keyed, bytes come as arguments.
IMPURE = frozenset(
    {
        *("trio", "asyncio", "threading", "multiprocessing", "concurrent", "subprocess", "signal"),
        *("socket", "selectors", "select", "ssl", "sqlite3", "time", "datetime", "random", "secrets", "uuid"),
        *("prometheus_client", "os", "pathlib", "io", "shutil", "tempfile"),
    }
)
IMPURE_FUNCTIONS = frozenset({"open", "print", "input"})
IMPURE_METHODS = frozenset(
    {
        *("read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink", "iterdir"),
        *("default_rng", "urandom", "getrandbits"),
    }
)
# The only pure modules that read files, the experimenter's own, never a node's: what is published, what was, and own code.
READERS = {
    "netem.table_file": {"open"},
    "node.content": {"os", "pathlib", "open"},
    "node.plugins": {"open"},
    "scenarios.shared_claims": {"read_bytes"},
}
# The only modules that call code which is not ours, and which may raise anything.
CALLS_FOREIGN_CODE = {"node.plugins"}


@dataclass(frozen=True)
class Module:
    """One module: dotted name, path and syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @functools.cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Return all nodes of the tree; every rule looks at them."""
        return tuple(ast.walk(self.tree))

    @property
    def label(self) -> str:
        """Return the first word of the docstring."""
        return (ast.get_docstring(self.tree) or " ").split(maxsplit=1)[0]

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def is_scenario(self) -> bool:
        return self.name.startswith("scenarios.scripts.")


def read(name: str) -> Module:
    path = ROOT / name
    dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    return Module(dotted, path, ast.parse(path.read_text(encoding="utf-8")))


def example(source: str, name: str = "node.example") -> Module:
    return Module(name, Path(f"{name}.py"), ast.parse(source))


FILES = sorted(
    path.relative_to(ROOT).as_posix() for top in (*PACKAGES, "grafana") for path in (ROOT / top).rglob("*.py")
)


@functools.cache
def modules() -> dict[str, Module]:
    """Return all modules by name: read once, and only where these tests run, for every worker imports this file."""
    return {module.name: module for module in map(read, FILES)}


@functools.cache
def imports(module: Module, *, typing_too: bool) -> tuple[str, ...]:
    """Return what a module imports, as dotted names; without `typing_too` only what is imported when it runs."""
    return tuple(_imports(module, typing_too=typing_too))


def _imports(module: Module, *, typing_too: bool) -> Iterator[str]:
    skipped = set()
    if not typing_too:
        for node in module.nodes:
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                skipped |= {id(inner) for inner in ast.walk(node)}
    for node in module.nodes:
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else str(node.module)


def wrong_arrows(module: Module) -> list[str]:
    top = module.name.split(".")[0]
    if top == "grafana":
        return [n for n in imports(module, typing_too=True) if n.split(".")[0] in PACKAGES and n not in METRIC_SPECS]
    allowed = PACKAGES[: PACKAGES.index(top) + 1]
    ours = {*PACKAGES, *ELSEWHERE} - {*allowed}
    return [name for name in imports(module, typing_too=True) if name.split(".")[0] in ours]


def wrong_arrows_of_grafana(module: Module) -> list[str]:
    return wrong_arrows(Module("grafana.example", module.path, module.tree))


def impurities(module: Module) -> list[str]:
    """Return what a pure module may not use: imports, calls, and modules of ours that wait."""
    found = {name.split(".")[0] for name in imports(module, typing_too=False)} & IMPURE
    found |= {
        name for name in imports(module, typing_too=False) if name in modules() and modules()[name].label == "trio:"
    }
    for node in module.nodes:
        match node:
            case ast.Call(func=ast.Name(id=called)) if called in IMPURE_FUNCTIONS:
                found.add(called)
            case ast.Call(func=ast.Attribute(attr=called)) if called in IMPURE_METHODS:
                found.add(called)
            case ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                found.add("await")
    return sorted(found - READERS.get(module.name, set()))


def broad_handlers(module: Module) -> list[str]:
    """Return handlers of everything that do not end by raising it again: cleaning up is the one reason to catch all.

    Foreign code is the other: there, such a handler may end by raising an error of ours.
    """
    foreign = module.name in CALLS_FOREIGN_CODE
    broad = []
    for node in module.nodes:
        if isinstance(node, ast.ExceptHandler):
            caught = (
                {part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)} if node.type else {"Exception"}
            )
            last = node.body[-1]
            if caught & {"Exception", "BaseException"} and not (
                isinstance(last, ast.Raise) and (last.exc is None or foreign)
            ):
                broad.append(f"{module.name}:{node.lineno}")
    return broad


def kept_nurseries(module: Module) -> list[str]:
    """Return assignments of a nursery to an attribute: then anybody may start tasks that nobody waits for in sight."""
    nurseries: set[str] = set()
    for node in module.nodes:
        if isinstance(node, ast.withitem) and "open_nursery" in ast.unparse(node.context_expr) and node.optional_vars:
            nurseries.add(ast.unparse(node.optional_vars))
        if isinstance(node, ast.arg) and node.annotation and ast.unparse(node.annotation).endswith("Nursery"):
            nurseries.add(node.arg)
    kept = [name for name in nurseries if "." in name]
    for node in module.nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            attributes = [target for target in targets if isinstance(target, ast.Attribute)]
            value = ast.unparse(node.value) if attributes and node.value else ""
            if value in nurseries or "open_nursery" in value:
                kept += [ast.unparse(target) for target in attributes]
    return sorted(kept)


def test_the_packages_are_there():
    assert {name.split(".")[0] for name in modules()} == {*PACKAGES, "grafana"}
    assert len(modules()) > 80


def broken(rule, modules):
    """Return what breaks a rule, by module."""
    return {module.name: found for module in modules if (found := rule(module))}


@pytest.mark.parametrize("rule", [wrong_arrows, broad_handlers, kept_nurseries])
def test_every_module_keeps_the_rules(rule):
    assert broken(rule, modules().values()) == {}


def test_pure_modules_are_pure():
    pure = [module for module in modules().values() if module.label == "Pure:"]
    assert len(pure) > 40
    assert broken(impurities, pure) == {}


def test_the_docstring_says_whether_a_module_waits():
    def wrong(module):
        docstring = ast.get_docstring(module.tree) or ""
        if module.is_scenario:  # `swarmbed list` prints its first line
            return not docstring.partition("\n")[0].endswith("?")
        if module.is_package and len(module.tree.body) == 1:
            return not docstring
        return module.label not in {"Pure:", "trio:"}

    assert broken(wrong, modules().values()) == {}


def test_a_node_reaches_the_tracker_by_message_only():
    def not_by_message(module):
        used = [other for other in imports(module, typing_too=True) if other.startswith("tracker.")]
        return [other for other in used if modules()[other].label != "Pure:"]

    nodes = [module for name, module in modules().items() if name.startswith("node")]
    assert len(nodes) > 20
    assert broken(not_by_message, nodes) == {}


def test_modules_that_may_read_files_still_need_to():
    for name in READERS:
        assert impurities(Module("other", modules()[name].path, modules()[name].tree))


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (wrong_arrows, "import scenarios.cli"),
        (wrong_arrows, "def f():\n    from scenarios.content import Shared"),
        (wrong_arrows, "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import scenarios"),
        (wrong_arrows, "import grafana"),
        (wrong_arrows_of_grafana, "from scenarios.testbed import Bed"),
        (impurities, "import trio"),
        (impurities, "from time import monotonic"),
        (impurities, "import os.path"),
        (impurities, "from netem.network import Network"),
        (impurities, "from netem import network"),
        (impurities, "with open('x') as f: pass"),
        (impurities, "path.read_bytes()"),
        (impurities, "import numpy as np\nnp.random.default_rng()"),
        (impurities, "async def f():\n    await g()"),
        (broad_handlers, "try: f()\nexcept: pass"),
        (broad_handlers, "try: f()\nexcept Exception as e: log(e)"),
        (broad_handlers, "try: f()\nexcept (OSError, BaseException): pass"),
        (broad_handlers, "try: f()\nexcept* Exception: raise ValueError"),
        (kept_nurseries, "async def f(self):\n    async with trio.open_nursery() as n:\n        self.n = n"),
        (kept_nurseries, "async def f(self):\n    async with trio.open_nursery() as self.n: pass"),
        (kept_nurseries, "def f(self, tasks: trio.Nursery):\n    self._tasks = tasks"),
    ],
)
def test_a_violation_is_found(rule, source):
    assert rule(example(source))


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (wrong_arrows, "from tracker.odds import OddsView\nfrom netem.clock import S"),
        (wrong_arrows_of_grafana, "from netem.metric import Panel\nfrom scenarios.metrics import families"),
        (impurities, "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import trio"),
        (impurities, "session.open(frame)"),
        (impurities, "class Clock(Protocol):\n    async def run(self): ..."),
        (broad_handlers, "try: f()\nexcept BaseException:\n    close()\n    raise"),
        (broad_handlers, "try: f()\nexcept ExceptionalWeather: pass"),
        (kept_nurseries, "async def f(self):\n    async with trio.open_nursery() as n:\n        n.start_soon(g)"),
    ],
)
def test_what_is_right_is_left_alone(rule, source):
    assert not rule(example(source))


def test_there_is_no_other_folder():
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert folders - ignored == {*PACKAGES, *ELSEWHERE}


@pytest.mark.parametrize("folder", [*PACKAGES, *ELSEWHERE])
def test_every_folder_has_a_readme_of_at_most_a_page(folder):
    lines = (ROOT / folder / "README.md").read_text(encoding="utf-8").splitlines()
    assert 0 < len(lines) <= MOST_README_LINES


def test_tests_mirror_the_packages():
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders == {*PACKAGES, "grafana"}
