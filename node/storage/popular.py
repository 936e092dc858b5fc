"""Pure: the storage policy of a server that has what most people want.

Source: huberman-wu, section 1 (providers with a finite amount of memory and bandwidth tend to offer the most popular content).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from node.storage.base import Shelf, Storage


class Popular(Storage):
    """Store the files that are asked for most, whatever the odds and the price: all servers the same ones."""

    name: ClassVar[str] = "popular"

    def worth(self, shelf: Shelf) -> np.ndarray:
        """Return p_ij."""
        return shelf.beliefs
