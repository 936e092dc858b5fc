from node.endgame import arrivals, worth_asking
from node.pieces import Piece
from node.server_flow import NEVER_NS, ServerFlow

MS = 1_000_000
NOW_NS = 1_000 * MS


def measured(server, *, spacing_ms, asked=()):
    flow = ServerFlow(server)
    flow.rtt_ns, flow.spacing_ns = 100 * MS, float(spacing_ms * MS)
    flow.ask(asked, NOW_NS)
    return flow


def piece_asked(*keys):
    piece = Piece(0, 8)
    for key in keys:
        piece.copies[key] += 1
    return {0: piece}


def test_blocks_are_expected_in_the_order_asked_and_from_whoever_is_first():
    slow = measured(b"s", spacing_ms=200, asked=[0, 1])
    fast = measured(b"f", spacing_ms=10, asked=[1])
    late = arrivals([slow, fast], piece_asked(0, 1, 1), NOW_NS)
    assert late == [(NOW_NS + 100 * MS, 1), (NOW_NS + 100 * MS, 0)]
    assert arrivals([slow], piece_asked(0, 1), NOW_NS)[0] == (NOW_NS + 300 * MS, 1)


def test_what_is_overdue_or_was_skipped_is_taken_to_be_lost():
    slow = measured(b"s", spacing_ms=10, asked=[0, 1, 2])
    assert {ns for ns, _ in arrivals([slow], piece_asked(0, 1, 2), NOW_NS + 500 * MS)} == {NEVER_NS}
    slow.answer(1, NOW_NS + 100 * MS)
    assert arrivals([slow], piece_asked(0, 2), NOW_NS + 100 * MS)[0] == (NEVER_NS, 0)


def test_a_second_server_is_asked_only_when_it_is_much_sooner_or_blocks_get_lost():
    active = piece_asked(0)
    fast = measured(b"f", spacing_ms=10)

    def asked(arrival_ms, *, lossy=False):
        late = [(NOW_NS + arrival_ms * MS, 0)]
        return worth_asking(fast, 4, late=late, active=active, now_ns=NOW_NS, lossy=lossy)

    assert asked(500) == [0]
    assert asked(150) == []
    assert asked(150, lossy=True) == [0]
    active[0].copies[0] += 1
    assert asked(150, lossy=True) == []
