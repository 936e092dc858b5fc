"""trio: the topology file that a run is given, read and checked before anything starts. Blocking.

Source: DESIGN section 3.
"""

from __future__ import annotations

from netem.layout import Layout
from netem.topology import Access, parse_topology
from scenarios.hosts import TRACKER, node_names
from scenarios.own_file import read_own_text
from scenarios.parameters import Params, check_access, check_link

FILE = "topology.toml"  # in the run directory: what was read


def read_topology(params: Params) -> str:
    """Return the text of the topology that parameters name, "" for none, once it is checked against them.

    Raises:
        ConfigError: it cannot be read or makes no sense, names hosts that there are not, or its links are outside the ranges
            that the link keys have.
    """
    if not params.topology:
        return ""
    text = read_own_text("topology", params.topology)
    topology = parse_topology(text, source=params.topology)
    names = [TRACKER, *node_names(params.nodes)]
    topology.check(names)
    for number, config in enumerate(topology.configs):
        check_link(f"{params.topology}: links[{number}].impair", config, shown=topology.links[number].impair)
    for kind, tables in (("regions", topology.regions), ("hosts", topology.hosts)):
        for name, table in tables.items():
            check_access(f"{params.topology}: {kind}.{name}", table)
    layout = layout_of(text, params)
    for name in names:
        layout.add(name, access=Access())
    firsts = {region: name for name, region in reversed(layout.region_of.items())}
    for one, source in firsts.items():
        for other, target in firsts.items():
            check_link(f"{params.topology}: latency {one} > {other}", layout.link(source, target), shown="")
    return text


def layout_of(text: str, params: Params) -> Layout:
    """Return the layout of a checked topology, still without hosts."""
    return Layout.parse(text, params.link(), source=params.topology)
