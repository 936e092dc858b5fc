"""trio: a node's presence on the network, for one boot: it joins, beats, hears the odds, and hands each datagram to its side.

Source: DESIGN section 4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import trio

from netem.clock import Clock
from netem.errors import BadFrame, RemoteProtocolError
from netem.events import Event
from netem.host import Endpoint, Host
from netem.randomness import keyed_bytes, keyed_generator
from netem.route import Address
from node.acquaintances import Acquaintances
from node.beliefs.base import Beliefs
from node.bidding import HEARTBEAT_NS, Bidding
from node.downloader import Downloader
from node.events import OddsHeard
from node.heartbeats import Heartbeats
from node.policies.base import Policy
from node.storage.base import Storage
from node.storage.best_earning import BestEarning
from node.store import Store
from node.tracker_link import TrackerLink
from node.turns import Turns
from node.uploader import Uploader
from tracker import messages as m
from tracker.blocks import BLOCK_BYTE
from tracker.events import FramesDropped
from tracker.identity import Identity
from tracker.session import open_broadcast
from tracker.wire import peek


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """What makes one peer; see the scenario's parameters for ranges and defaults."""

    upload_bytes_per_s: float
    policy: Policy
    beliefs: Beliefs
    run_seed: int
    tracker: Address
    tracker_key: bytes
    turns: Turns | None = None
    storage: Storage = field(default_factory=BestEarning)


class Presence:
    """What a node says and hears, whatever it does with its files (`node/peer.py`).

    Args:
        host: where its sockets live.
        store: its files; kept over a restart.
        emit: takes the events.

    Invariant: exactly the files in `_roots` are served, and bid on.
    """

    downloader_kind: ClassVar[type[Downloader]] = Downloader
    bidding_kind: ClassVar[type[Bidding]] = Bidding

    def __init__(
        self,
        host: Host,
        clock: Clock,
        identity: Identity,
        *,
        store: Store,
        config: PeerConfig,
        emit: Callable[[Event], None],
    ) -> None:
        self._host = host
        self._clock = clock
        self._identity = identity
        self._store = store
        self._config = config
        self._emit = emit
        self._roots: dict[int, bytes] = {}
        self._bidding = self.bidding_kind(
            config.policy,
            config.beliefs,
            upload_bytes_per_s=config.upload_bytes_per_s,
            turns=config.turns,
            chance=keyed_generator(config.run_seed, "bids", identity.node, identity.epoch).random,
        )
        self._pages_heard = self._first_board = 0
        self._publishing = 0  # batches that are not all there yet: a board heard meanwhile is answered after them
        self._downloaded: list[int] = []  # in order, so that ties go to the oldest; those of an earlier boot by index
        self.node = identity.node
        self.dropped: Counter[str] = Counter()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take part until cancelled, as after a crash of the host; started once the tracker has welcomed this node."""
        boot = self._host.boots
        endpoint = self._host.open_udp(self._on_datagram)
        try:
            self._open_sides(endpoint)
            await self._heartbeats.join()
            if self._identity.epoch > 1:
                await self._offer_stored()
            task_status.started()
            phase = int.from_bytes(keyed_bytes(self._config.run_seed, "heartbeat", self.node, size=4), "little")
            await self._heartbeats.run(phase * HEARTBEAT_NS >> 32)
        finally:
            endpoint.close()
            await self._link.leave()
            if self._host.boots != boot:
                await self._stop_fetching()
            odds = self._bidding.odds
            due = (odds.newest - self._first_board + 1) * len(odds.staleness()) if self._pages_heard else 0
            self._emit(OddsHeard(self.node, self._pages_heard, max(0, due - self._pages_heard)))
            if self.dropped:
                self._emit(FramesDropped(self.node.hex(), sorted(self.dropped.items())))

    def _open_sides(self, endpoint: Endpoint) -> None:
        host, port = endpoint.address
        config, identity = self._config, self._identity
        join = m.Join(identity.sign_key, identity.exchange_key, host, port, self._claimed_bytes_per_s())
        self._link = TrackerLink(
            self._host,
            identity,
            tracker=config.tracker,
            tracker_key=config.tracker_key,
            join=join,
            dropped=self.dropped,
        )
        self._acquaintances = Acquaintances(identity, tracker_key=config.tracker_key)
        self._uploader = Uploader(
            endpoint,
            self._clock,
            self._acquaintances,
            node=self.node,
            store=self._store,
            on_customer=config.beliefs.observe,
        )
        self._heartbeats = Heartbeats(
            endpoint,
            self._clock,
            link=self._link,
            tracker=config.tracker,
            bidding=self._bidding,
            uploader=self._uploader,
            roots=self._roots,
        )
        self._downloader = self.downloader_kind(
            endpoint,
            self._clock,
            self._acquaintances,
            node=self.node,
            epoch=identity.epoch,
            link=self._link,
            store=self._store,
            run_seed=config.run_seed,
            emit=self._emit,
        )

    async def _offer_stored(self) -> None:
        """Offer what an earlier boot has left in the store: a node with files does."""

    async def _stop_fetching(self) -> None:
        """End all downloads, so that the next boot finds their files closed: a node with downloads does."""

    def _claimed_bytes_per_s(self) -> float:
        return self._config.upload_bytes_per_s

    def _rebid(self) -> None:
        """Split the upload anew: on a new board, and when the set of held files changes."""
        if self._publishing:
            return
        self._uploader.set_rates(self._bidding.rebid(self._roots, fetched=self._downloaded))

    # -- datagrams --------------------------------------------------------------------------------------------------

    def _on_datagram(self, data: bytes, source: Address) -> None:
        try:
            if data[:1] == BLOCK_BYTE:
                self._downloader.on_block(data)
            else:
                self._on_control(data, source)
        except RemoteProtocolError as fault:
            self.dropped[fault.kind] += 1

    def _on_control(self, data: bytes, source: Address) -> None:
        header = peek(data)
        kind = header.type
        board = self._link.board
        if kind is m.Odds:
            self._on_odds(data)
        elif kind is m.Request:
            self._uploader.on_request(data, header, source=source, board=board)
        elif self._link.session is not None and header.sender == self._link.session.peer:
            self._on_tracker(self._link.session.open(data, board=board, header=header))
        else:
            self._on_message(self._acquaintances.open(data, header, board=board), data, sender=header.sender)

    def _on_tracker(self, message: m.Message) -> None:
        """Take an authentic message from the tracker."""
        if isinstance(message, m.Reject):
            self._heartbeats.outside = True
        elif isinstance(message, m.Refusal):
            self._uploader.on_bounced(message)
        elif isinstance(message, m.Standing):
            self._bidding.budget = message.share
        else:
            raise BadFrame("unexpected", type(message).__name__)

    def _on_message(self, message: m.Message, datagram: bytes, *, sender: bytes) -> None:
        """Take an authentic message from a node we know."""
        if isinstance(message, m.Queued):
            self._downloader.on_queued(message, sender=sender)
        elif isinstance(message, m.Refusal):
            self._downloader.on_refusal(message, sender=sender)
        elif isinstance(message, m.Receipt):
            self._uploader.on_receipt(message, datagram, sender=sender)
        elif isinstance(message, m.Done):
            self._uploader.on_done(message, sender=sender)
        else:
            raise BadFrame("unexpected", type(message).__name__)

    def _on_odds(self, data: bytes) -> None:
        board, page = open_broadcast(data, self._config.tracker_key)
        if self._bidding.odds.add(board, page):
            self._heartbeats.heard_ns = self._clock.now_ns()
            self._first_board = self._first_board if self._pages_heard else board
            self._pages_heard += 1
            # Once a board, when its last page is there: a step for each page would be several on the same odds.
            if self._bidding.odds.board > self._link.board:
                self._link.board = self._bidding.odds.board
                self._rebid()
