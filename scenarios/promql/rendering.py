"""Pure: results in the JSON shapes of the Prometheus query API, numbers as Go writes them."""

from __future__ import annotations

import math
from decimal import Decimal

from scenarios.promql.frames import Numbers
from scenarios.promql.queries import Matrix, Scalar, Vector

Json = dict[str, object]


def number_text(value: float) -> str:
    """Return the shortest decimal that reads back as the value; with an exponent below 1e-6 and from 1e21, as Prometheus does."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" in text and 1e-6 <= abs(value) < 1e21:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def seconds(time_ms: int) -> float:
    """Return a time in the unit of the API, whole where it is."""
    return time_ms // 1000 if time_ms % 1000 == 0 else time_ms / 1000


def rendered(result: Matrix | Vector | Scalar) -> Json:
    """Return a result as the `data` of an answer."""
    match result:
        case Scalar():
            return {"resultType": "scalar", "result": [seconds(result.time_ms), number_text(result.value)]}
        case Vector():
            at = seconds(result.time_ms)
            rows = zip(result.frame.labels, _texts(result.frame.values.ravel()), strict=True)
            return {
                "resultType": "vector",
                "result": [{"metric": dict(labels), "value": [at, text]} for labels, text in rows],
            }
        case Matrix():
            return {"resultType": "matrix", "result": _series(result)}


def _series(matrix: Matrix) -> list[Json]:
    times = [seconds(time_ms) for time_ms in matrix.times_ms.tolist()]
    frame = matrix.frame
    return [
        {
            "metric": dict(labels),
            "values": [
                [at, text] for at, text, here in zip(times, _texts(values), present.tolist(), strict=True) if here
            ],
        }
        for labels, values, present in zip(frame.labels, frame.values, frame.present, strict=True)
    ]


def _texts(values: Numbers) -> list[str]:
    return [number_text(value) for value in values.tolist()]
