"""trio: one role in its own process, on any host: a tracker, or a node that finds it by its address.

There is no run around it: nobody counts at the other end, so there is no certificate. Impairments are this process's own
sending ones, as everywhere.

Source: DESIGN section 6.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

import trio
from msgspec import Meta

from netem.errors import ConfigError
from netem.events import EventStream
from netem.network import Network
from netem.real_time import RealTime
from node.beliefs import make_beliefs
from node.content import scan
from node.peer import Peer, PeerConfig
from node.policies import make_policy
from node.store import Store
from scenarios.boots import boot
from scenarios.parameters import LinkParams
from scenarios.trace_file import TraceFile
from scenarios.tracker_address import TrackerAddress, way_to
from tracker.bank.bank import Bank
from tracker.desk import Terms
from tracker.identity import Identity
from tracker.tracker import Tracker

LOOK_S = 1.0  # how often a node looks for a file that is not there yet
IMPATIENT_S = 3.0
Say = Callable[[str], None]


class TrackerParams(LinkParams, frozen=True, kw_only=True):
    """What a tracker charges and grants."""

    fee_credits: Annotated[int, Meta(ge=1, le=10**12, description="flat fee per download, micro-credits")] = 1_000_000
    endowment_credits: Annotated[int, Meta(ge=0, le=10**15, description="granted at join, micro-credits")] = 10**8
    hold_s: Annotated[float, Meta(gt=0, le=86_400, description="how long a fee is held at most")] = 600.0


class NodeParams(LinkParams, frozen=True, kw_only=True):
    """How a node serves."""

    policy: Annotated[str, Meta(description="how to split the upload over the files")] = "proportional_response"


async def run_tracker(params: TrackerParams, *, listen: tuple[str, int], directory: Path, say: Say) -> None:
    """Run a tracker until SIGINT or SIGTERM; the first line it says is its address.

    Raises:
        ConfigError: the address cannot be listened on, or the directory cannot be used.
        LedgerError: the ledger cannot be written.
    """
    identity = boot(directory)
    clock = RealTime()
    terms = Terms(fee_credits=params.fee_credits, endowment_credits=params.endowment_credits, hold_s=params.hold_s)
    bank = Bank(directory / "ledger.sqlite", clock)

    async def play(network: Network, events: EventStream, services: trio.Nursery) -> None:
        tracker = Tracker(
            network.add_host("tracker", ip=listen[0]),
            clock,
            identity=identity,
            bank=bank,
            emit=events.emit,
            terms=terms,
            port=listen[1],
        )
        await services.start(tracker.run)
        say(str(TrackerAddress(*tracker.address, tracker.sign_key)))
        await trio.sleep_forever()

    try:
        await _run(play, params, clock=clock, identity=identity, directory=directory)
    finally:
        bank.close()


async def run_node(
    params: NodeParams,
    tracker: TrackerAddress,
    *,
    listen: str | None,
    directory: Path,
    publish: Sequence[Path],
    fetch: Sequence[str],
    once: bool,
    say: Say,
) -> None:
    """Run a node until SIGINT or SIGTERM, or with `once` until what it fetches is there.

    Args:
        params: link and node keys.
        tracker: where the tracker is.
        listen: this node's address; None takes the one that the way to the tracker starts from.
        directory: keeps identity, store, and below `files/` what was fetched.
        publish: files, or directories whose files are offered under their relative names.
        fetch: names in the catalogue; waited for if they are not there yet.
        once: end when all is fetched.
        say: takes lines for people.

    Raises:
        ConfigError: an address cannot be listened on, a path cannot be read, the policy is unknown.
        Rejection: the tracker says no, such as for want of credit.
    """
    offered = [file for path in publish for file in _files_at(path)]
    identity = boot(directory)
    clock = RealTime()

    async def play(network: Network, events: EventStream, services: trio.Nursery) -> None:
        host = network.add_host(
            "node",
            ip=listen or way_to(tracker),
            upload_bytes_per_s=params.upload_bytes_per_s,
            download_bytes_per_s=params.download_bytes_per_s,
        )
        config = PeerConfig(
            upload_bytes_per_s=params.upload_bytes_per_s,
            policy=make_policy(params.policy),
            beliefs=make_beliefs("learned"),
            run_seed=int.from_bytes(identity.node, "big"),
            tracker=(tracker.host, tracker.port),
            tracker_key=tracker.key,
        )
        store = Store(directory / "store")
        peer = Peer(host, clock, identity, store=store, config=config, emit=events.emit)
        async with trio.open_nursery() as waiting:
            waiting.start_soon(_grumble, tracker, say)
            await services.start(peer.run)
            waiting.cancel_scope.cancel()
        say(f"node {peer.node.hex()} at {host.ip} has joined {tracker.host}:{tracker.port} (boot {identity.epoch})")
        for name, path in offered:
            say(f"published {name!r} as file {await peer.publish(name, path)}")
        async with trio.open_nursery() as fetching:
            for name in fetch:
                fetching.start_soon(_fetch, peer, name, store, directory / "files", say)
        if not once:
            await trio.sleep_forever()

    await _run(play, params, clock=clock, identity=identity, directory=directory)


Play = Callable[[Network, EventStream, trio.Nursery], Awaitable[None]]


async def _run(play: Play, params: LinkParams, *, clock: RealTime, identity: Identity, directory: Path) -> None:
    """Play a role on a network of its own until it ends or a signal comes; then let its services say goodbye."""
    seed = int.from_bytes(identity.node, "big")
    network = Network(clock, run_seed=seed, default_link=params.link(), strangers=True)
    events = EventStream(clock.now_ns)
    with TraceFile(directory / "events.msgpack") as trace:
        events.subscribe(trace.fold)
        async with trio.open_nursery() as ground:
            ground.start_soon(clock.run)
            async with trio.open_nursery() as wires:
                await wires.start(network.run)
                with trio.CancelScope() as playing:
                    wires.start_soon(_end_at_signal, playing)
                    async with trio.open_nursery() as services:
                        await play(network, events, services)
                        services.cancel_scope.cancel()
                await trio.sleep(2 * params.link().mean_delay_s())  # the goodbye is still under way
                wires.cancel_scope.cancel()
            ground.cancel_scope.cancel()


async def _end_at_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


async def _grumble(tracker: TrackerAddress, say: Say) -> None:
    await trio.sleep(IMPATIENT_S)
    say(f"no answer from the tracker at {tracker.host}:{tracker.port} yet; still trying")


async def _fetch(peer: Peer, name: str, store: Store, into: Path, say: Say) -> None:  # noqa: PLR0917 - a task takes no keywords
    while not (found := [file for file in await peer.catalogue() if file.name == name]):  # noqa: ASYNC110 - the tracker announces no files
        await trio.sleep(LOOK_S)
    started_s = trio.current_time()
    if not peer.holds(found[0].index):
        await peer.fetch(found[0].index)
    path = _save(store.path(found[0].root), name, into)
    say(f"fetched {name!r}: {found[0].size_bytes:,} bytes in {trio.current_time() - started_s:.1f} s, as {path}")


def _save(whole: Path, name: str, into: Path) -> Path:
    """Give a stored file its name below a directory; a name that would lead elsewhere is replaced by its hash."""
    parts = PurePosixPath(name).parts
    tame = parts and not PurePosixPath(name).is_absolute() and ".." not in parts and "\0" not in name
    path = into.joinpath(*parts) if tame else into / whole.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.link(whole, path)  # both lie in the role's own directory
    return path


def _files_at(path: Path) -> list[tuple[str, Path]]:
    if path.is_dir():
        return list(scan(path))
    if not path.is_file():
        raise ConfigError("--publish", str(path), "a readable file or directory")
    return [(path.name, path)]
