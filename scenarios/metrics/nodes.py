"""Pure: nodes by role, and each one's deliveries while there are few enough of them.

Source: DESIGN section 5 (per-node detail belongs to Prometheus only up to a stated node count).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from netem.events import Event
from netem.metric import Family, Handler, Label, Panel, Query, counter, gauge
from node.events import PieceAccepted
from tracker.events import NodeJoined, NodeLeft

if TYPE_CHECKING:
    from scenarios.testbed import Bed

MOST_NODES = 100
"""A run with more nodes than this has no series by node; the trace has them."""

_ROLE = Label("role", most=32)
_NODES, _SERVED, _FETCHED = "swarmbed_nodes", "swarmbed_node_served_bytes_total", "swarmbed_node_fetched_bytes_total"
_IN = 'role=~"$role"'


class Nodes(Family):
    """Who takes part, and what each node gave and got."""

    name = "nodes"
    reads = "bed"
    metrics = (
        gauge(_NODES, "Nodes there are, by role.", _ROLE),
        gauge("swarmbed_nodes_joined", "Nodes that the tracker counts as members now."),
        counter(_SERVED, "Bytes of verified pieces that a node sent to others.", Label("node", most=MOST_NODES), _ROLE),
        counter(_FETCHED, "Bytes of verified pieces that a node got.", Label("node", most=MOST_NODES), _ROLE),
    )
    panels = (
        Panel(
            dashboard="overview",
            order=0,
            title="Nodes",
            description="Nodes that joined and have not left, and nodes by role.",
            unit="short",
            look="stat",
            width=4,
            height=4,
            queries=(
                Query(expr="sum(swarmbed_nodes_joined{@})", legend="members"),
                Query(expr=f"sum by (role) ({_NODES}{{@,{_IN}}})", legend="{{role}}"),
            ),
        ),
        Panel(
            dashboard="overview",
            order=12,
            title="Served by the ten busiest nodes",
            description=f"Bytes per second in verified pieces, by the node that served them, in runs of at most {MOST_NODES} nodes. "
            "Bandwidth policies aside, equal nodes serve alike.",
            unit="Bps",
            queries=(Query(expr=f"topk(10, rate({_SERVED}{{@,{_IN}}}[$__rate_interval]))", legend="{{node}}"),),
        ),
        Panel(
            dashboard="overview",
            order=13,
            title="Fetched by role",
            description="Bytes per second in verified pieces, by the role of the node that got them.",
            unit="Bps",
            queries=(Query(expr=f"sum by (role) (rate({_FETCHED}{{@,{_IN}}}[$__rate_interval]))", legend="{{role}}"),),
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        self._members: set[bytes] = set()
        self._served: Counter[bytes] = Counter()
        self._fetched: Counter[bytes] = Counter()

    def folds(self) -> Mapping[type[Event], Handler]:
        """Return how to count bytes and members."""
        return {PieceAccepted: self._accepted, NodeJoined: self._joined, NodeLeft: self._left}

    def _accepted(self, _time_ns: int, event: PieceAccepted) -> None:
        for server, nbytes in event.sources:
            self._served[server] += nbytes
            self._fetched[event.node] += nbytes

    def _joined(self, _time_ns: int, event: NodeJoined) -> None:
        self._members.add(event.node)

    def _left(self, _time_ns: int, event: NodeLeft) -> None:
        self._members.discard(event.node)

    def gather(self, now_ns: int) -> Iterator[None]:  # noqa: ARG002 - counts have no time
        """Say whose bytes are whose."""
        bed: Bed | None = self.source
        peers = () if bed is None else bed.peers
        self.set("swarmbed_nodes_joined", len(self._members))
        roles = Counter(role_of(peer) for peer in peers)
        for role, count in sorted(roles.items()):
            self.set(_NODES, count, role)
        if len(peers) <= MOST_NODES:
            for number, peer in enumerate(peers):
                labels = f"node-{number}", role_of(peer)
                self.set(_SERVED, self._served[peer.node], *labels)
                self.set(_FETCHED, self._fetched[peer.node], *labels)
        yield


def role_of(peer: object) -> str:
    """Return the role that a peer's class names, or `peer` for one that names none."""
    return str(getattr(type(peer), "name", "peer"))
