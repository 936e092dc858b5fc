"""Pure: a network of three hosts, all of whose links are there."""

from __future__ import annotations

import pytest

from netem.network import Network
from netem.tc import parse_tc
from netem.virtual_time import VirtualTime


@pytest.fixture
def network():
    made = Network(VirtualTime(), run_seed=1, default_link=parse_tc("loss 10%"))
    hosts = [made.add_host(name) for name in ("tracker", "node-0", "node-1")]
    for source in hosts:
        for target in hosts:
            if source is not target:
                made.make_route(source, target)
    return made
