"""trio: faults that go on by themselves, by timers of the run's clock: flapping links and churn.

Source: DESIGN section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from netem.changeable import Changeable
from netem.clock import Clock, S, TrueClock
from netem.errors import ConfigError
from netem.guard import Guard
from netem.links import Links
from netem.mirrored import Mirror, Names, OnFault
from netem.randomness import keyed_generator
from netem.sessions import Session, check_sessions
from netem.tcp import Switchboard

SHORTEST_PERIOD_S = 0.001


class Scheduled(Changeable):
    """A changeable network with a clock.

    Args:
        clock: the run's clock.
        run_seed: keys what is random.
    """

    def __init__(
        self,
        clock: TrueClock,
        links: Links,
        switchboard: Switchboard,
        *,
        run_seed: int,
        on_fault: OnFault | None,
        mirror: Mirror | None,
    ) -> None:
        super().__init__(links, switchboard, on_fault=on_fault, mirror=mirror)
        self.clock = clock
        self._run_seed = run_seed
        self._flaps = 0

    def flap(
        self,
        group: Names,
        rest: Names,
        *,
        period_s: float,
        open_share: float = 0.5,
        random: bool = False,
        one_way: bool = False,
    ) -> Guard:
        """Partition two groups of hosts again and again, beginning now; packets under way still arrive.

        Each period is first cut, then open for `open_share` of it; with `random` both last exponential times with these means.

        Raises:
            ConfigError: there is no such host, one is on both sides, the period is below 1 ms or the share not between 0 and 1.
        """
        if not SHORTEST_PERIOD_S <= period_s < math.inf:
            raise ConfigError("flap period_s", period_s, f"a number from {SHORTEST_PERIOD_S:g}")
        if not 0.0 < open_share < 1.0:
            raise ConfigError("flap open_share", open_share, "a number above 0 and below 1")
        groups = [list([names] if isinstance(names, str) else names) for names in (group, rest)]
        _, what = self.between(*groups, one_way=one_way, fault="flap")
        self._flaps += 1
        chance = keyed_generator(self._run_seed, "flap", self._flaps) if random else None
        self.tell("flap", f"{what}: every {period_s:g} s, open {open_share:.0%}{' at random' if random else ''}")
        flapping = _Flapping(
            self.clock,
            lambda: self.partition(*groups, one_way=one_way),
            means_s=(period_s * (1 - open_share), period_s * open_share),
            chance=chance,
        )
        return Guard(flapping.end)

    def churn(self, sessions: Sequence[Session]) -> Guard:
        """Crash and restart hosts so that those named are up in their sessions only, from now on; the others stay as they are.

        At the guard's end, all that it crashed are up again. A host that something else crashed or restarted is left alone until
        its next session begins or ends.

        Raises:
            ConfigError: there is no such host, or `check_sessions` refuses a session.
        """
        check_sessions(sessions)
        names = sorted({self._host(session.name).name for session in sessions})
        self.tell("churn", f"{len(names)} hosts, {len(sessions)} sessions")
        churning = _Churning(self, sessions)
        churning.begin(self.clock)
        return Guard(churning.end)


class _Flapping:
    """A partition that comes and goes."""

    def __init__(
        self,
        clock: Clock,
        cut: Callable[[], Guard],
        *,
        means_s: tuple[float, float],
        chance: np.random.Generator | None,
    ) -> None:
        self._clock = clock
        self._cut = cut
        self._means_s = means_s
        self._chance = chance
        self._present: Guard | None = None
        self._ended = False
        self._flip(clock.now_ns())

    def _flip(self, now_ns: int) -> None:
        if self._ended:
            return
        if self._present is None:
            self._present, mean_s = self._cut(), self._means_s[0]
        else:
            self._present.end()
            self._present, mean_s = None, self._means_s[1]
        wait_s = mean_s if self._chance is None else float(self._chance.exponential(mean_s))
        next_ns = now_ns + max(1, round(wait_s * S))
        self._clock.call_at(next_ns, self._flip, next_ns)

    def end(self) -> None:
        """Leave the pairs open."""
        self._ended = True
        if self._present is not None:
            self._present.end()


class _Churning:
    """Hosts that come and go."""

    def __init__(self, network: Changeable, sessions: Sequence[Session]) -> None:
        self._network = network
        self._sessions = sessions
        self._crashed: dict[str, Guard] = {}
        self._ended = False

    def begin(self, clock: Clock) -> None:
        """Crash who has no session yet, and set a timer for each change to come."""
        now_ns = clock.now_ns()
        early = {session.name for session in self._sessions if session.start_s == 0.0}
        for name in sorted({session.name for session in self._sessions} - early):
            self._leave(name)
        # Who leaves and comes at one instant reboots, so leaving comes first.
        changes = [(session.end_s, 0, session.name) for session in self._sessions if session.end_s != math.inf]
        changes += [(session.start_s, 1, session.name) for session in self._sessions if session.start_s]
        for at_s, comes, name in sorted(changes):
            clock.call_at(now_ns + round(at_s * S), self._come if comes else self._leave, name)

    def _leave(self, name: str) -> None:
        if not self._ended and self._network.hosts[name].up:
            self._crashed[name] = self._network.crash(name)

    def _come(self, name: str) -> None:
        if not self._ended and name in self._crashed:
            self._crashed.pop(name).end()

    def end(self) -> None:
        """Bring back who is away."""
        self._ended = True
        for name in sorted(self._crashed):
            self._crashed[name].end()
