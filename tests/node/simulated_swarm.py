"""A simulated lossy network of servers that pace blocks as the real ones do, around the pure download."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from heapq import heappop, heappush
from itertools import count

from netem.randomness import keyed_bytes, keyed_generator
from node.pace import NEVER_NS
from node.serving import LONG_WAIT_NS, Asked, FileQueue, Room
from node.swarm import Progress, Swarm
from tracker.manifest import manifest_root, piece_count
from tracker.messages import BLOCK_BYTES, PIECE_BYTES, Manifest

S = 1_000_000_000
DELAY_NS = 50_000_000
RTT_S = 0.1
KB = 1_000
DOWNLOAD, OTHER = b"d" * 16, b"o" * 16


def content(size_bytes):
    return keyed_bytes(1, "content", size_bytes, size=64) * (size_bytes // 64 + 1)


def manifest_of(data):
    pieces = [hashlib.sha256(data[i : i + PIECE_BYTES]).digest() for i in range(0, len(data), PIECE_BYTES)]
    assert len(pieces) == piece_count(len(data))
    return Manifest(name="f", size_bytes=len(data), pieces=pieces, root=manifest_root("f", len(data), pieces))


class World:
    """Servers with rates (bytes/s of blocks), a path with loss, delay and jitter, and one downloader."""

    def __init__(self, size_bytes, rates, *, loss=0.0, delay_ns=DELAY_NS, jitter_ns=0, bad=(), dead=(), run_seed=1):
        self.data = content(size_bytes)[:size_bytes]
        self.loss, self.delay_ns, self.jitter_ns = loss, delay_ns, jitter_ns
        self.bad, self.dead = set(bad), set(dead)
        self.rates = {i.to_bytes(8, "big"): rate for i, rate in enumerate(rates)}
        self.queues = {server: FileQueue(size_bytes, Room()) for server in self.rates}
        for server, queue in self.queues.items():
            queue.set_rate(self.rates[server])
        self.asked = {}  # by server and download
        self.swarm = Swarm(manifest_of(self.data), shuffle=run_seed)
        self.uniforms = keyed_generator(run_seed, "path")
        self.events, self.numbers = [], count()
        self.ticking, self.check_ns, self.now_ns = set(), None, 0
        self.pieces, self.sent, self.requested, self.bans = {}, Counter(), 0, []

    def at(self, when_ns, action, *args):
        heappush(self.events, (when_ns, next(self.numbers), action, args))

    def travel(self, action, *args):
        if self.uniforms.random() >= self.loss:
            self.at(self.now_ns + self.delay_ns + int(self.jitter_ns * self.uniforms.random()), action, *args)

    def request(self, ask):
        self.requested += 1
        assert 1 <= len(ask.runs) <= 64
        self.travel(self.on_request, *ask)

    def on_request(self, server, runs, replaces, download=DOWNLOAD):
        queue = self.queues[server]
        asked = self.asked.setdefault((server, download), Asked(download=download))
        if server not in self.dead:
            if replaces:
                queue.forget(asked)
            queue.enqueue(asked, runs, place=0 if download == OTHER else 1, now_ns=self.now_ns)
            wait_ns = queue.wait_ns(asked)
            if wait_ns > LONG_WAIT_NS:
                self.travel(self.on_queued, server, wait_ns)
            if server not in self.ticking:
                self.tick(server)

    def on_queued(self, server, wait_ns):
        self.swarm.on_queued(server, wait_ns=wait_ns, now_ns=self.now_ns)

    def tick(self, server):
        queue = self.queues[server]
        while due := queue.due(self.now_ns):
            asked, piece, block, _ = due
            self.send(server, asked.download, piece, block)
        next_ns = queue.next_ns()
        self.ticking.discard(server)
        if next_ns is not None:
            self.ticking.add(server)
            self.at(next_ns, self.tick, server)

    def send(self, server, download, piece, block):
        if download != DOWNLOAD:
            return
        self.sent[server] += 1
        start = piece * PIECE_BYTES + block * BLOCK_BYTES
        data = self.data[start : start + min(BLOCK_BYTES, PIECE_BYTES - block * BLOCK_BYTES)]
        if server in self.bad:
            data = bytes(len(data))
        self.travel(self.on_block, server, piece, block, data)

    def on_block(self, server, piece, block, data):
        progress = self.swarm.on_block(server, piece, block, data=data, now_ns=self.now_ns)
        if progress >= Progress.CHECKED:
            for accepted in self.swarm.take_finished():
                assert accepted.piece not in self.pieces
                assert sum(n for _, n in accepted.sources) == len(accepted.data)
                self.pieces[accepted.piece] = accepted.data
            self.check()
        elif self.swarm.hungry:
            if ask := self.swarm.requests_for(server, self.now_ns):
                self.request(ask)
            self.look_at(min(self.check_ns, self.swarm.nearer_ns))
            self.swarm.nearer_ns = NEVER_NS

    def check(self):
        rates = [flow.rate for flow in self.swarm._flows.values()]
        assert math.isclose(self.swarm._rate, sum(rates), rel_tol=1e-9, abs_tol=1e-9 * max(rates, default=0.0) + 1e-18)
        for ask in self.swarm.requests(self.now_ns):
            self.request(ask)
        self.look_at(self.swarm.next_check_ns())

    def look_at(self, when_ns):
        if when_ns != self.check_ns:
            self.check_ns = when_ns
            self.at(when_ns, self.on_timer, when_ns)

    def on_timer(self, set_for_ns):
        if set_for_ns == self.check_ns:
            self.check()

    def start(self):
        for server in self.rates:
            self.swarm.add_server(server)
        self.check()

    def run(self, limit_s=1_000.0):
        """Return the seconds until the file is whole and identical."""
        self.start()
        while not self.swarm.done:
            assert self.events, "stuck"
            self.now_ns, _, action, args = heappop(self.events)
            assert self.now_ns < limit_s * S, "too slow"
            action(*args)
        assert b"".join(self.pieces[i] for i in sorted(self.pieces)) == self.data
        assert sum(self.swarm.totals.values()) == len(self.data)
        return self.now_ns / S

    @property
    def duplicates(self):
        return sum(self.sent.values()) / -(-len(self.data) // BLOCK_BYTES) - 1.0
