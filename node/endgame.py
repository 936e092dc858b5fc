"""Pure: the end of a download: asking again, elsewhere, for blocks that would come late.

When every block is asked, the download lasts as long as the slowest answer. A server with nothing to do may then fetch what it
would bring much sooner than those it was asked of. The margin, and the limit of servers a block, keep the blocks
fetched twice few.

Source: DESIGN section 4 (endgame).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from node.content import BLOCKS_PER_PIECE
from node.pace import FIRST_TIMEOUT_NS, NEVER_NS
from node.pieces import Piece
from node.server_flow import ServerFlow

MARGIN = 1.5
MARGIN_NS = 20_000_000
MOST_SERVERS = 2
MOST_SERVERS_LOSSY = 3  # with 20 % loss the third copy is what the last block waits for


def worth_asking(
    flow: ServerFlow,
    count: int,
    *,
    flows: Iterable[ServerFlow],
    active: Mapping[int, Piece],
    now_ns: int,
    lossy: bool,
) -> list[int]:
    """Return up to `count` keys asked elsewhere that this server would bring much sooner, the latest first.

    What an overdue server was asked, or what it skipped, is taken to be lost: an idle server loses little by asking for it.
    When the last few blocks get lost (`lossy`), each may be asked of more servers though they are no sooner: one will come.
    """
    keys: list[int] = []
    mine = flow.outstanding
    most = MOST_SERVERS_LOSSY if lossy else MOST_SERVERS
    ahead_ns = flow.rtt_ns or FIRST_TIMEOUT_NS // 2
    soon_ns = MARGIN * (ahead_ns + (len(mine) + 1) * flow.spacing_ns) + MARGIN_NS
    for first_ns, other in _latest_first(flows, now_ns):
        place = len(other.outstanding)
        last_position, spacing_ns = other.last_position, other.spacing_ns
        for key, (position, _) in reversed(other.outstanding.items()):
            place -= 1
            if not lossy:
                arrival_ns = NEVER_NS if position < last_position else first_ns + int(place * spacing_ns)
                if arrival_ns - now_ns <= soon_ns:
                    break  # what it was asked before comes sooner still
            piece = active.get(key // BLOCKS_PER_PIECE)
            block = key % BLOCKS_PER_PIECE
            if piece is None or piece.blocks[block] is not None or piece.copies[block] >= most:
                continue
            if key not in mine and key not in keys and piece.allows(flow.server):
                keys.append(key)
                if len(keys) >= count:
                    return keys
                soon_ns = MARGIN * (ahead_ns + (len(mine) + len(keys) + 1) * flow.spacing_ns) + MARGIN_NS
    return keys


def _latest_first(flows: Iterable[ServerFlow], now_ns: int) -> list[tuple[int, ServerFlow]]:
    """Return (when its next answer is expected, server) for those that owe us answers; overdue ones never answer."""
    ranked = []
    for number, flow in enumerate(flows):
        if flow.outstanding:
            expected_ns = flow.expected_ns()
            first_ns = NEVER_NS if flow.overdue_ns(expected_ns) < now_ns else expected_ns
            ranked.append((first_ns + len(flow.outstanding) * flow.spacing_ns, number, first_ns, flow))
    ranked.sort(reverse=True)
    return [(first_ns, flow) for _, _, first_ns, flow in ranked]
