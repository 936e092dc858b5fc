"""Pure: which values a msgspec type allows, in words for people, and what lies where in a table that msgspec refused.

Source: DESIGN section 7 (field, value, allowed range).
"""

from __future__ import annotations

import math
import re
from typing import Any

from msgspec import inspect as shape

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def allowed(kind: Any) -> str:
    """Describe the values that a parameter's type (or msgspec's description of it) allows, for people."""
    info = kind if isinstance(kind, shape.Type) else shape.type_info(kind)
    while isinstance(info, shape.Metadata | shape.UnionType):
        # A key that may be left out has None beside its type.
        info = (
            info.type
            if isinstance(info, shape.Metadata)
            else next(one for one in info.types if not isinstance(one, shape.NoneType))
        )
    if isinstance(info, shape.LiteralType):
        return ", ".join(str(value) for value in info.values)
    if isinstance(info, shape.IntType | shape.FloatType):
        noun = "a whole number" if isinstance(info, shape.IntType) else "a number"
        low = f"from {info.ge:g}" if info.ge is not None else f"above {info.gt:g}" if info.gt is not None else ""
        high = f"to {info.le:g}" if info.le is not None else f"below {info.lt:g}" if info.lt is not None else ""
        return " ".join(word for word in (noun, low, high) if word)
    if isinstance(info, shape.BoolType):
        return "true or false"
    if isinstance(info, shape.ListType):
        return f"a list, each {allowed(info.item_type)}"
    if isinstance(info, shape.StructType):
        return f"a table with the keys {', '.join(field.encode_name for field in info.fields)}"
    return "text" if isinstance(info, shape.StrType) else str(kind)


def find(table: Any, kind: Any, path: str) -> tuple[Any, str]:
    """Return the value at a path such as `one_way_s[0][1]` of a table of a struct type, and what is allowed there.

    The path is one that msgspec found: its steps exist, in the table up to a value of the wrong type.
    """
    info = shape.type_info(kind)
    for index, key in _STEP.findall(path):
        if isinstance(info, shape.StructType):
            info = next(field.type for field in info.fields if field.encode_name == key)
            table = table[key]
        elif isinstance(info, shape.ListType):
            info, table = info.item_type, table[int(index)]
    return table, allowed(info)


def nan_in(value: Any) -> str:
    """Return where a table has no number but nan, such as `latency.one_way_s[0][1]`; "" if nowhere."""
    steps = (
        [(f".{key}", inner) for key, inner in value.items()]
        if isinstance(value, dict)
        else [(f"[{place}]", inner) for place, inner in enumerate(value)]
        if isinstance(value, list)
        else []
    )
    for step, inner in steps:
        if isinstance(inner, float) and math.isnan(inner):
            return step.lstrip(".")
        rest = nan_in(inner)
        if rest:
            return step.lstrip(".") + ("" if rest.startswith("[") else ".") + rest
    return ""
