"""trio: who a role in its own process is, from boot to boot.

Source: DESIGN section 4 (`epoch` is the boot counter).
"""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from netem.errors import ConfigError
from tracker.identity import Identity


class _Boots(msgspec.Struct):
    """What a role keeps of itself from boot to boot."""

    secret: str
    boots: int


def boot(directory: Path) -> Identity:
    """Return the identity kept in a directory, for one more boot; it is made at the first.

    Raises:
        ConfigError: the directory cannot be used, or what is kept there is no identity.
    """
    path = directory / "identity.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        kept = _Boots(secrets.token_hex(32), 0)
        if path.exists():
            kept = msgspec.json.decode(path.read_bytes(), type=_Boots)
        kept.boots += 1
        identity = Identity(bytes.fromhex(kept.secret), epoch=kept.boots)
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgspec.json.encode(kept))
        fresh.replace(path)
    except (OSError, ValueError, msgspec.DecodeError) as fault:
        raise ConfigError("--dir", str(directory), f"a directory of this role's own ({fault})") from None
    return identity
