"""Pure: the storage policy that looks at nothing but time: what stores are like when nobody chooses."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from node.storage.base import Shelf, Storage


class OldestFirst(Storage):
    """Evict the file that came first, and fill what room there is in the order of the catalogue."""

    name: ClassVar[str] = "oldest_first"

    def worth(self, shelf: Shelf) -> np.ndarray:
        """Return the order of arrival, from 2 on; below 1 for what is not stored, less by index, so that nothing makes way for it."""
        later = 1.0 / (1.0 + np.array(shelf.files, dtype=np.float64))
        return np.where(shelf.stored, shelf.since + 2.0, later)
