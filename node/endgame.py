"""Pure: the end of a download: asking again, elsewhere, for blocks that would come late.

When every block is asked, the download lasts as long as the slowest answer. A server with nothing to do may then fetch what it
would bring much sooner than those it was asked of. The margin keeps the blocks fetched twice few.

Source: DESIGN section 4 (endgame).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from node.content import BLOCKS_PER_PIECE
from node.pieces import Piece
from node.server_flow import FIRST_TIMEOUT_NS, NEVER_NS, ServerFlow

MARGIN = 1.5
MARGIN_NS = 20_000_000


def arrivals(flows: Iterable[ServerFlow], active: Mapping[int, Piece], now_ns: int) -> list[tuple[int, int]]:
    """Estimate when each outstanding, still missing block will come: (time in ns, key), the latest first.

    A block asked of several servers comes with the first. One that is overdue, or whose turn was
    skipped, is taken to be lost: an idle server loses little by asking for it.
    """
    best: dict[int, int] = {}
    for flow in flows:
        first_ns = flow.expected_ns()
        overdue = flow.overdue_ns() < now_ns
        for ahead, (key, (position, _)) in enumerate(flow.outstanding.items()):
            piece = active.get(key // BLOCKS_PER_PIECE)
            if piece is None or piece.blocks[key % BLOCKS_PER_PIECE] is not None:
                continue
            lost = overdue or position < flow.last_position
            arrival_ns = NEVER_NS if lost else first_ns + int(ahead * flow.spacing_ns)
            best[key] = min(arrival_ns, best.get(key, arrival_ns))
    return sorted(((arrival_ns, key) for key, arrival_ns in best.items()), reverse=True)


def worth_asking(
    flow: ServerFlow,
    count: int,
    *,
    late: Iterable[tuple[int, int]],
    active: Mapping[int, Piece],
    now_ns: int,
    lossy: bool,
) -> list[int]:
    """Return up to `count` keys of `late` (see `arrivals`) that this server would bring much sooner.

    When blocks get lost (`lossy`), each may be asked of two servers though the second is no sooner: one of the two will come.
    """
    keys: list[int] = []
    for arrival_ns, key in late:
        ahead = len(flow.outstanding) + len(keys) + 1
        needs_ns = (flow.rtt_ns or FIRST_TIMEOUT_NS // 2) + ahead * flow.spacing_ns
        sooner = arrival_ns - now_ns > MARGIN * needs_ns + MARGIN_NS
        if len(keys) >= count or not (sooner or lossy):
            break
        piece = active[key // BLOCKS_PER_PIECE]
        useful = sooner or piece.copies[key % BLOCKS_PER_PIECE] < 2
        if useful and key not in flow.outstanding and piece.allows(flow.server):
            keys.append(key)
    return keys
