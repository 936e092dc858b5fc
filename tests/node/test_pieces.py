from hypothesis import given
from hypothesis import strategies as st

from node.pieces import Piece, Pieces
from node.server_flow import ServerFlow


def party(*servers, n_pieces=3, n_blocks=8):
    flows = {server: ServerFlow(server) for server in servers}
    return Pieces(range(n_pieces), dict.fromkeys(range(n_pieces), n_blocks)), flows


def test_different_servers_take_different_pieces_and_then_help_from_the_end():
    pieces, flows = party(b"a", b"b", n_pieces=2)
    a, b = flows.values()
    assert pieces.pick(a, 4, flows=flows) == [0, 1, 2, 3]
    assert pieces.pick(b, 8, flows=flows) == list(range(256, 264))
    assert pieces.pick(b, 2, flows=flows) == [6, 7]
    assert pieces.pick(a, 9, flows=flows) == [4, 5]


def test_help_goes_to_the_piece_that_would_be_done_last():
    pieces, flows = party(b"a", b"b", b"c", n_pieces=2)
    a, b, c = flows.values()
    a.rate, b.rate = 2.0, 1.0
    pieces.pick(a, 1, flows=flows)
    pieces.pick(b, 1, flows=flows)
    assert pieces.pick(c, 1, flows=flows) == [263]


def test_pieces_of_a_server_that_left_come_first():
    pieces, flows = party(b"a", b"b")
    a, b = flows.values()
    pieces.pick(a, 3, flows=flows)
    del flows[b"a"]
    for block in (2, 1, 0):
        pieces.active[0].give_back(block)
    pieces.release(a)
    assert pieces.pick(b, 4, flows=flows) == [0, 1, 2, 3]


@given(
    st.lists(
        st.tuples(st.sampled_from(["take", "help", "lose", "put", "late", "drop"]), st.integers(0, 7)), max_size=60
    )
)
def test_every_missing_block_is_either_free_or_asked_once(steps):
    piece, outstanding = Piece(0, 8), set()
    for step, block in steps:
        if step in {"take", "help"}:
            taken = piece.take(block, from_end=step == "help")
            assert not outstanding & set(taken)
            outstanding |= set(taken)
        elif step == "lose" and block in outstanding:
            outstanding.remove(block)
            piece.give_back(block)
        elif step == "put" and block in outstanding:
            outstanding.remove(block)
            piece.put(block, b"x", sender=b"ab"[block % 2 :][:1], outstanding=True)
        elif step == "late" and block not in outstanding:
            piece.put(block, b"x", sender=b"a", outstanding=False)
        elif step == "drop":
            piece.drop(b"a")
        missing = {block for block in range(8) if piece.blocks[block] is None}
        assert piece.missing == len(missing)
        assert missing <= set(piece.todo) | outstanding
