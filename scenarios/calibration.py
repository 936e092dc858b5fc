"""trio: measures what this host can emulate in real time, and keeps the figures for later runs.

The figures are kept in `swarmbed/calibration.json` below $XDG_CACHE_HOME, or below ~/.cache. They are a convenience: a file
that cannot be read, or is of another version, counts as none.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import trio

from netem.errors import ConfigError
from netem.network import Network
from netem.randomness import keyed_generator
from netem.real_time import RealTime
from netem.route import HEADER_BYTES, MAX_DATAGRAM_BYTES
from scenarios.bench.path import LINK, impaired_us
from scenarios.capacity import LIMIT_MS, VERSION, Calibration
from scenarios.parameters import Params
from scenarios.process import allow_many_sockets, rare_collections
from scenarios.real_bed import real_bed
from scenarios.testbed import Bed
from tracker.desk import Terms
from tracker.messages import BLOCK_BYTES

SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)  # of a core, tried from the top
TRIED_S = 0.6
IDLE_S = 1.5
DRAIN_S = 0.5
PACKETS, QUICK_PACKETS = 16_000, 3_000
QUICK_PROBE_S = 0.1
# What the quick measure assumes; `swarmbed calibrate` measures all three.
QUICK_SHARE, BLOCK_IN_PACKETS, NODE_IN_PACKETS_PER_S = 0.6, 26.0, 90.0

_MARKET = Params(nodes=60, upload_bytes_per_s=400_000.0)
_SERVERS = 4
_FILE_BYTES = 1024 * BLOCK_BYTES
_TICK_S = 0.002


def calibrate() -> Calibration:
    """Measure this host; it takes some seconds, and what else runs on the host meanwhile counts."""
    allow_many_sockets()
    with rare_collections(), TemporaryDirectory() as directory:
        packet_us = min(impaired_us(PACKETS // 4) for _ in range(4))
        lag_p99_ms, lateness_p99_ms = trio.run(_punctuality_ms, 0.0, TRIED_S)
        share = next((share for share in SHARES if _keeps_time(share, packet_us)), SHARES[-1])
        node_us_per_s, block_us = trio.run(_market_us, Path(directory))
    return Calibration(
        packet_us=packet_us,
        block_us=block_us,
        node_us_per_s=node_us_per_s,
        share=share,
        lag_p99_ms=lag_p99_ms,
        lateness_p99_ms=lateness_p99_ms,
        open_files=_open_files(),
        cores=len(os.sched_getaffinity(0)),
    )


def quick_calibration() -> Calibration:
    """Guess in a fifth of a second what `calibrate` would measure."""
    packet_us = min(impaired_us(QUICK_PACKETS // 3) for _ in range(3))  # what else runs on the host makes some slower
    lag_p99_ms, lateness_p99_ms = trio.run(_punctuality_ms, 0.0, QUICK_PROBE_S)
    return Calibration(
        packet_us=packet_us,
        block_us=packet_us * BLOCK_IN_PACKETS,
        node_us_per_s=packet_us * NODE_IN_PACKETS_PER_S,
        share=QUICK_SHARE,
        lag_p99_ms=lag_p99_ms,
        lateness_p99_ms=lateness_p99_ms,
        open_files=_open_files(),
        cores=len(os.sched_getaffinity(0)),
        quick=True,
    )


def cache_path() -> Path:
    """Return where the figures are kept."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a path that is not absolute is to be ignored.
    folder = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return folder / "swarmbed" / "calibration.json"


def saved_calibration() -> Calibration | None:
    """Return the figures of the last `swarmbed calibrate` on this host, None if there are none that can be used."""
    try:
        saved = msgspec.json.decode(cache_path().read_bytes(), type=Calibration)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return saved if saved.version == VERSION else None


def save_calibration(calibration: Calibration) -> Path:
    """Keep the figures and return where.

    Raises:
        ConfigError: the file cannot be written.
    """
    path = cache_path()
    fresh = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(calibration)))
        fresh.replace(path)
    except OSError as fault:
        raise ConfigError("XDG_CACHE_HOME", str(path), f"a file that can be written ({fault.strerror})") from None
    return path


def _open_files() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # a run raises its limit to this one


def _keeps_time(share: float, packet_us: float) -> bool:
    return max(trio.run(_punctuality_ms, share * 1e6 / packet_us, TRIED_S)) <= LIMIT_MS


async def _punctuality_ms(packets_per_s: float, duration_s: float) -> tuple[float, float]:
    """Return the p99 of loop lag and of departure lateness while so many packets are sent, in ms."""
    clock = RealTime()
    network = Network(clock, run_seed=1, default_link=LINK)
    data = bytes(MAX_DATAGRAM_BYTES - HEADER_BYTES)
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        nursery.start_soon(clock.run)
        sender = network.add_host("sender").open_udp(lambda *_: None)
        target = network.add_host("receiver").open_udp(lambda *_: None).address
        start_s, sent = trio.current_time(), 0
        while (elapsed_s := trio.current_time() - start_s) < duration_s:
            # At least one: without any there would be no lateness to measure.
            while sent <= elapsed_s * packets_per_s:
                sender.send(data, target)
                sent += 1
            await trio.sleep(_TICK_S)
        nursery.cancel_scope.cancel()
    return network.lag.histogram.quantile_ns(0.99) / 1e6, network.fates.lateness.quantile_ns(0.99) / 1e6


async def _market_us(directory: Path) -> tuple[float, float]:
    """Return what an idle node costs a second and what a delivered block costs, in CPU microseconds."""
    shared = directory / "shared"
    shared.write_bytes(keyed_generator(1, "calibration").bytes(_FILE_BYTES))
    async with real_bed(_MARKET, directory, link=_MARKET.link(), drain_s=DRAIN_S) as bed:
        await bed.start(terms=Terms(), policy="fixed")
        costs = await _market_at_work_us(bed, shared)
        await bed.tracker.wait_settled()
    return costs


async def _market_at_work_us(bed: Bed, shared: Path) -> tuple[float, float]:
    began_s = time.process_time()
    await trio.sleep(IDLE_S)
    idle_share = (time.process_time() - began_s) / IDLE_S
    index = 0
    for peer in bed.peers[:_SERVERS]:
        index = await peer.publish("shared", shared)
    customers = bed.peers[_SERVERS : 2 * _SERVERS]
    began_s, start_s = time.process_time(), time.monotonic()
    async with trio.open_nursery() as crowd:
        for peer in customers:
            crowd.start_soon(peer.fetch, index)
    busy_s = time.process_time() - began_s - idle_share * (time.monotonic() - start_s)
    blocks = len(customers) * _FILE_BYTES // BLOCK_BYTES
    return idle_share / len(bed.peers) * 1e6, busy_s / blocks * 1e6
