"""trio: what the live page says of a run beside its panels: facts, progress, fidelity, claims, events, nodes (it reads the run's clock).

Source: DESIGN sections 3 (a run whose host could not keep up is void) and 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from netem.clock import Clock, S
from netem.events import Event
from netem.metrics.timeliness import USED, Timeliness
from netem.series import Series
from netem.tc import describe
from scenarios.page.node_map import NodeMap
from scenarios.page.ticker import Ticker

if TYPE_CHECKING:
    from netem.network import Network
    from scenarios.catalogue import Scenario
    from scenarios.judging import Judgement
    from scenarios.options import Options
    from scenarios.parameters import Params
    from scenarios.result import Result
    from scenarios.testbed import Bed

AMBER_FROM = 0.5  # of what a valid run may use up
Told = dict[str, Any]


class View(Protocol):
    """What the page asks of a run, be it going on or long over."""

    def facts(self) -> Told:
        """Return what never changes: scenario, question, seed, time, run, params, link, started_s (Unix), duration_s."""
        ...

    def told(self, *, after: int) -> Told:
        """Return the state: phase, at_s, light, reasons, claims, note, invariants, digest, status, ended, sample_s, and events after that number."""
        ...

    def drawn(self) -> Told:
        """Return the nodes and links (see `NodeMap.told`)."""
        ...


class LiveView:
    """A run that goes on, until `finish`.

    Args:
        scenario, params, options: what is played.
        run: the run directory's name.
        timeliness: the metrics of the host.
        sample_s: time between two samples at first.

    Attributes:
        sample_s: time between two samples, as it is now.
        asked_ns: when a page asked last, on the run's clock; 0 before the first.
    """

    def __init__(
        self,
        scenario: Scenario,
        params: Params,
        *,
        options: Options,
        run: str,
        clock: Clock,
        timeliness: Timeliness,
        sample_s: float,
    ) -> None:
        self._clock = clock
        self._timeliness = timeliness
        self._started_ns = clock.now_ns()
        self._facts = {
            "scenario": scenario.name,
            "question": scenario.question.split("\n\n", 1)[0].replace("\n", " "),
            "seed": options.seed,
            "time": options.time,
            "run": run,
            "params": msgspec.to_builtins(params),
            "started_s": self._started_ns / S,
            "duration_s": params.duration_s,
            "link": describe(params.link()),
        }
        self._duration_s = params.duration_s
        self._ticker = Ticker(self._started_ns)
        self._map: NodeMap | None = None
        self._bed: Bed | None = None
        self._claims: Sequence[Mapping[str, Any]] = ()
        self._reasons: Sequence[str] = ()
        self._note = "not judged yet"
        self._result: Result | None = None
        self.sample_s = sample_s
        self.asked_ns = 0

    def fold(self, time_ns: int, event: Event) -> None:
        """Take an event of the run."""
        self._ticker.fold(time_ns, event)
        if self._map is not None:
            self._map.fold(time_ns, event)

    def attach(self, *, network: Network | None = None, bed: Bed | None = None) -> None:
        """Take the parts to read, once there are any."""
        if network is not None:
            self._map = NodeMap(network)
        self._bed = bed or self._bed

    def steps(self) -> Iterator[None]:
        """Read nodes and events, yielding between steps of at most a few milliseconds."""
        if self._bed is not None:
            names = self._ticker.names
            for number, peer in enumerate(self._bed.peers[len(names) :], len(names)):
                names[peer.node] = f"node-{number}"
        self._ticker.turn()
        yield
        if self._map is not None:
            yield from self._map.steps()

    def judged(self, judgement: Judgement) -> None:
        """Take the claims on the run so far."""
        self._claims = [claim.to_dict() for claim in judgement.claims]
        self._reasons, self._note = judgement.reasons, judgement.note

    def finish(self, result: Result) -> None:
        """Take the verdict: nothing changes any more, and the map stays as it was when there was still traffic."""
        self._ticker.turn()
        self._result = result
        self._claims = [claim.to_dict() for claim in result.claims]
        self._reasons, self._note = result.certificate.reasons, ""

    def facts(self) -> Told:
        """See `View`."""
        return self._facts

    def told(self, *, after: int) -> Told:
        """See `View`."""
        self.asked_ns = self._clock.now_ns()
        light, reasons = self._light()
        result = self._result
        return {
            "phase": self._phase(),
            "at_s": (self._clock.now_ns() - self._started_ns) / S,
            "show_s": self._show_s(),
            "light": light,
            "reasons": reasons,
            "claims": self._claims,
            "note": self._note,
            "invariants": None if result is None else dict(result.invariants),
            "digest": None if result is None else result.digest,
            "status": None if result is None else result.status,
            "ended": result is not None,
            "sample_s": self.sample_s,
            "events": self._ticker.since(after),
        }

    def drawn(self) -> Told:
        """See `View`."""
        return {} if self._map is None else self._map.told()

    def _show_s(self) -> float | None:
        """Return for how long the scenario's show has been on, None before."""
        began_ns = None if self._bed is None else self._bed.show_began_ns
        return None if began_ns is None else (self._clock.now_ns() - began_ns) / S

    def _phase(self) -> str:
        if self._result is not None:
            return "ended"
        show_s = self._show_s()
        if show_s is None:
            return "preparing"
        assert self._bed is not None
        return "settling" if show_s > self._duration_s or self._bed.interrupted else "running"

    def _light(self) -> tuple[str, list[str]]:
        """Return green, amber or void, with why."""
        if self._result is not None:
            valid = self._result.certificate.valid and all(self._result.invariants.values())
            broken = [f"invariant {name} is violated" for name, ok in self._result.invariants.items() if not ok]
            return ("green" if valid else "void"), [*self._reasons, *broken] or ["the certificate is valid"]
        series = self._timeliness.series[USED]
        assert isinstance(series, Series)
        used = {
            labels[0][1].replace("_", " "): share for (_, labels), share in zip(series.keys, series.values, strict=True)
        }
        told = [f"{check}: {share:.0%} of what is allowed" for check, share in used.items() if share >= AMBER_FROM]
        if self._show_s() is None:
            return "waiting", ["judged from the moment on when the scenario begins", *told]
        if self._reasons or max(used.values(), default=0.0) > 1:
            return "void", list(self._reasons) or told
        worst = max(used.values(), default=0.0)
        return ("amber", told) if told else ("green", [f"worst check: {worst:.0%} of what is allowed"])
