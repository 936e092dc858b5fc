"""trio: a network that can be changed while it runs: links, partitions, holds, crashes, pauses, clocks, streams.

Every change is one call. It stands until it is taken back by `end`, or at the end of the block when it is used as a guard:

    with network.partition(["a"], ["b"]):
        ...

Each is told to `on_fault` and made in every process of the run. Changes may overlap: a pair of hosts is open when all cuts of
it have ended, released when all holds have; a link does what was said last of what still stands (`layers`).

Source: DESIGN section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from netem import changes, tc
from netem.errors import ConfigError
from netem.faults import Pair, pairs_between
from netem.guard import Guard
from netem.host_clock import LARGEST_DRIFT_PPM, LARGEST_OFFSET_S
from netem.layers import as_config
from netem.link import LinkConfig
from netem.mirrored import Mirrored, Names
from netem.plain_link import to_plain

_MOST_LISTED = 8  # names in a description
_LAST_PORT = 65_535


class Changeable(Mirrored):
    """What may be done to hosts and links while they run."""

    # -- links ----------------------------------------------------------------------------------------------------------

    def impair(self, source: Names, target: Names, config: LinkConfig | str) -> Guard:
        """Set what the links from one or more hosts to others do, from the next packet on; packets under way are not touched.

        `config` may be a tc line, or "none". A host has no link to itself, so that one may stand on both sides.

        Raises:
            ConfigError: there is no such host, there are no two different ones, or the line is none.
        """
        sources, targets = self._names(source), self._names(target)
        pairs = [(one, other) for one in sources for other in targets if one != other]
        what = f"{_listed(sources)} > {_listed(targets)}"
        if not pairs:
            raise ConfigError("impair", what, "two different hosts")
        return self._impair(pairs, config, what)

    def impair_all(self, config: LinkConfig | str) -> Guard:
        """Set what every link does, those to come included."""
        return self._impair(None, config, "all")

    def _impair(self, pairs: list[Pair] | None, config: LinkConfig | str, what: str) -> Guard:
        config = as_config(config)
        serial = self._serials()
        self._make(changes.Impair(serial, pairs, to_plain(config)), "impair", f"{what}: {tc.describe(config)}")
        return Guard(lambda: self._make(changes.Restore(serial), "restore", what))

    def clear(self, pairs: Sequence[Pair] | None = None) -> None:
        """Let links, by default all, do again what they did at the beginning, whatever was said since.

        Raises:
            ConfigError: there is no such host.
        """
        named = None if pairs is None else [(self._host(one).name, self._host(other).name) for one, other in pairs]
        what = "all" if named is None else _listed([f"{one} > {other}" for one, other in named])
        self._make(changes.Clear(self._serials(), named), "restore", what)

    # -- partitions and holds -------------------------------------------------------------------------------------------

    def partition(self, group: Names, rest: Names, *, one_way: bool = False) -> Guard:
        """Cut two groups of hosts off from each other; `one_way` cuts group to rest only. Packets under way still arrive.

        Raises:
            ConfigError: there is no such host, none on a side, or one on both.
        """
        pairs, what = self.between(group, rest, one_way=one_way, fault="partition")
        self._make(changes.Cut(pairs), "partition", what)
        return Guard(lambda: self._make(changes.Mend(pairs), "heal", what))

    def hold(self, group: Names, rest: Names, *, one_way: bool = False) -> Guard:
        """Hold back what would arrive between two groups of hosts, packets under way too; released, it arrives in order.

        Raises:
            ConfigError: there is no such host, none on a side, or one on both.
        """
        pairs, what = self.between(group, rest, one_way=one_way, fault="hold")
        self._make(changes.Hold(pairs), "hold", what)
        return Guard(lambda: self._make(changes.Release(pairs), "release", what))

    def between(self, group: Names, rest: Names, *, one_way: bool, fault: str) -> tuple[list[Pair], str]:
        """Return the directed pairs of two groups and how to call them; raise ConfigError as `partition` does."""
        groups = self._names(group), self._names(rest)
        pairs = pairs_between(*groups, one_way=one_way, fault=fault)
        return pairs, f"{_listed(groups[0])} {'>' if one_way else '<>'} {_listed(groups[1])}"

    # -- hosts ----------------------------------------------------------------------------------------------------------

    def crash(self, host: str) -> Guard:
        """Crash a host: sockets close, streams reset at both ends, packets to it find nobody (DESTINATION_DOWN).

        Its packets in flight still travel. Who runs a program on it hears of it by `Host.on_crash`. The guard's end restarts it, unless
        somebody else did.

        Raises:
            ConfigError: there is no such host, or it is down.
        """
        if not self._host(host).up:
            raise ConfigError("crash", host, "a host that is up")
        self._make(changes.Crash(host), "crash", host)
        return Guard(lambda: None if self.hosts[host].up else self.restart(host))

    def restart(self, host: str) -> None:
        """Let a crashed host open sockets again.

        Raises:
            ConfigError: there is no such host, or it is up.
        """
        if self._host(host).up:
            raise ConfigError("restart", host, "a host that is down")
        self._make(changes.Restart(host), "restart", host)

    def pause(self, host: str) -> Guard:
        """Let a host's process stand still, as a stopped or swapping one does; nothing that waits for it is lost.

        Frozen are the timers of the host's clock, the handling of datagrams (they arrive, and are read later), and both ends
        of its streams' reads and writes. Tasks that only sleep by trio's time go on, but what they send waits too.

        Raises:
            ConfigError: there is no such host.
        """
        name = self._host(host).name
        self._make(changes.Pause(name), "pause", name)
        return Guard(lambda: self._make(changes.Resume(name), "resume", name))

    def skew(self, host: str, *, offset_s: float = 0.0, drift_ppm: float = 0.0) -> Guard:
        """Let a host's clock be wrong by an offset, and ever more by a drift; several skews add up. Network and bank stay right.

        Raises:
            ConfigError: there is no such host, or an offset beyond 10^9 s or a drift beyond 100,000 ppm.
        """
        for field, value, most in (
            ("offset_s", offset_s, LARGEST_OFFSET_S),
            ("drift_ppm", drift_ppm, LARGEST_DRIFT_PPM),
        ):
            if not abs(value) <= most:
                raise ConfigError(f"skew {field}", value, f"a number from {-most:g} to {most:g}")
        name, serial = self._host(host).name, self._serials()
        change = changes.Skew(serial, name, round(offset_s * 1e9), round(drift_ppm * 1e3))
        self._make(change, "skew", f"{name}: {offset_s:+g} s, {drift_ppm:+g} ppm")
        return Guard(lambda: self._make(changes.Unskew(serial, name), "unskew", name))

    # -- streams --------------------------------------------------------------------------------------------------------

    def reset_streams(self, one: str, other: str, *, port: int = 0) -> None:
        """Reset the streams between two hosts at both ends: all of them, or those to a listener's port.

        Raises:
            ConfigError: there is no such host, the two are one, or it is no port.
        """
        ends = self._ends("reset", one, other, port=port)
        self._make(changes.Reset(ends, port), "reset", " <> ".join(ends) + _on(port))

    def half_open(self, gone: str, left: str, *, port: int = 0) -> None:
        """Let `gone` lose its ends of the streams between two hosts without a word to `left`, which goes on in vain.

        Raises:
            ConfigError: there is no such host, the two are one, or it is no port.
        """
        ends = self._ends("half_open", gone, left, port=port)
        self._make(changes.Vanish(ends, port), "half_open", f"{gone} is gone for {left}" + _on(port))

    def _ends(self, fault: str, one: str, other: str, *, port: int) -> Pair:
        ends = self._host(one).name, self._host(other).name
        if one == other:
            raise ConfigError(fault, f"{one} and {other}", "two different hosts")
        if not 0 <= port <= _LAST_PORT:
            raise ConfigError(f"{fault} port", port, f"0 (all) to {_LAST_PORT}")
        return ends


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_LISTED
    return ", ".join(names[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def _on(port: int) -> str:
    return f", port {port}" if port else ""
