"""Sessions of hosts that come and go: drawn from rates, and read from traces."""

from __future__ import annotations

import math

import numpy as np
import pytest

from netem.errors import ConfigError
from netem.randomness import keyed_generator
from netem.sessions import Session, poisson_sessions, read_sessions

HEADER = "name,start_s,end_s\n"


def drawn(seed=1, **changes):
    rates = {"arrivals_per_s": 2.0, "mean_session_s": 30.0, "duration_s": 2_000.0} | changes
    return poisson_sessions([f"n{number}" for number in range(100)], chance=keyed_generator(seed, "churn"), **rates)


def test_sessions_are_exponential_and_of_one_host_never_overlap():
    sessions = drawn()
    lengths_s = np.array([session.end_s - session.start_s for session in sessions])
    # An exponential's standard deviation is its mean.
    assert abs(lengths_s.mean() / 30.0 - 1) < 5 / math.sqrt(len(sessions))
    assert abs((lengths_s > 30.0).mean() - math.exp(-1)) < 5 * 0.49 / math.sqrt(len(sessions))
    by_host = {}
    for session in sessions:
        assert session.start_s >= by_host.get(session.name, 0.0)
        by_host[session.name] = session.end_s


def test_arrivals_are_a_poisson_stream_while_somebody_is_away():
    arrivals = [session for session in drawn() if session.start_s > 0]
    expected = 2.0 * 2_000  # 60 of 100 are up on average, so somebody is always away
    assert abs(len(arrivals) - expected) < 5 * math.sqrt(expected)


def test_the_same_key_draws_the_same_sessions():
    assert drawn(3) == drawn(3) != drawn(4)


@pytest.mark.parametrize("field", ["arrivals_per_s", "mean_session_s", "duration_s"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_rates_out_of_range_are_refused(field, value):
    with pytest.raises(ConfigError, match=f"churn {field}: .* a number above 0"):
        drawn(**{field: value})


def test_a_trace_is_read_in_any_order():
    text = HEADER + "b,5,inf\na,0,2.5\n\na , 4 , 5\n"
    assert read_sessions(text, source="t.csv", names=["a", "b"]) == [
        Session("a", 0.0, 2.5),
        Session("a", 4.0, 5.0),
        Session("b", 5.0, math.inf),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"t\.csv: line 1: '' is not allowed; allowed: the header name,start_s,end_s"),
        ("name,from,to\n", r"t\.csv: line 1: 'name,from,to' is not allowed; allowed: the header"),
        (HEADER, r"t\.csv: 'no sessions' is not allowed"),
        (HEADER + "a,0,1\na,2,\n", r"t\.csv: line 3: 'a,2,' is not allowed; allowed: no gap"),
        (HEADER + "a,0\n", r"t\.csv: line 2: 'a,0' is not allowed; allowed: no gap"),
        (HEADER + "z,0,1\n", r"t\.csv: line 2: 'z' is not allowed; allowed: one of a, b"),
        (HEADER + "a,zero,1\n", r"t\.csv: line 2: .* start_s and end_s in seconds"),
        (HEADER + "a,2,1\n", r"t\.csv: line 2: .* a start from 0 and an end after it"),
        (HEADER + "a,-1,1\n", r"t\.csv: line 2: .* a start from 0"),
        (HEADER + "a,0,nan\n", r"t\.csv: line 2: .* a start from 0"),
        (HEADER + "a,0,5\nb,0,1\na,4,6\n", r"t\.csv: line 4: .* do not overlap: a is up from 0 to 5 s"),
    ],
)
def test_a_trace_that_makes_no_sense_is_refused_by_its_line(text, message):
    with pytest.raises(ConfigError, match=message):
        read_sessions(text, source="t.csv", names=["a", "b"])
