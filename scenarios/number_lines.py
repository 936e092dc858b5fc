"""trio: lines of Prometheus' text, thousands at a time: what does not change of each, and the number behind it (it waits for nothing).

Numbers look as prometheus-client's `floatToGoString` writes them, which takes about a microsecond each. Here a JSON encoder writes
all at once. Where Go writes a number differently (an exponent from a million on), numpy changes the text of all of them; what is rare
is left to `floatToGoString` itself.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from prometheus_client.utils import floatToGoString

_WHOLE = b"0123456789,[]"  # all that there is in an encoded list of natural numbers
_COMMA, _POINT, _ZERO = b",.0"
_LARGE_DIGITS = 7  # of a whole number from which on Go writes an exponent,
_LARGE = 10.0 ** (_LARGE_DIGITS - 1)
_EXACT_DIGITS = 15  # and beyond which a float may be another number
_EXACT = 10.0**_EXACT_DIGITS
_LEAST = 1e-4  # from which on neither Python nor JSON writes an exponent
_ENDS = np.array(
    [".0\n" if size < _LARGE_DIGITS else f"e+{size - 1:02d}\n" for size in range(_EXACT_DIGITS + 1)], dtype=object
)  # of a line, by how many digits the whole number has

_encode = msgspec.json.Encoder(enc_hook=float).encode  # the hook takes numpy's numbers


def number_lines(starts: Sequence[str], values: Sequence[float]) -> bytes:
    """Return one line for each of at least one value: its start, the number as `floatToGoString` writes it, and an end.

    Raises:
        OverflowError: a whole number is beyond what a float can be.
    """
    encoded = _encode(values)
    numbers = None if encoded.translate(None, _WHOLE) else _whole(encoded)
    lines = [""] * (3 * len(values))  # parts in turns: to join them is cheaper than to make lines first
    lines[::3] = starts
    lines[1::3], lines[2::3] = numbers or _fractions(list(map(float, values)))
    return "".join(lines).encode()


def _whole(encoded: bytes) -> tuple[list[str], list[str]] | None:
    """Return natural numbers and their lines' ends, None when one is too large for this."""
    text = np.frombuffer(b",%b," % encoded[1:-1], np.uint8)
    commas = np.flatnonzero(text == _COMMA)
    sizes = np.diff(commas) - 1
    if sizes.max() > _EXACT_DIGITS:
        return None
    large = np.flatnonzero(sizes >= _LARGE_DIGITS)
    pointed = np.insert(text, commas[large] + 2, _POINT)
    numbers = pointed[1:-1].tobytes().decode().split(",")
    for place in large[text[commas[large + 1] - 1] == _ZERO].tolist():
        numbers[place] = numbers[place].rstrip("0.")
    return numbers, _ENDS[sizes].tolist()


def _fractions(values: list[float]) -> tuple[list[str], list[str]]:
    """Return numbers of any kind and their lines' ends."""
    texts = _encode(values)[1:-1].decode().split(",")
    numbers = [
        text if value == 0 or _LEAST <= value < _LARGE or _LEAST <= -value < _EXACT else floatToGoString(value)  # type: ignore[no-untyped-call]  # the library left out its types
        for text, value in zip(texts, values, strict=True)
    ]
    return numbers, ["\n"] * len(numbers)
