"""Pure: what a run's JSON files state, as typed values; whatever an older or newer version wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scenarios.claims import Claim

_SHOWN = ("name", "predicted", "measured", "tolerance", "ok", "source", "detectable", "note")
_LACKING = {"predicted": None, "measured": None, "tolerance": 0.0, "ok": None, "source": ""}


def stated_claims(result: Mapping[str, Any]) -> list[Claim]:
    """Return the claims of a result.json; none of a run without one."""
    claims = [claim for claim in result.get("claims", ()) if isinstance(claim, Mapping) and "name" in claim]
    return [Claim(**_LACKING | {key: claim[key] for key in _SHOWN if key in claim}) for claim in claims]


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
