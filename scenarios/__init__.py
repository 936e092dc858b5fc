"""Pure: the composition root, and what a scenario of one's own imports: `from scenarios import Bed, Params, param, ...`.

Names are looked up when they are first asked for, so that `swarmbed --help` loads nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from node.events import DownloadFinished as DownloadFinished
    from node.events import DownloadStarted as DownloadStarted
    from node.events import DownloadStopped as DownloadStopped
    from scenarios.api import run as run
    from scenarios.claims import Claim as Claim
    from scenarios.claims import Record as Record
    from scenarios.claims import compare as compare
    from scenarios.control import Cast as Cast
    from scenarios.parameters import Duration as Duration
    from scenarios.parameters import LossShare as LossShare
    from scenarios.parameters import Nodes as Nodes
    from scenarios.parameters import Params as Params
    from scenarios.parameters import Upload as Upload
    from scenarios.parameters import param as param
    from scenarios.shared_claims import shared_claims as shared_claims
    from scenarios.testbed import Bed as Bed
    from tracker.desk import Terms as Terms

_HOMES = {
    "node.events": ("DownloadFinished", "DownloadStarted", "DownloadStopped"),
    "scenarios.api": ("run",),
    "scenarios.claims": ("Claim", "Record", "compare"),
    "scenarios.control": ("Cast",),
    "scenarios.parameters": ("Duration", "LossShare", "Nodes", "Params", "Upload", "param"),
    "scenarios.shared_claims": ("shared_claims",),
    "scenarios.testbed": ("Bed",),
    "tracker.desk": ("Terms",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
