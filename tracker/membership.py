"""Pure: who takes part: joins by boot, heartbeats with the declared split, leaving and expiry.

Source: DESIGN section 4.
"""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass, field

from netem.errors import Rejection, RemoteProtocolError
from tracker.identity import node_id
from tracker.messages import Heartbeat, Join

SPLIT_TOLERANCE = 1e-6
"""How far above 1 the shares of a heartbeat may add up, for rounding."""


@dataclass(slots=True)
class Member:
    """One boot of a node that takes part.

    `split` is its declared f_ij by file index, shares in [0, 1] that add up to 1 (or empty), from its last whole
    heartbeat; `seen_ns` is when it was last heard of.
    """

    node: bytes
    sign_key: bytes
    exchange_key: bytes
    epoch: int
    host: str
    port: int
    upload_bytes_per_s: float
    seen_ns: int
    split: dict[int, float] = field(default_factory=dict)
    _pages: list[dict[int, float] | None] = field(default_factory=list)

    def declare(self, beat: Heartbeat, bids: dict[int, float]) -> None:
        """Take a page of the split; the new split holds once every page has come since their number changed.

        Pages of two heartbeats may mix while the split shifts, so the whole is normalised: more cannot be gained by it.
        """
        if len(self._pages) != beat.pages:
            self._pages = [None] * beat.pages
        self._pages[beat.page] = bids
        whole: dict[int, float] = {}
        for page in self._pages:
            if page is None:
                return
            whole.update(page)
        total = math.fsum(whole.values())
        self.split = {file: share / total for file, share in sorted(whole.items()) if share > 0} if total > 0 else {}


class Membership:
    """The nodes that take part.

    Invariant: at most one boot of a node is a member, and never an earlier one after a later.
    """

    __slots__ = ("_boots", "_members")

    def __init__(self) -> None:
        self._members: dict[bytes, Member] = {}
        # By node, the newest boot seen: (epoch, exchange key), and no key once it left. Kept for ever, or an old join
        # could be replayed.
        self._boots: dict[bytes, tuple[int, bytes]] = {}

    def join(self, join: Join, *, epoch: int, now_ns: int) -> Member:
        """Let a boot of a node take part, in place of an earlier one; its id is the hash of its signing key.

        The same boot may join again (a connection broke, or it was out of sight for a while) until it leaves.

        Raises:
            RemoteProtocolError: `bad-join`: the claimed upload is infinite.
            Rejection: `stale-epoch`: a boot as new as this one was here already, and this one is another or has left.
                Nothing changed.
        """
        if not math.isfinite(join.upload_bytes_per_s):
            raise RemoteProtocolError("bad-join", "an infinite upload rate")
        node = node_id(join.sign_key)
        known_epoch, known_key = self._boots.get(node, (-1, b""))
        if epoch < known_epoch or (epoch == known_epoch and join.exchange_key != known_key):
            raise Rejection("stale-epoch", f"epoch {epoch}, seen {known_epoch}")
        present = self._members.get(node)
        member = Member(
            node,
            join.sign_key,
            join.exchange_key,
            epoch,
            join.host,
            join.port,
            upload_bytes_per_s=join.upload_bytes_per_s,
            seen_ns=now_ns,
            split=present.split if present is not None and present.epoch == epoch else {},
        )
        self._boots[node] = (epoch, join.exchange_key)
        self._members[node] = member
        return member

    def heartbeat(self, node: bytes, beat: Heartbeat, now_ns: int, *, held: Container[int]) -> None:
        """Note that a member is alive, and a page of its declared split.

        What it bids on files that are not `held` by it is void: kept, it would only fill our memory.

        Raises:
            RemoteProtocolError: `unknown-node`: it is no member; `bad-bids`: a page that is not there, a file twice, or
                shares that add up to more than 1. Nothing changed.
        """
        member = self._members.get(node)
        if member is None:
            raise RemoteProtocolError("unknown-node")
        bids = dict(beat.bids)
        fits = beat.page < beat.pages and len(bids) == len(beat.bids)
        if not fits or not math.fsum(bids.values()) <= 1 + SPLIT_TOLERANCE:
            raise RemoteProtocolError("bad-bids")
        member.seen_ns = now_ns
        member.declare(beat, {index: share for index, share in bids.items() if index in held})

    def leave(self, node: bytes) -> None:
        """Take a node out; this boot cannot join again. A node that is no member is left alone."""
        member = self._members.pop(node, None)
        if member is not None:
            self._boots[node] = (member.epoch, b"")

    def expire(self, now_ns: int, *, after_ns: int) -> list[bytes]:
        """Take out the members not heard of for more than `after_ns`; return their ids, sorted. They may join again."""
        silent = sorted(node for node, member in self._members.items() if now_ns - member.seen_ns > after_ns)
        for node in silent:
            del self._members[node]
        return silent

    def get(self, node: bytes) -> Member | None:
        """Return a member, or None."""
        return self._members.get(node)

    def current(self, node: bytes, *, epoch: int) -> Member:
        """Return a member that is here with this boot.

        Raises:
            RemoteProtocolError: `not-a-member`: it expired, or a later boot is in. Hanging up tells it to join again.
        """
        member = self._members.get(node)
        if member is None or member.epoch != epoch:
            raise RemoteProtocolError("not-a-member")
        return member

    def members(self) -> list[Member]:
        """Return all members, sorted by id."""
        return [self._members[node] for node in sorted(self._members)]
