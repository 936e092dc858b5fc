"""trio: a running network in a person's hands: one method for each control, for the control socket and the live page alike.

Source: DESIGN section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from netem.errors import ConfigError
from netem.guard import Guard
from netem.network import Network
from netem.tc import describe
from scenarios import live_controls as c
from scenarios.hosts import TRACKER
from scenarios.live_controls import Answer

AT_FIRST = "as at the beginning"
_MOST_LISTED = 8


class Live:
    """What was changed by hand, so that it can be taken back.

    Args:
        network: the run's; every change is an event of the run, and is made in all of its processes.

    Every method does at once what its control says, or raises ConfigError and does nothing of it: there is no such host, the
    line is none, or a host is not in the state for it.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._partitions: list[Guard] = []
        self._holds: list[Guard] = []
        self._pauses: dict[str, Guard] = {}
        self._methods: Mapping[type[c.Control], Callable[[Any], Answer]] = {
            c.SetLinks: self.set_links,
            c.ClearLinks: self.clear_links,
            c.Show: self.show,
            c.Partition: self.partition,
            c.Heal: self.heal,
            c.Hold: self.hold,
            c.Release: self.release,
            c.Crash: self.crash,
            c.Restart: self.restart,
            c.Pause: self.pause,
            c.Resume: self.resume,
            c.ResetStreams: self.reset_streams,
            c.HalfOpen: self.half_open,
        }

    def do(self, control: c.AnyControl) -> Answer:
        """Do what a control says; raise ConfigError as its method does."""
        return self._methods[type(control)](control)

    # -- links ------------------------------------------------------------------------------------------------------------

    def set_links(self, control: c.SetLinks) -> Answer:
        """Let links do what a tc line says."""
        if control.source is None and control.target is None:
            self._network.impair_all(control.line)
            return Answer([f"all links: {control.line}"])
        source, target = self._ends(control)
        self._network.impair(source, target, control.line)
        if control.both_ways:
            self._network.impair(target, source, control.line)
        return Answer([f"{_between(source, target, both_ways=control.both_ways)}: {control.line}"])

    def clear_links(self, control: c.ClearLinks) -> Answer:
        """Let links do again what they did when the run began."""
        if control.source is None and control.target is None:
            self._network.clear()
            return Answer([f"all links: {AT_FIRST}"])
        source, target = self._ends(control)
        pairs = [(one, other) for one in source for other in target if one != other]
        self._network.clear([*pairs, *((other, one) for one, other in pairs if control.both_ways)])
        return Answer([f"{_between(source, target, both_ways=control.both_ways)}: {AT_FIRST}"])

    def show(self, _control: c.Show) -> Answer:
        """Tell what is not as it was when the run began."""
        hosts, links = self._network.hosts, self._network.links
        common = links.common()
        overall = AT_FIRST if common is None else describe(common)
        apart = [(one, other, describe(links.config((one, other)))) for one, other in links.changed()]
        pairs = {"cut": links.cut_pairs(), "held": links.held_pairs()}
        states = {
            "down": [host.name for host in hosts.values() if not host.up],
            "paused": [host.name for host in hosts.values() if host.paused],
        }
        said = [f"all links: {overall}", *(f"{one} > {other}: {does}" for one, other, does in apart)]
        said += [f"{kind}: {' > '.join(pair)}" for kind, listed in pairs.items() for pair in listed]
        said += [f"{kind}: {', '.join(names)}" for kind, names in states.items() if names]
        rows = [{"from": one, "to": other, "does": does} for one, other, does in apart]
        return Answer(said, {"all": overall, "links": rows, **pairs, **states})

    # -- partitions and holds -----------------------------------------------------------------------------------------------

    def partition(self, control: c.Partition) -> Answer:
        """Cut hosts off from others."""
        return self._keep(self._partitions, self._network.partition, control)

    def heal(self, _control: c.Heal) -> Answer:
        """End all partitions that were made by hand."""
        return _end(self._partitions, "partition")

    def hold(self, control: c.Hold) -> Answer:
        """Hold back what would arrive between hosts."""
        return self._keep(self._holds, self._network.hold, control)

    def release(self, _control: c.Release) -> Answer:
        """End all holds that were made by hand."""
        return _end(self._holds, "hold")

    def _keep(self, guards: list[Guard], make: Callable[..., Guard], control: c.Partition | c.Hold) -> Answer:
        group = self._named(control.group)
        others = [name for name in self._network.hosts if name not in group]
        rest = others if control.rest is None else self._named(control.rest)
        if not rest:
            raise ConfigError("hosts", ", ".join(control.group), "hosts that are not all there are")
        guards.append(make(group, rest, one_way=control.one_way))
        return Answer([_between(group, rest, both_ways=not control.one_way)])

    # -- hosts and streams ----------------------------------------------------------------------------------------------------

    def crash(self, control: c.Crash) -> Answer:
        """Crash nodes."""
        hosts = self._network.hosts
        names = self._in_state("crash", control.hosts, "up", lambda name: hosts[name].up)
        if TRACKER in names:
            raise ConfigError("crash", TRACKER, "nodes: the tracker's process is the run's own")
        return _each("crashed", names, self._network.crash)

    def restart(self, control: c.Restart) -> Answer:
        """Restart crashed nodes, whoever crashed them."""
        hosts = self._network.hosts
        names = self._in_state("restart", control.hosts, "down", lambda name: not hosts[name].up)
        return _each("restarted", names, self._network.restart)

    def pause(self, control: c.Pause) -> Answer:
        """Let the processes of hosts stand still."""
        names = self._in_state("pause", control.hosts, "not paused by hand", lambda name: name not in self._pauses)
        self._pauses |= {name: self._network.pause(name) for name in names}
        return _each("paused", names)

    def resume(self, control: c.Resume) -> Answer:
        """Let hosts that were paused by hand go on."""
        names = self._in_state("resume", control.hosts, "paused by hand", self._pauses.__contains__)
        return _each("resumed", names, lambda name: self._pauses.pop(name).end())

    def reset_streams(self, control: c.ResetStreams) -> Answer:
        """Reset all streams between two hosts."""
        self._network.reset_streams(control.one, control.other)
        return Answer([f"streams between {control.one} and {control.other} are reset"])

    def half_open(self, control: c.HalfOpen) -> Answer:
        """Let a host lose its streams with another one, which hears nothing of it."""
        self._network.half_open(control.gone, control.left)
        return Answer([f"{control.gone} has lost its streams with {control.left}"])

    # -- names ------------------------------------------------------------------------------------------------------------

    def _ends(self, control: c.SetLinks | c.ClearLinks) -> tuple[list[str], list[str]]:
        everybody = list(self._network.hosts)
        return (
            everybody if control.source is None else self._named(control.source),
            everybody if control.target is None else self._named(control.target),
        )

    def _named(self, patterns: Sequence[str]) -> list[str]:
        """Return the hosts that names or patterns fit, each once, in the network's order."""
        hosts = list(self._network.hosts)
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in hosts):
                some = f"{', '.join(hosts[:3])} to {hosts[-1]}" if len(hosts) > _MOST_LISTED else ", ".join(hosts)
                raise ConfigError(
                    "host", pattern, f"a name or pattern of {some}" if hosts else "none yet: no host is there"
                )
        return [name for name in hosts if any(fnmatchcase(name, pattern) for pattern in patterns)]

    def _in_state(self, what: str, patterns: Sequence[str], state: str, is_in_it: Callable[[str], bool]) -> list[str]:
        names = self._named(patterns)
        for name in names:
            if not is_in_it(name):
                raise ConfigError(what, name, f"a host that is {state}")
        return names


def _each(done: str, names: list[str], act: Callable[[str], object] = lambda _: None) -> Answer:
    for name in names:
        act(name)
    return Answer([f"{done}: {', '.join(names)}"], {"hosts": names})


def _end(guards: list[Guard], what: str) -> Answer:
    ended = len(guards)
    for guard in guards:
        guard.end()
    guards.clear()
    return Answer([f"{ended} {what}{'' if ended == 1 else 's'} ended"], {"ended": ended})


def _between(source: Sequence[str], target: Sequence[str], *, both_ways: bool) -> str:
    return f"{', '.join(source)} {'<>' if both_ways else '>'} {', '.join(target)}"
