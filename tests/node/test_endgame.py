from node.endgame import MOST_SERVERS, MOST_SERVERS_LOSSY, worth_asking
from node.pieces import Piece
from node.server_flow import ServerFlow

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


def worth(flow, others, active, *, count=8, now_ns=NOW_NS, lossy=False):
    return worth_asking(flow, count, flows=[*others, flow], active=active, now_ns=now_ns, lossy=lossy)


def test_an_idle_fast_server_takes_the_blocks_that_would_come_last():
    slow = measured(b"s", spacing_ms=200, asked=[0, 1, 2, 3])  # its fourth answer comes after 700 ms
    fast = measured(b"f", spacing_ms=10)
    assert worth(fast, [slow], piece_asked(0, 1, 2, 3)) == [3, 2, 1]
    assert worth(fast, [slow], piece_asked(0, 1, 2, 3), count=1) == [3]


def test_the_slowest_server_is_relieved_first():
    slow = measured(b"s", spacing_ms=300, asked=[0, 1, 2])
    slower = measured(b"t", spacing_ms=900, asked=[3, 4])
    fast = measured(b"f", spacing_ms=10)
    assert worth(fast, [slow, slower], piece_asked(0, 1, 2, 3, 4), count=1) == [4]


def test_a_server_that_is_no_sooner_takes_nothing_unless_the_last_blocks_get_lost():
    other = measured(b"o", spacing_ms=20, asked=[0, 1])
    idle = measured(b"i", spacing_ms=20)
    assert worth(idle, [other], piece_asked(0, 1)) == []
    assert worth(idle, [other], piece_asked(0, 1), lossy=True) == [1, 0]


def test_what_an_overdue_server_was_asked_is_taken_to_be_lost():
    silent = measured(b"s", spacing_ms=10, asked=[0, 1, 2])
    idle = measured(b"i", spacing_ms=10)
    assert worth(idle, [silent], piece_asked(0, 1, 2), now_ns=NOW_NS + 500 * MS) == [2, 1, 0]


def test_a_block_is_asked_of_a_bounded_number_of_servers_and_of_none_twice():
    slow, slower = (measured(name, spacing_ms=900, asked=[0, 1]) for name in (b"s", b"t"))
    fast = measured(b"f", spacing_ms=10)
    active = piece_asked(*[0] * MOST_SERVERS, 1)
    assert worth(fast, [slow, slower], active) == [1]
    active = piece_asked(*[0] * MOST_SERVERS_LOSSY, *[1] * MOST_SERVERS)
    assert worth(fast, [slow, slower], active, lossy=True) == [1]


def test_blocks_that_have_come_are_not_asked_again():
    slow = measured(b"s", spacing_ms=900, asked=[0, 1])
    active = piece_asked(0, 1)
    active[0].put(1, b"x", sender=b"t", outstanding=False)
    assert 1 not in worth(measured(b"f", spacing_ms=10), [slow], active, lossy=True)
