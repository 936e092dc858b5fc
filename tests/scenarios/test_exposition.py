"""The text that Prometheus reads: the same as prometheus-client's own, in slices, and free of lint."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from netem.events import Event
from netem.metric import Family, Label, counter, gauge, histogram
from scenarios import exposition
from scenarios.exposition import Exposition
from scenarios.metrics import families

INFO = {"run": 'a "run"\\', "scenario": "s"}
# What the process does between two renderings.
MOVING = (b"process_", b"python_gc_")


class Poked(Event, frozen=True):
    """Something to count."""

    times: int


class Everything(Family):
    """One metric of each kind."""

    name = "everything"
    reads = "numbers"
    metrics = (
        counter("swarmbed_pokes_total", 'Pokes, "all" of \\them\nand more.', Label("by", ("a", "b"))),
        gauge("swarmbed_level", "A level.", Label("zone", most=9), Label("area", most=999)),
        histogram("swarmbed_wait_seconds", "A wait.", (0.1, 2.5, 1e7)),
    )
    panels = ()

    def folds(self):
        return {Poked: lambda _, event: self.add("swarmbed_pokes_total", event.times, "a")}

    def gather(self, now_ns):
        for number, (zone, value) in enumerate(self.source or ()):
            self.set("swarmbed_level", value, zone, str(number))
            self.bins("swarmbed_wait_seconds").observe(abs(value))
            yield


def made(*numbers):
    text = Exposition({"everything": Everything}, info=INFO, now_ns=lambda: 0)
    text.attach("numbers", numbers)
    return text


def lines(text):
    return [line for line in text.split(b"\n") if not line.startswith(MOVING)]


numbers = st.one_of(
    st.integers(-(10**18), 10**18),
    st.integers(0, 10**8),
    st.integers(0, 17).map(lambda digits: 10**digits),
    st.floats(allow_nan=False),
)


@given(
    st.lists(
        st.tuples(st.text(max_size=5).filter(lambda text: text.encode("utf-8", "replace").decode() == text), numbers),
        max_size=9,
    )
)
def test_the_text_is_prometheus_clients_own(values):
    made_of = made(*values)
    made_of.fold(0, Poked(3))
    text = b"".join(made_of.slices())
    made_of.attach("numbers", ())
    assert lines(text) == lines(generate_latest(made_of.registry))


def test_the_text_is_the_same_however_small_the_slices(monkeypatch):
    values = [("z", number * 10.0**number) for number in range(9)]
    whole = b"".join(made(*values).slices())
    monkeypatch.setattr(exposition, "SERIES_PER_SLICE", 2)
    parts = list(made(*values).slices())
    assert lines(b"".join(parts)) == lines(whole)
    assert max(part.count(b"swarmbed_level{") for part in parts) == 2


def test_what_is_rendered_once_follows_a_clear():
    text = made()
    family = text.families["everything"]
    for zone in ("first", "second"):
        family.clear("swarmbed_level")
        family.set("swarmbed_level", 1, zone, "0")
        assert b'swarmbed_level{area="0",zone="%s"} 1.0\n' % zone.encode() in b"".join(text.slices())


def test_between_two_steps_of_gathering_there_is_time_for_others():
    steps = [part for part in made(("z", 1), ("z", 2), ("z", 3)).slices() if not part]
    assert len(steps) == 3


def test_the_real_families_have_the_text_of_prometheus_client():
    text = Exposition(families(), info=INFO, now_ns=lambda: 0)
    assert lines(b"".join(text.slices())) == lines(generate_latest(text.registry))


def test_promtool_has_nothing_to_object_to(promtool):
    text = b"".join(Exposition(families(), info=INFO, now_ns=lambda: 0).slices())
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.mark.parametrize("bad", [b"# HELP x_count Rises.\n# TYPE x_count counter\nx_count 1\n"])
def test_promtool_would_object(promtool, bad):
    checked = subprocess.run([promtool, "check", "metrics"], input=bad, capture_output=True, check=False)
    assert checked.returncode != 0
