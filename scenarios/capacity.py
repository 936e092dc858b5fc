"""Pure: how many nodes and packets per second a calibrated host can emulate in real time, and whether a run fits.

The model is linear, in CPU seconds a second: every node costs its heartbeats and its odds, every delivered block its whole
way through the market. What a process may use is the share of a core at which its lag and lateness still kept within the
fidelity limits when it was calibrated, with an even stream of packets. A crowd is not even, so what it asks for counts with its
peaks. A run at the edge may still be void; one whose demand is fitted to the host keeps a distance from it.

Source: DESIGN section 3 (fidelity limits: lag and lateness p99 within 10 ms).
"""

from __future__ import annotations

import bisect
import math
from typing import Annotated

import msgspec
from msgspec import Meta

from scenarios.parameters import Params
from tracker.messages import BLOCK_BYTES

LIMIT_MS = 10.0
PEAK = (
    1.5  # of a crowd's load over its mean: runs that filled two thirds of what an even stream may use were borderline
)
SPARE = 0.5  # of what the host can carry is left to others who use it, when a demand is lowered to fit
LEAST_DEMAND = 0.1  # of what was wanted: with less there would be no market to look at
VERSION = 1
MOST_NODES = 5_000
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
    def steady(self) -> bool:
        """Say whether the host keeps within the limits at all, without load."""
        return max(self.lag_p99_ms, self.lateness_p99_ms) <= LIMIT_MS


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a run asks of its process: nodes, delivered blocks per second, and the share of a core they take.

    `share` is the mean, `peak_share` counts the blocks with their peaks.
    """

    nodes: int
    blocks_per_s: float
    share: float
    peak_share: float


def expected_load(params: Params, calibration: Calibration) -> Load:
    """Return the mean load of a real-time run; more than all upload cannot be served."""
    served_bytes_per_s = min(params.wanted_bytes_per_s(), params.nodes * params.upload_bytes_per_s)
    blocks_per_s = served_bytes_per_s / BLOCK_BYTES
    blocks, idle = blocks_per_s * calibration.block_us / 1e6, params.nodes * calibration.node_us_per_s / 1e6
    return Load(nodes=params.nodes, blocks_per_s=blocks_per_s, share=idle + blocks, peak_share=idle + PEAK * blocks)


def fitting_demand_bytes_per_s(params: Params, calibration: Calibration, *, processes: int = 1) -> float:
    """Return the demand that so many processes carry: what is wanted if that fits, else in two digits what leaves `SPARE`.

    It is at least `LEAST_DEMAND` of what is wanted, even if that does not fit.
    """
    if expected_load(params, calibration).peak_share <= _room(calibration, processes):
        return params.wanted_bytes_per_s()
    room = _room(calibration, processes) * (1 - SPARE) - params.nodes * calibration.node_us_per_s / 1e6
    demand = room * 1e6 / (PEAK * calibration.block_us) * BLOCK_BYTES
    demand = max(demand, LEAST_DEMAND * params.wanted_bytes_per_s())
    digit = 10.0 ** (math.floor(math.log10(demand)) - 1)
    return math.floor(demand / digit) * digit


def _room(calibration: Calibration, processes: int) -> float:
    """Return the cores' worth of time that processes may use; more of them than there are cores carry no more."""
    return calibration.share * min(processes, calibration.cores)


def most_nodes(params: Params, calibration: Calibration, *, processes: int = 1) -> int:
    """Return how many nodes of a scenario's kind fit into so many processes, each on a core of its own."""
    by_files = processes * (max(0, calibration.open_files - SPARE_FILES) // SOCKETS_PER_NODE)

    def too_much(nodes: int) -> bool:
        asked = msgspec.structs.replace(params, nodes=nodes)
        return expected_load(asked, calibration).peak_share > _room(calibration, processes)

    # Load grows with the nodes, if not in proportion: a crowd may have a bound of its own.
    return min(by_files, bisect.bisect_left(range(MOST_NODES + 1), True, key=too_much) - 1)


def processes_needed(params: Params, calibration: Calibration) -> int:
    """Return the fewest processes that a real-time run fits into, each on a core of its own; all cores if none do."""
    enough = (n for n in range(1, calibration.cores) if params.nodes <= most_nodes(params, calibration, processes=n))
    return next(enough, calibration.cores)


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
    if load.peak_share <= _room(calibration, cores):
        return (
            f"{params.nodes} nodes need more than the {calibration.open_files:,} open files allowed: raise `ulimit -n`"
        )
    return (
        f"{params.nodes} nodes and {load.blocks_per_s:,.0f} blocks/s take about {load.share:.1f} cores, at times "
        f"{load.peak_share:.1f}, and {cores} of this host keep time up to {_room(calibration, cores):.1f}: the run may be void. "
        f"About {fits} such nodes fit; or ask for less, or use --time virtual"
    )
