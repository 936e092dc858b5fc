import pytest

from node.pace import FEWEST_FIRST, FIRST_BLOCKS, LONE_FIRST, LONGEST_GAP, MAX_TOLERANCE, MAX_WINDOW, Pace

MS = 1_000_000
S = 1_000 * MS
FAR = float("inf")


def paced(spacing_ns, *, rtt_ns=100 * MS, answers=50, skip=lambda position: False):
    """A pace that has measured answers to one long request, all but those to skip."""
    pace = Pace()
    for position in range(1, answers + 1):
        if not skip(position):
            now_ns = rtt_ns + (position - 1) * spacing_ns
            pace.answered(now_ns)
            pace.measure(position, asked_ns=0, now_ns=now_ns, once=True)
    return pace


@pytest.mark.parametrize("spacing_ms", [1, 10, 300])
@pytest.mark.parametrize("skip", [lambda p: False, lambda p: p % 3 == 0])
def test_the_rate_and_the_round_trip_are_measured_through_loss(spacing_ms, skip):
    pace = paced(spacing_ms * MS, skip=skip)
    assert pace.spacing_ns == pytest.approx(spacing_ms * MS)
    assert pace.rate == pytest.approx(1 / (spacing_ms * MS))
    assert pace.rtt_ns == 100 * MS


def test_jitter_is_not_taken_for_pace():
    pace = Pace()
    for position in range(1, 200):
        # Spacing 2 ms; every second answer is 9 ms late, so that many come out of order.
        pace.measure(position, asked_ns=0, now_ns=(40 + 2 * position + 9 * (position % 2)) * MS, once=True)
    assert pace.spacing_ns == pytest.approx(2 * MS, rel=0.25)


def test_positions_that_a_lost_request_skipped_do_not_count():
    pace = paced(10 * MS)
    start_ns, gap = 100 * MS + 50 * 10 * MS, LONGEST_GAP + 20
    for i in range(20):
        pace.measure(50 + gap + i, asked_ns=0, now_ns=start_ns + i * 10 * MS, once=True)
    assert pace.spacing_ns == pytest.approx(10 * MS)


def test_idle_time_is_no_measure_of_the_rate():
    pace = paced(10 * MS)
    pace.measure(51, asked_ns=5 * S, now_ns=5 * S + 100 * MS, once=True)
    assert pace.spacing_ns == pytest.approx(10 * MS)


def test_an_answer_to_a_block_asked_twice_does_not_shorten_the_round_trip():
    pace = paced(10 * MS)
    pace.measure(51, asked_ns=S, now_ns=S + 5 * MS, once=False)
    assert pace.rtt_ns == 100 * MS


@pytest.mark.parametrize(("servers", "window"), [(1, LONE_FIRST), (4, FIRST_BLOCKS // 4), (1_000, FEWEST_FIRST)])
def test_before_any_answer_the_servers_share_a_first_window(servers, window):
    pace = Pace()
    pace.share_first(servers)
    assert pace.window(FAR) == window


def test_the_window_is_the_rate_times_round_trip_and_horizon_and_in_the_end_the_rate_times_what_remains():
    pace = paced(10 * MS, answers=150)
    assert pace.window(FAR) == 110
    assert pace.window(0.5 * S) == 50
    assert pace.window(0.01 * S) == 10  # a round trip's worth keeps it busy
    assert paced(1 * MS, answers=300).window(FAR) == MAX_WINDOW


def test_a_slow_server_is_asked_four_blocks_ahead_at_least_unless_the_end_is_near():
    pace = paced(500 * MS)
    assert pace.window(FAR) == 4
    assert pace.window(0.7 * S) == 1


def test_how_late_an_answer_may_be_is_a_time_that_grows_with_what_was_seen():
    # A quarter of the round trip is 25 ms.
    assert paced(10 * MS).tolerance == 3
    assert paced(300 * MS).tolerance == 1
    pace = paced(1 * MS)
    assert pace.tolerance == 26
    pace.misjudged(10)  # 40 positions late
    assert pace.tolerance == 51
    pace.misjudged(-1_000)
    assert pace.tolerance == MAX_TOLERANCE


def test_the_last_few_blocks_are_waited_for_less_long_than_many():
    pace = paced(10 * MS)
    heard_ns = 100 * MS + 49 * 10 * MS
    few, many = (pace.next_answer(0, outstanding=n)[1] - heard_ns for n in (1, 100))
    assert few == (10 + 50 + 10) * MS
    assert many == (10 + 50 + 5 * 10) * MS


def test_a_timeout_that_was_too_early_makes_the_next_ones_later_but_never_more_than_a_second():
    pace = paced(1 * MS, rtt_ns=10 * MS)
    slacks = []
    for _ in range(10):
        expected_ns, deadline_ns = pace.next_answer(0, outstanding=1)
        slacks.append((deadline_ns - expected_ns) // MS)
        pace.hurried()
    assert slacks == [21, 41, 81, 161, 321, 641, 1_001, 1_001, 1_001, 1_001]
