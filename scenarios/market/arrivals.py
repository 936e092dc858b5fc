"""trio: requests for files: when they come, for which file and from whom, and what a node does for a file that it wants.

Source: huberman-wu, section 2 (whoever wants a file downloads it).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator

import numpy as np
import trio

from netem.errors import Rejection
from scenarios.market.events import Arrival
from scenarios.testbed import AnyPeer, Bed

Fetch = Callable[[AnyPeer, int], Awaitable[None]]  # what a node does for a file that it wants


def arrival_times(
    chance: np.random.Generator, *, mean_s: float, from_s: float, for_s: float = math.inf
) -> Iterator[float]:
    """Yield the moments of a Poisson stream, in seconds, ascending, all before `from_s` + `for_s`; each is drawn when it is asked for.

    Args:
        chance: draws the gaps; between two of them it may be used for what arrives.
        mean_s: between two arrivals, > 0.
        from_s: when the stream begins.
        for_s: how long it lasts.
    """
    next_s, until_s = from_s, from_s + for_s
    while (next_s := next_s + float(chance.exponential(mean_s))) < until_s:
        yield next_s


async def let_requests_come(
    bed: Bed,
    p: np.ndarray,
    fetch: Fetch,
    *,
    chance: np.random.Generator,
    mean_s: float,
    is_out: Callable[[int], bool] = lambda _: True,
    customers: slice = slice(None),
    for_s: float = math.inf,
) -> None:
    """Let requests arrive until cancelled, or for so long; each picks a file by p and a random node that lacks it.

    Args:
        bed: a started testbed.
        p: shares of requests, float64 of shape (files,), summing to 1; a change in place counts from the next request on.
        fetch: what a node does for a file; what it is refused is told by the `DownloadStopped` event.
        chance: draws moments, files and nodes.
        mean_s: between two requests, > 0.
        is_out: tells whether a file can be asked for yet.
        customers: which of the peers ask.
        for_s: then no more requests come, and it returns when the last download has ended.
    """
    fetching: defaultdict[int, set[bytes]] = defaultdict(set)  # by file
    async with trio.open_nursery() as nursery:
        for next_s in arrival_times(chance, mean_s=mean_s, from_s=trio.current_time(), for_s=for_s):
            await trio.sleep_until(next_s)
            index = min(int(np.searchsorted(np.cumsum(p), chance.random(), side="right")), len(p) - 1)
            pick = chance.random()
            if not is_out(index):
                continue
            busy = fetching[index]
            free = [q for q in bed.peers[customers] if not q.holds(index) and q.node not in busy]
            peer = free[int(pick * len(free))] if free else None
            bed.emit(Arrival(index, peer.node if peer else b""))
            if peer is not None:
                busy.add(peer.node)
                nursery.start_soon(_fetch, peer, index, fetch, busy)


async def fetch_and_drop(peer: AnyPeer, index: int, *, serve: bool = True) -> None:
    """Let a node download a file and delete it at once: it may want it again, and adds next to nothing to what is on offer.

    Raises:
        Rejection: see `Peer.fetch`.
    """
    await peer.fetch(index, serve=serve)
    await peer.drop(index)


async def _fetch(peer: AnyPeer, index: int, fetch: Fetch, busy: set[bytes]) -> None:
    try:
        await fetch(peer, index)
    except Rejection:
        pass  # told by the DownloadStopped event
    finally:
        busy.discard(peer.node)
