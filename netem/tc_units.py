"""Pure: percentages, times and rates as tc writes them.

Source: iproute2 `tc(8)`: a bare number is percent, microseconds, bit/s.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from netem.errors import ConfigError

_NUMBER = r"(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)"
_PERCENT = re.compile(_NUMBER + r"%?", re.ASCII)
_TIME = re.compile(_NUMBER + r"(s|secs?|ms|msecs?|us|usecs?|ns|nsecs?)?", re.ASCII)
_RATE = re.compile(_NUMBER + r"(?:([kmgt]i?)?(bit|bps))?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,20}", re.ASCII)  # as long as 2^64 - 1
_SIZE = re.compile(_NUMBER + r"([kmg]?)(?:b(it)?)?", re.ASCII)
_SECONDS = {"s": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
LONGEST_S = 3600.0


def parse_percent(field: str, word: str) -> float:
    """Read `5%` or `5` as 0.05; raise ConfigError unless 0 to 100."""
    match = _PERCENT.fullmatch(word.lower())
    if not match or float(match[1]) > 100.0:
        raise ConfigError(field, word, "a percentage from 0% to 100%")
    return float(match[1]) / 100.0


def parse_time_s(field: str, word: str) -> float:
    """Read `10ms`, `1s`, `500us` or `500` (microseconds) in seconds; raise ConfigError unless 0 to an hour."""
    match = _TIME.fullmatch(word.lower())
    time_s = float(match[1]) * _SECONDS[(match[2] or "u")[0]] if match else math.inf
    if time_s > LONGEST_S:
        raise ConfigError(field, word, f"a time from 0 to {LONGEST_S:g}s, such as 100ms, 1.5s or 500us")
    return time_s


def parse_rate_bytes_per_s(field: str, word: str) -> float:
    """Read `1mbit`, `125kbps` (bytes) or `1000` (bit/s); k is 1000, ki is 1024."""
    match = _RATE.fullmatch(word.lower())
    if not match or float(match[1]) == 0.0:
        raise ConfigError(field, word, "a rate above 0 such as 10mbit, 512kbit or 125kbps (bytes)")
    prefix = match[2] or ""
    base = 1024.0 if prefix.endswith("i") else 1000.0
    scale = base ** (" kmgt".index(prefix[0]) if prefix else 0)
    return float(match[1]) * scale / (1.0 if match[3] == "bps" else 8.0)


def arguments(field: str, words: Sequence[str], *, allowed: str, least: int, most: int) -> list[float]:
    """Read `least` to `most` percentages; raise ConfigError for any other number of words."""
    if not least <= len(words) <= most:
        raise ConfigError(field, " ".join(words), allowed)
    return [parse_percent(field, word) for word in words]


def parse_whole(field: str, word: str, *, least: int, most: int) -> int:
    """Read a whole number from `least` to `most`."""
    if not _WHOLE.fullmatch(word) or not least <= int(word) <= most:
        raise ConfigError(field, word, f"a whole number from {least} to {most}")
    return int(word)


def parse_size_bytes(field: str, word: str) -> int:
    """Read `1500`, `2k`, `1mb` (1024s, as tc has it) or `8kbit` in bytes, at least 1."""
    match = _SIZE.fullmatch(word.lower())
    size_bytes = (
        float(match[1]) * 1024.0 ** " kmg".index(match[2] or " ") / (8.0 if match[3] == "it" else 1.0) if match else 0.0
    )
    if not 1.0 <= size_bytes <= 2**40:
        raise ConfigError(field, word, "a size from 1 byte, such as 1500, 64k or 1m")
    return int(size_bytes)


def format_percents(probability: float, correlation: float) -> str:
    """Write 0.05 with a correlation of 0.25 as `5% 25%`, and without one as `5%`."""
    text = format_percent(probability)
    return f"{text} {format_percent(correlation)}" if correlation else text


def format_percent(probability: float) -> str:
    """Write 0.05 as `5%`."""
    return f"{probability * 100.0:.12g}%"


def format_time(duration_s: float) -> str:
    """Write 0.05 as `50ms`."""
    return f"{duration_s * 1e3:.12g}ms"


def format_rate(rate_bytes_per_s: float) -> str:
    """Write 125000.0 as `1000kbit`."""
    return f"{rate_bytes_per_s * 8e-3:.12g}kbit"
