"""trio: what every ordinary role is: a peer that keeps the protocol, fetches and pays, and offers no file of its own.

Source: huberman-wu, sections 1 and 2: traders of which not everybody serves, and few begin to serve a file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from netem.errors import LocalProtocolError
from node.peer import Peer


class Ordinary(Peer, ABC):
    """A peer that differs from others only in what it does with the files that it fetched.

    Attributes:
        name: what it is found by.
    """

    name: ClassVar[str]

    async def publish_all(self, files: Sequence[tuple[str, Path]]) -> list[int]:
        """Refuse: this role begins to serve nothing.

        Raises:
            LocalProtocolError: always; nothing was told to the tracker.
        """
        raise LocalProtocolError(f"a {self.name} publishes nothing: {', '.join(name for name, _ in files)}")

    async def sell(self, name: str, source: Path, price_credits: int) -> int:
        """Refuse, as `publish_all` does."""
        raise LocalProtocolError(f"a {self.name} sells nothing: {name} ({source}) for {price_credits} micro-credits")

    @abstractmethod
    async def _serve_kept(self, index: int, *, fetched: bool) -> None:
        """Do what this role does with a file that is whole in its store: `fetched` just now, or before a restart."""
