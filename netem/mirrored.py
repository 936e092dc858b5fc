"""trio: a network whose live changes are values: made here, told as events, and mirrored to the run's other processes.

Source: DESIGN section 3.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

from netem import changes
from netem.changes import AnyChange
from netem.errors import ConfigError
from netem.fates import FateLog
from netem.host import Host
from netem.lag import LagMeter
from netem.links import Links
from netem.plain_link import from_plain
from netem.tcp import Switchboard

OnFault = Callable[[str, str], None]
Mirror = Callable[[AnyChange], None]
Names = str | Iterable[str]


class Mirrored:
    """Hosts and links, and how a change to them is made.

    Args:
        links: the network's.
        switchboard: the network's.
        on_fault: called as (kind, description) for every live change: `faults.KINDS`.
        mirror: called with every live change, so that other processes of the run make it too.

    Attributes:
        changes_made: how many live changes were made so far.
    """

    def __init__(
        self, links: Links, switchboard: Switchboard, *, on_fault: OnFault | None, mirror: Mirror | None
    ) -> None:
        self.hosts: dict[str, Host] = {}
        self.links = links
        self.fates: FateLog
        self.lag: LagMeter
        self.changes_made = 0
        self._switchboard = switchboard
        self._on_fault = on_fault
        self._mirror = mirror
        self._serials = itertools.count(1).__next__

    def begin(self) -> None:
        """Judge the host's lag and lateness from now on: starting many nodes at once is no part of what is emulated."""
        self._make(changes.Begin())

    def end(self) -> None:
        """Judge the host's lag and lateness no more: stopping many nodes at once is no part of what is emulated either."""
        self._make(changes.End())

    def tell(self, kind: str, description: str) -> None:
        """Tell of a fault."""
        if self._on_fault is not None:
            self._on_fault(kind, description)

    def _make(self, change: AnyChange, kind: str = "", what: str = "") -> None:
        self.apply(change)
        if kind:
            self.tell(kind, what)
        if self._mirror is not None:
            self._mirror(change)

    def apply(self, change: AnyChange) -> None:  # noqa: PLR0912 - one line for each kind of change
        """Make a change in this process, such as one that another process of the run has made."""
        links, hosts = self.links, self.hosts
        self.changes_made += 1
        match change:
            case changes.Impair(serial, pairs, config):
                links.impair(serial, pairs, from_plain(config))
            case changes.Restore(serial):
                links.restore(serial)
            case changes.Clear(serial, pairs):
                links.clear(serial, pairs)
            case changes.Cut(pairs):
                links.cut(pairs)
            case changes.Mend(pairs):
                links.mend(pairs)
            case changes.Hold(pairs):
                links.hold(pairs)
            case changes.Release(pairs):
                links.release(pairs)
            case changes.Crash(host):
                hosts[host].go_down()
                self._switchboard.crash(hosts[host])
            case changes.Restart(host):
                hosts[host].go_up()
            case changes.Pause(host):
                hosts[host].pause()
            case changes.Resume(host):
                hosts[host].resume()
            case changes.Skew(serial, host, offset_ns, drift_ppb):
                hosts[host].clock.add_skew(serial, offset_ns=offset_ns, drift_ppb=drift_ppb)
            case changes.Unskew(serial, host):
                hosts[host].clock.remove_skew(serial)
            case changes.Reset(ends, port):
                self._switchboard.reset(hosts[ends[0]], hosts[ends[1]], port=port)
            case changes.Vanish(ends, port):
                self._switchboard.vanish(hosts[ends[0]], hosts[ends[1]], port=port)
            case changes.Begin():
                self.fates.lateness.begin()
                self.lag.histogram.begin()
            case changes.End():
                self.fates.lateness.end()
                self.lag.histogram.end()

    def _host(self, name: str) -> Host:
        if name not in self.hosts:
            raise ConfigError("host", name, f"one of {', '.join(self.hosts)}")
        return self.hosts[name]

    def _names(self, names: Names) -> list[str]:
        return [self._host(name).name for name in ([names] if isinstance(names, str) else names)]
