"""trio: where a tracker is, as people pass it on, and which way leads there.

Source: DESIGN section 6.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from netem.errors import ConfigError
from tracker.identity import KEY_BYTES


@dataclass(frozen=True, slots=True)
class TrackerAddress:
    """Where a tracker listens, and the key it signs with: `HOST:PORT/KEY`, as `swarmbed tracker` prints it."""

    host: str
    port: int
    key: bytes

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.key.hex()}"

    @classmethod
    def parse(cls, text: str) -> TrackerAddress:
        """Read an address; names are looked up.

        Raises:
            ConfigError: it is no such address, or the name is not known.
        """
        place, _, key = text.partition("/")
        host, _, port = place.rpartition(":")
        try:
            found = socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_STREAM)[0][4]
            parsed = cls(str(found[0]), int(found[1]), bytes.fromhex(key))
        except (ValueError, OSError):
            parsed = cls("", 0, b"")
        if len(parsed.key) != KEY_BYTES or not 1 <= parsed.port <= 65_535:
            raise ConfigError("--tracker", text, "HOST:PORT/KEY, the first line that `swarmbed tracker` prints")
        return parsed


def way_to(tracker: TrackerAddress) -> str:
    """Return the address of this machine that packets to the tracker leave from.

    Raises:
        ConfigError: there is no way to the tracker.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((tracker.host, tracker.port))
        except OSError as fault:
            raise ConfigError("--tracker", str(tracker), f"an address there is a way to ({fault.strerror})") from None
        return str(probe.getsockname()[0])
