"""Pure: what every live change of a network returns: it undoes the change, when it is used as a guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self


class Guard:
    """Undo a change when the `with` block ends, by an error too; without one the change stays until `end`.

    Args:
        undo: takes the change back; called at most once.
    """

    def __init__(self, undo: Callable[[], None]) -> None:
        self._undo: Callable[[], None] | None = undo

    def end(self) -> None:
        """Take the change back now. Idempotent."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
