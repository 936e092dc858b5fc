"""The page's own files: nothing from elsewhere, controls that a run takes, and renderers for every panel."""

from __future__ import annotations

import json
import re
import typing

from scenarios.live_controls import AnyControl
from tests.scenarios.page.asked import ASSETS, BOARDS


def sent_by_the_page():
    """Return every kind of control that the page's buttons send."""
    buttons = re.findall(r'data-do="(\w+)"', (ASSETS / "index.html").read_text(encoding="utf-8"))
    return {"set", *buttons} - {"halves"}  # which is a partition


def test_the_page_offers_controls_that_the_run_takes():
    wanted = {"set", "clear", "partition", "heal", "hold", "release", "crash", "restart", "pause", "resume"}
    assert sent_by_the_page() == wanted
    assert wanted <= {kind.__struct_config__.tag for kind in typing.get_args(AnyControl)}


def test_nothing_of_the_page_comes_from_elsewhere():
    for path in ASSETS.iterdir():
        if path.suffix in {".js", ".css", ".html"}:
            assert not re.search(r"https?://|//cdn", path.read_text(encoding="utf-8")), path.name


def panels():
    return [panel for path in BOARDS.glob("*.json") for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]]


def exported(file, name):
    source = (ASSETS / file).read_text(encoding="utf-8")
    return re.search(rf"export const {name} = \{{(.*?)\n?\}};", source, re.DOTALL)[1]


def test_every_panel_type_of_the_dashboards_has_a_renderer():
    drawn = {name.strip() for name in exported("panels.js", "renderers").split(",")}
    assert {panel["type"] for panel in panels()} <= drawn


def test_every_unit_of_the_dashboards_is_known():
    known = set(re.findall(r"^\s+(\w+): \{", exported("units.js", "units"), re.MULTILINE))
    assert {panel["fieldConfig"]["defaults"]["unit"] for panel in panels()} <= known
