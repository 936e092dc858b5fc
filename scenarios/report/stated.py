"""Pure: what a run's JSON files state, as typed values; whatever an older or newer version wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from scenarios.claims import Claim, Value

Told = dict[str, Any]


class _StatedClaim(msgspec.Struct):
    name: str
    predicted: Value = None
    measured: Value = None
    tolerance: float | str = 0.0
    ok: bool | None = None
    source: str = ""
    detectable: float | str | None = None
    note: str = ""


class _Result(msgspec.Struct):
    claims: list[_StatedClaim] = []
    invariants: dict[str, bool] = {}
    fidelity: Told = {}
    counts: dict[str, int] = {}
    digest: str = ""


class _File(msgspec.Struct):
    path: str
    sha256: str


class _About(msgspec.Struct):
    question: str
    params: dict[str, Told]


class _Record(msgspec.Struct):
    scenario: str
    seed: int
    time: str
    params: Told
    versions: Told
    schema: int = 0
    own_code: list[_File] = []
    content: Told = {}
    about: _About | None = None


def fault_in(record: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Return what about run.json or result.json (empty for a run that did not end) no version ever wrote; "" if nothing."""
    for name, told, kind in (("run.json", record, _Record), ("result.json", result, _Result)):
        try:
            msgspec.convert(told, kind)
        except msgspec.ValidationError as fault:
            return f"{name}: {fault}"
    return ""


def stated_claims(result: Mapping[str, Any]) -> list[Claim]:
    """Return the claims of a result.json; none of a run without one."""
    claims = [msgspec.to_builtins(claim) for claim in msgspec.convert(result, _Result).claims]
    return [Claim(**claim | {"tolerance": float(claim["tolerance"]), "detectable": None}) for claim in claims]


def invariants_of(result: Mapping[str, Any]) -> dict[str, bool]:
    """Return the invariants by name; none of a run without a result."""
    return {str(name): bool(ok) for name, ok in result.get("invariants", {}).items()}


def reasons_of(result: Mapping[str, Any]) -> list[str]:
    """Return why the run is void; nothing if it is valid."""
    broken = [f"invariant {name} is violated" for name, ok in invariants_of(result).items() if not ok]
    return [*map(str, result.get("fidelity", {}).get("reasons", ())), *broken]


def command_of(record: Mapping[str, Any], changed: Sequence[str]) -> list[str]:
    """Return the words of the command that repeats a run, with the parameters in `changed` set."""
    own = [str(file["path"]) for file in record.get("own_code", ())]
    params = record["params"]
    files = [str(params[key]) for key in changed if str(params[key]).endswith(".py")]
    scenario = next((path for path in own if path not in files), record["scenario"])
    words = ["swarmbed", "run", str(scenario), "--seed", str(record["seed"]), "--time", str(record["time"])]
    source = str(record.get("content", {}).get("source", ""))
    words += ["--content", source] if source.startswith("/") else []
    return words + [word for key in changed for word in ("--set", f"{key}={_text(params[key])}")]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
