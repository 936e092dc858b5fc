"""Pure: the errors of the whole project; each says whose fault it is.

Drivers catch `RemoteProtocolError` only. `InvariantViolation` is never caught below the composition root: it makes the run void.

Source: DESIGN section 7.
"""

from __future__ import annotations


class SwarmbedError(Exception):
    """Base of every error that this project raises on purpose."""


class ConfigError(SwarmbedError):
    """Report the experimenter's mistake, found before anything starts.

    Args:
        field: the parameter as the user writes it, such as `loss` or `--seed`.
        value: what was given.
        allowed: the allowed range or set, in words.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field}: {value!r} is not allowed; allowed: {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


class LocalProtocolError(SwarmbedError):
    """Report that our own code broke a protocol rule; nothing was sent and no state changed."""


class RemoteProtocolError(SwarmbedError):
    """Report that a peer broke a protocol rule; `kind` is the counter it falls under."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class BadFrame(RemoteProtocolError):
    """Report bytes that are no frame of ours: malformed, oversized, forged, replayed or expired (see `kind`)."""


class Rejection(SwarmbedError):
    """Say a legal no; `reason` is the code that goes over the wire."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class LedgerError(SwarmbedError):
    """Report a ledger that cannot be read or written (torn, tampered with, disk full); nothing was acknowledged."""


class OwnCodeError(SwarmbedError):
    """Report that the experimenter's own scenario or policy raised something in mid-run; the message names file and line."""


class RunVoid(SwarmbedError):
    """Report that a run cannot be believed any more, such as after the death of one of its processes; it stops at once."""


class InvariantViolation(SwarmbedError):
    """Report that something that must always hold did not; the run is void."""


def first_of(faults: BaseException) -> BaseException:
    """Return the first error of nested groups: what a user is told in one line."""
    while isinstance(faults, BaseExceptionGroup):
        faults = faults.exceptions[0]
    return faults
