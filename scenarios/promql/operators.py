"""Pure: binary operators where one side at least is a scalar, and what an operator does to two numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scenarios.promql.errors import outside_subset
from scenarios.promql.frames import Frame, Mask, Numbers, Value

ARITHMETIC: dict[str, Callable[[Numbers, Numbers], Numbers]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,  # the sign of the dividend, as in Go
    "^": np.power,
}
COMPARISON: dict[str, Callable[[Numbers, Numbers], Mask]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}


@dataclass(frozen=True, slots=True)
class Operation:
    """An arithmetic or comparison operator; `as_number` is the modifier `bool`: a comparison gives 0 or 1 and filters nothing."""

    symbol: str
    as_number: bool = False

    def __post_init__(self) -> None:
        """Check the operator.

        Raises:
            BadQuery: it is none of those in the tables above.
        """
        if self.symbol not in ARITHMETIC and self.symbol not in COMPARISON:
            raise outside_subset(f"the operator {self.symbol}")

    @property
    def keeps_name(self) -> bool:
        """Tell whether the result still means what the metric's name says: only a filter's does."""
        return self.symbol in COMPARISON and not self.as_number

    def on(self, left: Numbers, right: Numbers, *, kept: Numbers) -> tuple[Numbers, Mask | bool]:
        """Return the result of two arrays and where it is: a filter gives `kept` where the comparison holds."""
        with np.errstate(all="ignore"):  # IEEE results, as in Prometheus
            if self.symbol in ARITHMETIC:
                return ARITHMETIC[self.symbol](left, right), True
            holds = COMPARISON[self.symbol](left, right)
        return (holds.astype(np.float64), True) if self.as_number else (kept, holds)


def with_scalar(operation: Operation, left: Value, right: Value) -> Value:
    """Return the operation between two scalars, or between a vector and a scalar, in either order.

    Raises:
        ExecutionError: two series become the same without their names.
    """
    if isinstance(left, Frame):
        return _on_frame(operation, left, operation.on(left.values, _scalar(right)[None, :], kept=left.values))
    if isinstance(right, Frame):
        return _on_frame(operation, right, operation.on(left[None, :], right.values, kept=right.values))
    return operation.on(left, right, kept=left)[0]  # the parser has checked that a comparison of scalars has `bool`


def _scalar(value: Value) -> Numbers:
    assert not isinstance(value, Frame), "two vectors are matched, see matching.py"
    return value


def _on_frame(operation: Operation, frame: Frame, result: tuple[Numbers, Mask | bool]) -> Frame:
    values, where = result
    made = Frame(frame.labels, values, frame.present & where)
    return (made if operation.keeps_name else made.nameless()).filled()
