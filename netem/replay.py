"""Pure: a link's decisions made once more from the run's seed, and compared with what was recorded.

Packet k's fate depends on seed, link and k alone, so the record of a run over real sockets can be checked to the last packet, long
after it: what was lost, what was doubled, and by how much each was delayed. Rates, queues and host are no decisions: packets that
they dropped or delayed are told apart.

Source: DESIGN section 3 (decisions in blocks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netem.clock import S
from netem.errors import ConfigError
from netem.fates import Cause, no_drops
from netem.link import Link
from netem.randomness import BlockUniforms
from netem.run_fates import LinkFate

_APART_NS = 100 * S
Delays = tuple[int, ...]  # of the transmissions of a packet that the link lets through, in ns; none when it is lost


@dataclass(frozen=True, slots=True)
class Replay:
    """What a link decided, by packet number, and how the record agrees.

    `impossible` are numbers that arrived more often than decided. `lost` and `lost_then` count transmissions lost by decision, now and in the
    record; `lost_then` may be less where a partition took them first. `excess_ns` are the least and the most by which recorded own
    delays exceed those decided (0 to 0 without arrivals): exactly 0 in virtual time, the host's lateness over real sockets.
    """

    decided: Sequence[Delays]
    impossible: Sequence[int]
    lost: int
    lost_then: int
    cut: int
    excess_ns: tuple[int, int]

    @property
    def agrees(self) -> bool:
        """Say whether the record follows from the decisions, delays apart."""
        most = self.lost == self.lost_then if not self.cut else self.lost_then <= self.lost
        return not self.impossible and most


def replay(ends: tuple[str, str], record: LinkFate, uniforms: BlockUniforms) -> Replay:
    """Decide the fates of a link's packets again, `ends` being its source and target.

    Raises:
        ConfigError: the link was both partitioned and changed, so that nobody knows which packets met which configuration.
    """
    cut = record.dropped.get("partition", 0)
    if cut and len(record.exposures) > 1:
        raise ConfigError("RUN_DIR", " > ".join(ends), "links that were not both partitioned and changed")
    packets = record.offered if cut else None
    link: Link | None = None
    decided: list[Delays] = []
    for exposure in record.exposures:
        if link is None:
            link = Link(exposure.config, source=ends[0], target=ends[1], uniforms=uniforms, link_id=0)
        else:
            link.reconfigure(exposure.config)
        decided += [_decide(link) for _ in range(exposure.packets if packets is None else packets)]
    arrivals = record.arrivals()
    lost, lost_then = _lost(link, record)
    return Replay(
        decided,
        impossible=_impossible(decided, arrivals),
        lost=lost,
        lost_then=lost_then,
        cut=cut,
        excess_ns=_excess_ns(decided, arrivals),
    )


def _decide(link: Link) -> Delays:
    """Judge the next packet when everything before it has long left, so that no rate, queue or limit has a say."""
    arrived = link.verdict(1 + link.number * _APART_NS, 1) > 0
    return (link.delay_ns,) * arrived + (link.copy_delay_ns,) * (link.copy_at > 0)


def _lost(link: Link | None, record: LinkFate) -> tuple[int, int]:
    """Count the transmissions lost by decision, now and then, over the causes by which decisions lose any."""
    again = link.dropped if link is not None else no_drops()
    causes = [cause for cause in Cause if again[cause] or cause == Cause.LOSS]
    return sum(again[cause] for cause in causes), sum(record.dropped.get(cause.name.lower(), 0) for cause in causes)


def _impossible(decided: Sequence[Delays], arrivals: Mapping[int, Sequence[int]]) -> list[int]:
    return sorted(
        number for number, delays in arrivals.items() if number >= len(decided) or len(delays) > len(decided[number])
    )


def _excess_ns(decided: Sequence[Delays], arrivals: Mapping[int, Sequence[int]]) -> tuple[int, int]:
    """Compare delays with those decided, in their order, for a packet and its copy are not told apart; both must have arrived."""
    excess = [
        delay_ns - own_ns
        for number, delays in arrivals.items()
        if number < len(decided) and len(delays) == len(decided[number])
        for delay_ns, own_ns in zip(sorted(delays), sorted(decided[number]), strict=True)
    ]
    return min(excess, default=0), max(excess, default=0)
