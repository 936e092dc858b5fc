"""Pure: what the first process of a run and its workers say to each other, over pipes.

These are our own processes on one machine: there is nothing to sign, and nothing is lost. Order is kept in each direction.

Source: DESIGN section 3 (several processes: each link is shaped by its sender's, download queues by the receiver's).
"""

from __future__ import annotations

from typing import Any

import msgspec

from netem.changes import AnyChange
from netem.reading import Reading

Address = tuple[str, int]


def part_of(kind: str, first_host: str) -> str:
    """Return the name of the file of a kind that the process of some hosts writes, by the first of them."""
    return f"{kind}.{first_host}.part"


class HostPlan(msgspec.Struct, frozen=True, array_like=True):
    """A host of the network; rates in bytes/s, the queue of its access link in bytes."""

    name: str
    upload_bytes_per_s: float
    download_bytes_per_s: float
    queue_bytes: int


class Cast(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What one peer plays: its policy and when it decides anew ("" is as the policy does), its beliefs, and its role ("" is none)."""

    policy: str = "proportional_response"
    turns: str = ""
    beliefs: str = "learned"
    prior: list[float] = []
    noise: float = 0.0
    storage: str = "best_earning"
    role: str = ""


class PeerPlan(msgspec.Struct, frozen=True, array_like=True):
    """What the peers of a run are told; who is not named in `casts` plays `default`."""

    default: Cast
    casts: dict[str, Cast]
    run_seed: int
    tracker: Address
    tracker_key: bytes

    def cast(self, name: str) -> Cast:
        """Return what the peer on a host plays."""
        return self.casts.get(name, self.default)


class ToWorker(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of what a worker is told."""


class Prepare(ToWorker, frozen=True):
    """Build the network: all `hosts` in order, of which those named in `mine` live in this worker. Answer: Prepared.

    `link` is what links do where the `topology` (TOML, or nothing) does not say otherwise; `regions` are those of the hosts.
    It writes its part of the fates into the directory, and with `capture` one of the capture.
    """

    base_ns: int
    hosts: list[HostPlan]
    mine: list[str]
    link: bytes
    topology: str
    regions: list[tuple[str, str]]
    directory: str
    plan: PeerPlan
    capture: bool


class Join(ToWorker, frozen=True):
    """Start the peers; answer Joined when the tracker has welcomed all. Everybody is prepared by now."""


class Call(ToWorker, frozen=True):
    """Call a method of a peer; answer Returned or Failed with the same number."""

    number: int
    peer: str
    method: str
    arguments: list[Any]


class Cancel(ToWorker, frozen=True):
    """Cancel a call; it is still answered."""

    number: int


class Disturb(ToWorker, frozen=True):
    """Make a live change to the network."""

    change: AnyChange


class Read(ToWorker, frozen=True):
    """Read the network's counters at once; answer Readings with the same number."""

    number: int


class Leave(ToWorker, frozen=True):
    """Stop all peers; answer Left when they have said goodbye."""


class Halt(ToWorker, frozen=True):
    """Let nothing depart any more; answer Halted."""


class Report(ToWorker, frozen=True):
    """Read what lies in the sockets, send Readings, number 0, and the account in Parts, then Finished, and end."""


class FromWorker(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of what a worker says."""


class Prepared(FromWorker, frozen=True):
    """See Prepare."""


class Joined(FromWorker, frozen=True):
    """The node ids of the worker's peers, in the order of `mine`."""

    nodes: list[bytes]


class Returned(FromWorker, frozen=True):
    """A call's result, as the MessagePack of its value."""

    number: int
    value: bytes


class Failed(FromWorker, frozen=True):
    """The error that a call ended with: its class's name and arguments; `Cancelled` for a cancelled one."""

    number: int
    error: str
    arguments: list[str]


class Events(FromWorker, frozen=True):
    """Events, each the MessagePack of (time in ns, event)."""

    events: list[bytes]


class Left(FromWorker, frozen=True):
    """See Leave."""


class Halted(FromWorker, frozen=True):
    """See Halt."""


class Readings(FromWorker, frozen=True):
    """What was read of this worker's part of the network."""

    number: int
    reading: Reading


class Part(FromWorker, frozen=True):
    """A part of the worker's account (`netem.account_parts.pack`)."""

    data: bytes


class Finished(FromWorker, frozen=True):
    """The worker's last word."""


class Broken(FromWorker, frozen=True):
    """What makes the run void, though the worker goes on until it is told to leave."""

    reason: str


class Refused(FromWorker, frozen=True):
    """What was asked cannot be prepared: the arguments of a ConfigError."""

    field: str
    value: str
    allowed: str


AnyOrder = Prepare | Join | Call | Cancel | Disturb | Read | Leave | Halt | Report
AnyAnswer = (
    Prepared | Joined | Returned | Failed | Events | Left | Halted | Readings | Part | Finished | Refused | Broken
)

encode = msgspec.msgpack.encode
decode_order = msgspec.msgpack.Decoder(AnyOrder).decode
decode_answer = msgspec.msgpack.Decoder(AnyAnswer).decode
