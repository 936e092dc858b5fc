"""Every fault that the network knows hits one node in the midst of a download, one after the other: is anything lost when it ends?

Question: a node fetches the same file again and again while its links, its streams, its clock or its machine fail, or the
servers come and go. Does each download end with the right bytes once the fault is over, and is all money and every packet
accounted for?

Source: DESIGN sections 3 (faults) and 4 (receipts, settlement): what is lost on the way is asked for again, and paid for once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import trio

from netem.errors import Rejection, RemoteProtocolError
from netem.guard import Guard
from netem.sessions import poisson_sessions, read_sessions
from scenarios.claims import Claim, Record, compare
from scenarios.hosts import TRACKER
from scenarios.own_file import read_own_text
from scenarios.parameters import Params as CommonParams
from scenarios.parameters import param
from scenarios.shared_claims import byte_identical, fees_conserved, network_claims
from scenarios.testbed import Bed
from tracker.desk import Terms

VICTIM = "node-0"
HOLD_S = 45.0  # longer than a node takes to find out that its connection is half open
HEAD_START_S = 0.5  # a download is under way by then
SOURCE = "DESIGN section 4: what is missing is asked for again until it verifies"
NAMES = (
    *("loss", "partition", "one-way partition", "hold", "flap", "crash", "crash of a server", "pause", "wrong clock"),
    *("reset streams", "half-open streams", "churn of the servers"),
)


class Params(CommonParams, frozen=True, kw_only=True):
    """How long each fault lasts; the duration is the most that all of it may take."""

    duration_s: Annotated[float, param("the most that all faults and downloads may take", gt=0, le=86_400)] = 300.0
    nodes: Annotated[int, param("nodes beside the tracker; the first is the victim", unit="nodes", ge=3, le=1_000)] = 6
    fault_s: Annotated[float, param("how long each fault lasts", gt=0, le=600)] = 3.0
    sessions: Annotated[
        str, param("a CSV file with the servers' sessions (name,start_s,end_s), instead of random ones")
    ] = ""


async def run(bed: Bed) -> None:
    """Play the scenario: all but the first node publish one file, and the first fetches it through each fault."""
    file = max(bed.content, key=lambda file: (file.size_bytes, file.name))
    finished: list[str] = []
    bed.facts.update(files=[file], finished=finished)
    make = faults(bed)
    # The crash leaves a hold that nobody closes: it expires soon, so that the run need not wait.
    await bed.start(terms=Terms(hold_s=HOLD_S + 4 * bed.params.fault_s))
    with bed.lasting(bed.params.duration_s):
        for peer in bed.peers[1:]:
            index = await peer.publish(file.name, file.path)
        for name in NAMES:
            if bed.peers[0].holds(index):
                await bed.peers[0].drop(index)
            async with trio.open_nursery() as fetching:
                fetching.start_soon(_fetch, bed, index)
                await trio.sleep(HEAD_START_S)
                with make[name]():
                    await trio.sleep(bed.params.fault_s)
            finished.append(name)


def faults(bed: Bed) -> Mapping[str, Callable[[], Guard]]:
    """Return how to make each fault, by name.

    Raises:
        ConfigError: the file of sessions cannot be read, or makes no sense.
    """
    network, params = bed.network, bed.params
    servers = [f"node-{number}" for number in range(1, params.nodes)]
    others = [TRACKER, *servers]
    period_s = params.fault_s / 3
    sessions = poisson_sessions(
        servers,
        arrivals_per_s=len(servers) / params.fault_s,
        mean_session_s=params.fault_s,
        duration_s=params.fault_s,
        chance=bed.chance("churn"),
    )
    if params.sessions:
        sessions = read_sessions(read_own_text("sessions", params.sessions), source=params.sessions, names=servers)

    def once(act: Callable[[str, str], None]) -> Guard:
        act(TRACKER, VICTIM)
        return Guard(lambda: None)  # it is over at once

    return {
        "loss": lambda: network.impair(others, VICTIM, "loss 30% delay 20ms"),
        "partition": lambda: network.partition(VICTIM, others),
        "one-way partition": lambda: network.partition(others, VICTIM, one_way=True),
        "hold": lambda: network.hold(VICTIM, others),
        "flap": lambda: network.flap(VICTIM, others, period_s=period_s, random=True),
        "crash": lambda: network.crash(VICTIM),
        "crash of a server": lambda: network.crash(servers[0]),
        "pause": lambda: network.pause(VICTIM),
        "wrong clock": lambda: network.skew(VICTIM, offset_s=-3600.0, drift_ppm=500.0),
        "reset streams": lambda: once(network.reset_streams),
        "half-open streams": lambda: once(network.half_open),
        "churn of the servers": lambda: network.churn(sessions),
    }


async def _fetch(bed: Bed, index: int) -> None:
    """Fetch the file, as often as it takes: a crash ends a download, and the node that is back knows nothing of it."""
    while not bed.peers[0].holds(index):
        try:
            await bed.peers[0].fetch(index)
        except (Rejection, RemoteProtocolError):
            await trio.sleep(1)


def claims(record: Record) -> Sequence[Claim]:
    """Judge the run: each download, its bytes, the money and the network."""
    through = [
        compare(
            f"downloads through: {name}",
            predicted=1,
            measured=record.facts["finished"].count(name),
            tolerance=0,
            source=SOURCE,
            note="as many as ended before the duration was over",
        )
        for name in NAMES
    ]
    return [*through, byte_identical(record), fees_conserved(record), *network_claims(record)]
