"""A chart draws what there is: lines, gaps, lonely points, theory dashed, faults marked."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from netem.metric import Panel, Query
from scenarios.report.charts import INK, chart, coloured
from scenarios.report.drawings import Drawing, Line, Mark

NAN = float("nan")


def drawn(*lines, width=12):
    queries = (Query(expr="x{@}", legend="x"),)
    panel = Panel(dashboard="overview", order=0, title="A & B", description="", unit="s", queries=queries, width=width)
    return Drawing(panel, np.arange(4.0), list(lines))


def line(values, *, labels=(), query=0, theory=False):
    return Line("<x>", labels, query, theory, np.array(values))


def points(svg):
    return [
        [tuple(map(float, point.split(","))) for point in found.split()]
        for found in re.findall(r'points="([^"]+)"', svg)
    ]


def test_a_chart_is_well_formed_and_says_in_words_what_it_shows():
    svg = ET.fromstring(chart(drawn(line([0.0, 1.0, 2.0, 3.0])), [Mark(1.0, "a<b")]))
    assert svg.get("aria-label") == "A & B. At the end: <x>: 3 s"
    assert svg.get("role") == "img"


def test_values_rise_on_paper_and_time_goes_right():
    (found,) = points(chart(drawn(line([0.0, 1.0, 2.0, 4.0])), []))
    assert [x for x, _ in found] == sorted({x for x, _ in found})
    assert [y for _, y in found] == sorted((y for _, y in found), reverse=True)


def test_a_line_is_broken_where_there_is_no_value_and_a_lonely_point_is_a_dot():
    svg = chart(drawn(line([1.0, 2.0, NAN, 3.0])), [])
    assert [len(found) for found in points(svg)] == [2]
    assert svg.count("<circle") == 1


def test_a_level_stretch_needs_only_its_ends():
    (found,) = points(chart(drawn(line([5.0, 5.0, 5.0, 5.0])), []))
    assert len(found) == 2


def test_theory_is_dashed_and_measurement_is_not():
    assert "stroke-dasharray" not in chart(drawn(line([1.0, 2.0, 3.0, 4.0])), [])
    assert "stroke-dasharray" in chart(drawn(line([1.0, 2.0, 3.0, 4.0], theory=True)), [])


def test_one_value_of_a_theory_is_a_line_across():
    svg = chart(drawn(line([1.0, 1.0, 2.0, 2.0]), line([NAN, NAN, NAN, 2.0], query=1, theory=True)), [])
    assert svg.count("<circle") == 0


def test_a_theory_has_the_colour_of_what_it_is_about_and_a_lonely_one_the_inks():
    measured = [line([1.0] * 4, labels=(("file", name),)) for name in "ab"]
    theories = [line([1.0] * 4, labels=(("file", name),), query=1, theory=True) for name in "ba"]
    a, b, of_b, of_a = coloured([*measured, *theories])
    assert (of_a, of_b) == (a, b)
    assert a != b
    assert coloured([measured[0], line([1.0] * 4, query=1, theory=True)])[1] == INK


@pytest.mark.parametrize("values", [[0.0] * 4, [-1.0, -2.0, -3.0, -1.0], [NAN] * 4, [1e-12, 0.0, 0.0, 0.0]])
def test_any_values_can_be_drawn(values):
    ET.fromstring(chart(drawn(line(values), width=24), []))


def test_faults_are_marked_and_of_a_bunch_only_the_first_is_named():
    svg = chart(drawn(line([1.0] * 4)), [Mark(1.0, "partition"), Mark(1.001, "crash"), Mark(2.5, "heal")])
    (found,) = re.findall(r'<path class="fault" d="([^"]+)"', svg)
    assert found.count("M") == 3
    assert ("partition" in svg, "crash" in svg, "heal" in svg) == (True, False, True)
