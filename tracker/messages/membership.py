"""Pure: messages about who takes part and what it owns, and the two answers that any request may get."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tracker.messages.fields import Credits, HostName, Key, Message, Port, Reason, Text


class Join(Message, frozen=True):
    """A node asks to take part. Signed with `sign_key`, of which the sender's id is the hash."""

    sign_key: Key
    exchange_key: Key  # X25519, fresh per boot: session keys are agreed from it
    host: HostName
    port: Port
    upload_bytes_per_s: Annotated[float, Meta(ge=0)]


class Welcome(Message, frozen=True):
    """The tracker's answer to `Join`: the session key's other half and the node's balance. Signed, as no key is shared yet."""

    sign_key: Key
    exchange_key: Key
    board: int
    balance_credits: int


class Leave(Message, frozen=True):
    """A node says goodbye; what it held stops being offered."""


class Ok(Message, frozen=True):
    """A request was carried out."""


class Reject(Message, frozen=True):
    """A legal no, with its reason code."""

    reason: Reason
    detail: Text = ""


class GetBalance(Message, frozen=True):
    """Ask for the sender's own balance."""


class Balance(Message, frozen=True):
    """An account's free balance and what is held of it."""

    free_credits: int
    held_credits: Credits
