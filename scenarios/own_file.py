"""trio: a text file of the experimenter's own, named by a parameter. Blocking, before a run."""

from __future__ import annotations

from pathlib import Path

from netem.errors import ConfigError

MOST_BYTES = 16 * 1024 * 1024


def read_own_text(field: str, path: str) -> str:
    """Return a file's text.

    Raises:
        ConfigError: it cannot be read, is larger than 16 MiB, or no text in UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ConfigError(field, path, "a file of at most 16 MiB")
        return data.decode()
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "no UTF-8"
        raise ConfigError(field, path, f"a text file that can be read ({reason})") from None
