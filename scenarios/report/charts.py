"""Pure: a panel as SVG: solid lines measured, dashed ones theory, faults as vertical marks.

Drawn by hand: 26 panels take matplotlib seven seconds of CPU, and this module a tenth of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from scenarios.promql.frames import Numbers
from scenarios.promql.labels import Labels
from scenarios.report.drawings import Drawing, Line, Mark
from scenarios.report.numbers import axis_unit, on_axis, shown, ticks

# Okabe and Ito's colours without yellow, darkened where they were pale: told apart by colour-blind readers and in grey.
COLOURS = ("#0072b2", "#d55e00", "#007f5f", "#b3548c", "#a67c00", "#2f93c9", "#5b4b9a", "#7a7a7a", "#8c3d00", "#00506b")
INK = "#222"
MOST_IN_LEGEND = 18
WIDTH, HEIGHT = 520, 190
BROAD_WIDTH, BROAD_HEIGHT = 1_080, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 14, 22
_THEORY = 'stroke-dasharray="7 5"'
COLUMNS = 24  # of a dashboard's grid: a panel of all of them is drawn across the page
MOST_MARKS = 200
_NARROW = 12  # of marks nearer than this many units only the first has a name


def coloured(lines: Sequence[Line]) -> list[str]:
    """Return a colour for each line: a theory has that of what it is about, and one that stands alone the ink's."""
    colours: dict[tuple[int | None, Labels], str] = {}
    found = []
    for line in lines:
        alone = line.theory and sum(other.query == line.query for other in lines) == 1
        partner = colours.get((lines[0].query, line.labels)) if line.theory else None
        if alone:
            found.append(INK)
            continue
        colour = partner or COLOURS[len(colours) % len(COLOURS)]
        colours.setdefault((line.query, line.labels), colour)
        found.append(colour)
    return found


def chart(drawing: Drawing, marks: Sequence[Mark]) -> str:
    """Return a panel's lines as an SVG figure with its axes; its caption and legend are the caller's."""
    scale = _Scale(drawing)
    parts = [_grid(scale)]
    for line, colour in zip(drawing.lines, coloured(drawing.lines), strict=True):
        dashed = _THEORY if line.theory else ""
        parts.append(f'<g stroke="{colour}" fill="{colour}" {dashed}>{_path(scale, line)}</g>')
    parts += _marks(scale, marks)
    told = "; ".join(
        f"{line.legend}: {shown(line.last, drawing.panel.unit)}" for line in drawing.lines[:MOST_IN_LEGEND]
    )
    label = escape(f"{drawing.panel.title}. At the end: {told}", quote=True)
    return f'<svg viewBox="0 0 {scale.width} {scale.height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


class _Scale:
    """Where numbers are on the paper; y begins at 0 unless there are negative numbers."""

    def __init__(self, drawing: Drawing) -> None:
        self.unit = drawing.panel.unit
        broad = drawing.panel.width == COLUMNS
        self.width, self.height = (BROAD_WIDTH, BROAD_HEIGHT) if broad else (WIDTH, HEIGHT)
        self.times_s = drawing.times_s
        values = np.concatenate([line.values[np.isfinite(line.values)] for line in drawing.lines] or [np.zeros(0)])
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
        self.ticks = ticks(min(low, 0.0), high if high > min(low, 0.0) else min(low, 0.0) + 1.0)
        self.end_s = max(float(self.times_s[-1]), 1.0)

    def x(self, time_s: float) -> float:
        return float(self.across(np.float64(time_s)))

    def y(self, value: float) -> float:
        return float(self.up(np.float64(value)))

    def across(self, times_s: Any) -> Any:
        return LEFT + times_s / self.end_s * (self.width - LEFT - RIGHT)

    def up(self, values: Any) -> Any:
        low, high = self.ticks[0], self.ticks[-1]
        return self.height - BOTTOM - (values - low) / (high - low) * (self.height - BOTTOM - TOP)


def _grid(scale: _Scale) -> str:
    lines, texts = [], []
    for value in scale.ticks:
        y = scale.y(value)
        lines.append(f"M{LEFT} {y:.1f}H{scale.width - RIGHT}")
        texts.append(f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{on_axis(value, scale.unit)}</text>')
    if axis_unit(scale.unit):
        texts.append(f'<text x="{LEFT}" y="{TOP - 5}">{escape(axis_unit(scale.unit))}</text>')
    for time_s in ticks(0.0, scale.end_s):
        if time_s <= scale.end_s:
            x = scale.x(time_s)
            texts.append(f'<text x="{x:.1f}" y="{scale.height - 6}" text-anchor="middle">{time_s:g} s</text>')
    return f'<path class="grid" d="{"".join(lines)}"/>{"".join(texts)}'


def _marks(scale: _Scale, marks: Sequence[Mark]) -> list[str]:
    """Draw faults; of a bunch only the first is named."""
    lines, names = [], []
    named = -np.inf
    for mark in marks[:MOST_MARKS]:
        x = scale.x(mark.at_s)
        lines.append(f"M{x:.1f} {TOP}V{scale.height - BOTTOM}")
        if x - named > _NARROW:
            named = x
            turned = f'transform="rotate(90 {x + 3:.1f} {TOP + 2})"'
            names.append(f'<text class="fault" x="{x + 3:.1f}" y="{TOP + 2}" {turned}>{escape(mark.kind)}</text>')
    return [f'<path class="fault" d="{"".join(lines)}"/>', *names] if lines else []


def _path(scale: _Scale, line: Line) -> str:
    """Draw a line, broken where there is no value; single values are dots, of a theory level lines."""
    there = np.isfinite(line.values)
    if line.theory and there.sum() == 1:
        level = scale.y(line.last)
        return f'<path class="line" d="M{LEFT} {level:.1f}H{scale.width - RIGHT}"/>'
    x, y = scale.across(scale.times_s), scale.up(line.values)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], there.astype(np.int8), [0]))))
    parts = []
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if end - begin == 1:
            parts.append(f'<circle cx="{x[begin]:.1f}" cy="{y[begin]:.1f}" r="2.5" stroke="none"/>')
            continue
        kept = _bends(y[begin:end])
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[begin:end][kept], y[begin:end][kept], strict=True))
        parts.append(f'<polyline class="line" points="{points}"/>')
    return "".join(parts)


def _bends(y: Numbers) -> np.ndarray:
    """Tell which points of a line are needed: within a level stretch only its ends."""
    rounded = y.round(1)
    level = np.diff(rounded) == 0
    needed = np.ones(len(y), bool)
    needed[1:-1] = ~(level[:-1] & level[1:])
    return needed
