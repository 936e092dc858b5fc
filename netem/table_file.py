"""Pure: tables of jitter from files, as iproute2 keeps them: integers, 8192 for one jitter, `#` begins a comment.

It reads the experimenter's own file, at the start, and nothing else.

Source: `get_distribution` of iproute2's `q_netem.c`.
"""

from __future__ import annotations

import numpy as np

from netem.errors import ConfigError

MOST_ENTRIES = 16_384
_FIELD = "delay distribution"


def read_table(path: str) -> bytes:
    """Return the entries of a table's file as int16, little-endian.

    Raises:
        ConfigError: it cannot be read, holds no integers from -32768 to 32767, too many, or only equal ones.
    """
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - a pure module has no pathlib
            lines = file.read(64 * MOST_ENTRIES).splitlines()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(_FIELD, path, f"a file that can be read ({reason})") from None
    words = [word for line in lines for word in line.partition("#")[0].split()]
    if not 2 <= len(words) <= MOST_ENTRIES:
        raise ConfigError(_FIELD, f"{path} with {len(words)} entries", f"2 to {MOST_ENTRIES} entries")
    try:
        entries = np.array([int(word) for word in words])
    except ValueError as error:
        raise ConfigError(_FIELD, path, f"whole numbers and # comments ({error})") from None
    if entries.min() < -32_768 or entries.max() > 32_767:
        raise ConfigError(_FIELD, path, "entries from -32768 to 32767")
    if entries.min() == entries.max():
        raise ConfigError(_FIELD, path, "entries that differ")
    return entries.astype("<i2").tobytes()
