"""trio: what a person may do to a running testbed from the live page: impair links, cut nodes off, heal, crash and restart nodes.

Every action is one call of the network or the testbed, which tell the run's event stream of it.
"""

from __future__ import annotations

from contextlib import ExitStack

import msgspec

from netem.errors import ConfigError
from netem.link import LinkConfig
from netem.network import Network
from netem.tc import describe, parse_tc
from scenarios.hosts import TRACKER

OVER = "the run is over"


class Impair(msgspec.Struct, tag="impair", tag_field="action", forbid_unknown_fields=True):
    """Every link does what a tc line says from now on; an empty one takes all impairments away."""

    tc: str


class Cut(msgspec.Struct, tag="cut", tag_field="action", forbid_unknown_fields=True):
    """Hosts are cut off from all others; they still reach each other."""

    nodes: list[str]


class Heal(msgspec.Struct, tag="heal", tag_field="action", forbid_unknown_fields=True):
    """Every cut that was made from here is undone."""


class Crash(msgspec.Struct, tag="crash", tag_field="action", forbid_unknown_fields=True):
    """A node's host crashes: its sockets close, its streams are reset."""

    node: str


class Restart(msgspec.Struct, tag="restart", tag_field="action", forbid_unknown_fields=True):
    """A crashed host is up again."""

    node: str


Action = Impair | Cut | Heal | Crash | Restart


class Controls:
    """Carry out actions on a network until `close`, which must come before the run's events end."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._cuts = ExitStack()
        self._closed = False

    def act(self, data: bytes) -> str:
        """Carry out an action given as JSON and say what was done.

        Raises:
            ConfigError: it is none, its values are not allowed, or the run is over; nothing was changed.
        """
        if self._closed:
            raise ConfigError("control", "too late", f"changes while the run goes on: {OVER}")
        try:
            action: Action = msgspec.json.decode(data, type=Action)
        except msgspec.DecodeError as fault:  # values of another shape are one, too
            raise ConfigError("control", "a malformed request", f"what the page sends ({fault})") from None
        match action:
            case Impair(tc):
                config = parse_tc(tc) if tc.strip() else LinkConfig()
                self._network.impair_all(config)
                return f"every link: {describe(config)}"
            case Cut(nodes):
                return self._cut(nodes)
            case Heal():
                self._cuts.close()
                return "all cuts are healed"
            case Crash(node):
                if node == TRACKER:
                    raise ConfigError("crash", node, "a node: without its tracker there is no market")
                self._network.crash(node)
                return f"crashed: {node}"
            case Restart(node):
                self._network.restart(node)
                return f"up again: {node}"

    def close(self) -> None:
        """Heal what was cut from here, and take no more actions."""
        self._closed = True
        self._cuts.close()

    def _cut(self, nodes: list[str]) -> str:
        group = set(nodes)
        rest = [name for name in self._network.hosts if name not in group]
        if not nodes or not rest:
            raise ConfigError("cut", nodes, "at least one host, and not all")
        self._cuts.enter_context(self._network.partition(nodes, rest))
        return f"cut off: {', '.join(nodes)}"
