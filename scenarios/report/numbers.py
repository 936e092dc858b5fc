"""Pure: numbers as people read them, by Grafana's ids of units; the live page's `units.js` says the same."""

from __future__ import annotations

import math

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
_SUFFIXES = {"short": "", "s": "s", "bytes": "B", "Bps": "B/s", "ops": "/s", "pps": "packets/s", "reqps": "requests/s"}
_LONGEST_ON_AXIS = 4
_MOST_TICKS = 5


def digits(value: object) -> str:
    """Write a value of a table: whole numbers in full, others with four digits, text as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4g}" if 1e-4 <= abs(value) < 1e15 else f"{value:.4g}"


def shown(value: float, unit: str, *, precision: int = 3) -> str:
    """Write a value with its unit, `0.05` percentunit as `5 %`."""
    if not math.isfinite(value):
        return str(value)
    if unit == "percentunit":
        return f"{_short(100 * value, precision)} %"
    factor, prefix = _prefix(abs(value), small=unit == "s")
    suffix = prefix + _SUFFIXES.get(unit, unit)
    return f"{_short(value / factor, precision)}{'' if suffix.startswith('/') else ' '}{suffix}".rstrip()


def on_axis(value: float, unit: str) -> str:
    """Write a value beside an axis; a long unit is left out (see `axis_unit`)."""
    return shown(value, "short" if axis_unit(unit) else unit)


def axis_unit(unit: str) -> str:
    """Return what is written above an axis: a unit too long to stand beside every number, else nothing."""
    suffix = _SUFFIXES.get(unit, "" if unit == "percentunit" else unit)
    return suffix if len(suffix) > _LONGEST_ON_AXIS else ""


def ticks(low: float, high: float) -> list[float]:
    """Return round numbers from `low` to at least `high`, at most a handful, evenly apart; `high` is above `low`."""
    rough = (high - low) / (_MOST_TICKS - 1)
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * scale for factor in (1, 2, 2.5, 5, 10) if factor * scale >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _prefix(size: float, *, small: bool) -> tuple[float, str]:
    wanted = [(factor, prefix) for factor, prefix in _PREFIXES if (factor <= 1 if small else factor >= 1)]
    return (1.0, "") if size == 0 else next((found for found in wanted if size >= found[0] * (1 - 1e-9)), wanted[-1])


def _short(value: float, precision: int) -> str:
    text = f"{value:,.{precision}g}" if abs(value) < 10**precision else f"{value:,.0f}"
    return f"{float(text.replace(',', '')):,g}" if "e" in text else text
