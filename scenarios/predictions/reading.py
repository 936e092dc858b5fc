"""Pure: a prediction's input: JSON and `key=value` settings, checked field by field.

What is wrong raises `ConfigError` that names the very entry, such as `beliefs[2][0]`, its value and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import inspect as shape

from netem.errors import ConfigError
from netem.ranges import allowed

S = TypeVar("S", bound=msgspec.Struct)

_PATH = re.compile(r"`\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\[(?P<index>\d+)\]|\.(?P<key>\w+)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?", re.IGNORECASE)
_LONGEST_VALUE = 40  # characters of a value that an error repeats


def parse(text: bytes, *, field: str) -> dict[str, Any]:
    """Read a JSON object; the JSON of RFC 8259, so no NaN or Infinity.

    Raises:
        ConfigError: it is none.
    """
    try:
        values = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise ConfigError(field, shorten(text.decode(errors="replace")), f"a JSON object ({fault})") from None
    if not isinstance(values, dict):
        raise ConfigError(field, shorten(values), "a JSON object, {...}")
    return values


def parse_setting(value: str) -> Any:
    """Read the value of a setting: JSON if it is, a number also as Python writes it (.5), and text otherwise."""
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return float(value) if _NUMBER.fullmatch(value) else value


def fill(kind: type[S], values: Mapping[str, Any]) -> S:
    """Make an input from values by key.

    Raises:
        ConfigError: an unknown or missing key, or a value of the wrong type, shape or range.
    """
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for key, value in values.items():
        if key not in fields:
            raise ConfigError(key, shorten(value), f"a key of this quantity: {', '.join(fields)}")
    for name, field in fields.items():
        if field.required and name not in values:
            raise ConfigError(name, "nothing", f"{accepted(field.type)}, as {name} in --input or --set")
    return kind(**{key: _read(key, value, fields[key].type) for key, value in values.items()})


def _read(key: str, value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as fault:
        where = _PATH.search(str(fault))
        path = where["path"] if where else ""
        for step in _STEP.finditer(path):
            inner = _inside(kind, step)
            if inner is None:
                break
            kind, value = inner, value[int(step["index"]) if step["index"] else step["key"]]
            key += step[0]
        raise ConfigError(key, shorten(value), accepted(kind)) from None


def _inside(kind: Any, step: re.Match[str]) -> Any:
    """Return the type one step down, None where that is not known: of a key that is missing or one too many."""
    for option in _options(kind):
        if isinstance(option, shape.ListType) and step["index"]:
            return option.item_type
        if isinstance(option, shape.StructType) and step["key"]:
            return next((field.type for field in option.fields if field.name == step["key"]), None)
    return None


def _options(kind: Any) -> list[Any]:
    """Return the types that a type stands for, less their descriptions."""
    info = kind if isinstance(kind, shape.Type) else shape.type_info(kind)
    while isinstance(info, shape.Metadata):
        info = info.type
    return [each for option in info.types for each in _options(option)] if isinstance(info, shape.UnionType) else [info]


def accepted(kind: Any) -> str:
    """Describe the values that a type allows, for people."""
    return " or ".join(_describe(option) for option in _options(kind) if not isinstance(option, shape.NoneType))


def _describe(info: Any) -> str:
    if isinstance(info, shape.ListType):
        least = f" of {info.min_length} or more" if info.min_length else ""
        exactly = (
            f" of {info.min_length}" if info.min_length is not None and info.min_length == info.max_length else least
        )
        return f"a list{exactly}, each {accepted(info.item_type)}"
    if isinstance(info, shape.StructType):
        return "an object with " + " and ".join(f"{field.name} ({accepted(field.type)})" for field in info.fields)
    return allowed(info)


def shorten(value: Any) -> Any:
    """Return a value, or the beginning of a long one."""
    text = value if isinstance(value, str) else repr(value)
    return value if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."
