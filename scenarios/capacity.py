"""Pure: how many nodes and packets per second a calibrated host can emulate in real time, and whether a run fits.

The model is linear, in CPU seconds a second: every node costs its heartbeats and its odds, every delivered block its whole
way through the market. What a process may use is the share of a core at which its lag and lateness still kept within the
fidelity limits when it was calibrated, with an even stream of packets. A crowd is not even, so a market may use less: its
mean load has to leave room for its peaks. A run at the edge may still be void.

Source: DESIGN section 3 (fidelity limits: lag and lateness p99 within 10 ms).
"""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
from msgspec import Meta

from scenarios.parameters import Params
from tracker.messages import BLOCK_BYTES

LIMIT_MS = 10.0
PEAK = (
    1.5  # of a market's load over its mean: runs that filled two thirds of what an even stream may use were borderline
)
VERSION = 1
SOCKETS_PER_NODE = 4  # UDP, both ends of the control connection, and an open file
SPARE_FILES = 300  # the tracker's sockets, the ledger, the stores' shared descriptors

Positive = Annotated[float, Meta(gt=0)]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of a host. Costs are CPU microseconds; `version` says what they mean.

    Args:
        packet_us: one 1200-byte packet on the impaired path, from `send` to its handler.
        block_us: one delivered block of a market at work, everything it takes included.
        node_us_per_s: one idle node: heartbeats, odds.
        share: of one core that a process may use before lag or lateness p99 exceeds 10 ms.
        lag_p99_ms: event-loop lag of a process that does almost nothing.
        lateness_p99_ms: lateness of its timers.
        open_files: limit of this process.
        cores: that processes of this user may run on.
        quick: measured in a fraction of a second, with `block_us` and `node_us_per_s` inferred from `packet_us`.
    """

    packet_us: Positive
    block_us: Positive
    node_us_per_s: Positive
    share: Annotated[float, Meta(gt=0, le=1)]
    lag_p99_ms: Annotated[float, Meta(ge=0)]
    lateness_p99_ms: Annotated[float, Meta(ge=0)]
    open_files: Annotated[int, Meta(ge=0)]
    cores: Annotated[int, Meta(ge=1)]
    quick: bool = False
    version: int = VERSION

    @property
    def packets_per_s(self) -> float:
        """Return how many packets per second one process can carry within the limits, doing nothing else."""
        return self.share * 1e6 / self.packet_us

    @property
    def market_share(self) -> float:
        """Return the share of a core that a market's mean load may take in one process."""
        return self.share / PEAK

    @property
    def steady(self) -> bool:
        """Say whether the host keeps within the limits at all, without load."""
        return max(self.lag_p99_ms, self.lateness_p99_ms) <= LIMIT_MS


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a run asks of its process: nodes, delivered blocks per second, and the share of a core that takes."""

    nodes: int
    blocks_per_s: float
    share: float


def expected_load(params: Params, calibration: Calibration) -> Load:
    """Return the mean load of a real-time run; a scenario without a `load` is reckoned to use all upload."""
    busy = min(float(getattr(params, "load", 1.0)), 1.0)
    blocks_per_s = params.nodes * params.upload_bytes_per_s * busy / BLOCK_BYTES
    cost_us = blocks_per_s * calibration.block_us + params.nodes * calibration.node_us_per_s
    return Load(nodes=params.nodes, blocks_per_s=blocks_per_s, share=cost_us / 1e6)


def most_nodes(params: Params, calibration: Calibration, *, processes: int = 1) -> int:
    """Return how many nodes of a scenario's kind fit into so many processes, each on a core of its own."""
    each = expected_load(params, calibration).share / params.nodes
    by_cpu = math.floor(calibration.market_share / each)
    by_files = max(0, calibration.open_files - SPARE_FILES) // SOCKETS_PER_NODE
    return processes * min(by_cpu, by_files)


def capacity_warning(params: Params, calibration: Calibration, *, processes: int = 1) -> str | None:
    """Say in one line that a real-time run in so many processes will probably not fit this host; None if it does."""
    load = expected_load(params, calibration)
    cores = min(processes, calibration.cores)
    fits = most_nodes(params, calibration, processes=cores)
    if not calibration.steady:
        return (
            f"this host is late without any load (lag p99 {calibration.lag_p99_ms:.1f} ms, lateness p99 "
            f"{calibration.lateness_p99_ms:.1f} ms, at most {LIMIT_MS:g} ms): a real-time run is probably void"
        )
    if params.nodes <= fits:
        return None
    if load.share <= calibration.market_share * cores:
        return (
            f"{params.nodes} nodes need more than the {calibration.open_files:,} open files allowed: raise `ulimit -n`"
        )
    return (
        f"{params.nodes} nodes and {load.blocks_per_s:,.0f} blocks/s take about {load.share:.1f} cores, and this host keeps "
        f"time up to a mean of {calibration.market_share * cores:.1f}: the run is probably void. About {fits} such nodes fit; else lower "
        f"upload_bytes_per_s, or use --time virtual"
    )
