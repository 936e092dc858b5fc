"""trio: open files by path, at most so many at once; blocking calls made inline.

Source: DESIGN section 4.
"""

from __future__ import annotations

import os
from collections import OrderedDict


class Descriptors:
    """Keep at most `limit` files open, closing the least recently used.

    Stores of one process may share one, so that their number does not matter.
    """

    def __init__(self, limit: int = 8) -> None:
        self._limit = limit
        self._open: OrderedDict[str, int] = OrderedDict()

    def get(self, path: str, flags: int) -> int:
        """Return a descriptor opened with `os.open`'s flags, the same for a path every time; it is valid until the next call.

        Raises:
            OSError: the file cannot be opened.
        """
        descriptor = self._open.get(path)
        if descriptor is not None:
            self._open.move_to_end(path)
            return descriptor
        self._open[path] = descriptor = os.open(path, flags | os.O_CLOEXEC)
        if len(self._open) > self._limit:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def close(self, path: str) -> None:
        """Close one file, if it is open."""
        descriptor = self._open.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)
