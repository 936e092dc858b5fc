"""Pure: the policy of a peer that passes on what it fetched."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from node.policies.base import Policy, View


class Reseed(Policy):
    """Serve only the files it downloaded, all alike; before the first of them, those it published.

    Such a server offers a file with the probability with which it has just downloaded it, whatever the odds.

    Source: huberman-wu, section 3.4, footnote 1: a downloader that serves its files but never initiates to serve one.
    """

    name: ClassVar[str] = "reseed"

    def weights(self, view: View) -> np.ndarray:
        """Return 1 for each file downloaded and 0 for those published; all 0 means all alike."""
        return view.fetched.astype(np.float64)
