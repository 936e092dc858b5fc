"""trio: judge a run: its claims while it goes on, without holding up the event loop, and all of it when it is over.

Source: DESIGN sections 5 (claims) and 6 (result.json).
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import trio

from netem import accounts
from netem.accounts import Account
from netem.certificate import Certificate
from netem.errors import OwnCodeError
from netem.latency import LatencyHistogram
from netem.network import Network
from netem.offload import offload
from scenarios.catalogue import Scenario
from scenarios.claims import Claim, Record, Trace
from scenarios.foreign import judge_guarded
from scenarios.options import Options
from scenarios.parameters import Params
from scenarios.result import Result, count
from scenarios.testbed import Bed
from tracker.bank.audit import audit

LINKS_PER_STEP = 200  # some milliseconds
MOST_LINKS = 40_000  # from here on even one step takes too long


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    """The claims on the run so far, and why its network would be void now; or a `note` why there is none.

    `cpu_s` is what it cost, in the event loop and beside it.
    """

    claims: Sequence[Claim] = ()
    reasons: Sequence[str] = ()
    note: str = ""
    cpu_s: float = 0.0


class Judge:
    """What judges one run.

    Attributes:
        void: reasons why the run cannot be believed, known from elsewhere than its packets.
        trace: the run's events.
        started_ns: when the scenario began.
    """

    def __init__(self, scenario: Scenario, params: Params, *, options: Options, own_code: Sequence[str]) -> None:
        self._scenario = scenario
        self._params = params
        self._options = options
        self._own_code = own_code
        self.void: list[str] = []
        self.trace = Trace()
        self.started_ns = 0

    async def so_far(self, bed: Bed) -> Judgement:
        """Judge the claims on the run so far: counted in steps, judged in a thread; the ledger is not audited.

        Raises:
            OwnCodeError: the claims are the experimenter's own, and failed.
            LookupError: the scenario has not noted a fact yet that its claims look at.
        """
        network = bed.network
        if len(network.routes) > MOST_LINKS:
            return Judgement(
                note=f"judged at the end only: {len(network.routes)} links are too many to count on the way"
            )
        parts = []
        cpu_s, began_s = 0.0, time.thread_time()
        for part in _counted(network):
            parts.append(part)
            cpu_s += time.thread_time() - began_s
            await trio.lowlevel.checkpoint()
            began_s = time.thread_time()
        trace, facts = self.trace.so_far(), dict(bed.facts)
        judgement = await offload(bed.clock, lambda: self._judged_so_far(parts, trace, facts))
        return dataclasses.replace(judgement, cpu_s=judgement.cpu_s + cpu_s)

    def at_once(self, bed: Bed) -> Judgement:
        """Judge the claims on the run so far where nobody waits for the event loop; raises as `so_far`."""
        return self._judged_so_far([bed.network.account()], self.trace, bed.facts)

    def _judged_so_far(self, parts: Sequence[Account], trace: Trace, facts: Mapping[str, object]) -> Judgement:
        began_s = time.thread_time()
        account = accounts.merge(parts)
        # What lies between two sockets is in no counter yet, and no loss of ours.
        under_way = account.conservation.in_flight + account.conservation.missing
        account.conservation = dataclasses.replace(account.conservation, in_flight=under_way)
        certificate = account.certificate()
        record = Record(
            params=self._params,
            trace=trace,
            started_ns=self.started_ns,
            certificate=certificate,
            facts=facts,
            ledger_ok={},
        )
        claims = judge_guarded(lambda: self._scenario.claims(record), self._own_code)
        return Judgement(claims, certificate.reasons, cpu_s=time.thread_time() - began_s)

    def result(self, bed: Bed, account: Account, *, events: bytes, directory: Path) -> Result:
        """Audit the ledger from disk and judge the whole run; `events` is the digest of its events."""
        report = audit(directory / "ledger.sqlite")
        certificate = account.certificate(void=self.void)
        claims = self._claims(bed, certificate, report.invariants)
        fates = msgspec.json.encode(sorted(account.fates().items()))
        return Result(
            scenario=self._scenario.name,
            seed=self._options.seed,
            time=self._options.time,
            params=self._params,
            claims=claims,
            invariants=report.invariants,
            certificate=account.certificate(void=self.void) if self.void else certificate,
            counts=count(self.trace, account),
            # No wall clock, path or database byte.
            digest=hashlib.sha256(events + report.head + fates).hexdigest(),
            directory=directory,
            interrupted=bed.interrupted,
        )

    def _claims(self, bed: Bed, certificate: Certificate, ledger_ok: Mapping[str, bool]) -> Sequence[Claim]:
        """Judge the claims; of a run that broke off nothing follows."""
        record = Record(
            params=self._params,
            trace=self.trace,
            started_ns=self.started_ns,
            certificate=certificate,
            facts=bed.facts,
            ledger_ok=ledger_ok,
        )
        try:
            claims = judge_guarded(lambda: self._scenario.claims(record), self._own_code)
        except OwnCodeError as fault:
            self.void.append(str(fault))
            return []
        if not self.void:
            return claims
        return [dataclasses.replace(claim, measured=None, ok=None, note="the run broke off") for claim in claims]


def _counted(network: Network) -> Iterator[Account]:
    """Yield the account of a network some links at a time; each part is read at one moment.

    Of a link that ends in another process only one side's counts are here: until they are merged it proves nothing.
    """
    begin = 0
    while begin < len(network.routes):
        part = network.routes[begin : begin + LINKS_PER_STEP]
        begin += len(part)
        kept = accounts.conserve((), part, network.fates, kernel_drops=0)
        whole = [route for route in part if route.source.here and route.target.here]
        yield Account(dataclasses.replace(kept, delivered=0), links=accounts.count_links(whole, network.fates))
    kept = accounts.conserve(network.hosts.values(), (), network.fates, kernel_drops=network.wire.kernel_drops() or 0)
    lateness, lag = _copied(network.fates.lateness), _copied(network.lag.histogram)
    delays = dict(network.fates.delays())
    yield Account(kept, links=[], lateness=lateness, lag=lag, foreign=network.foreign, delays=delays)


def _copied(histogram: LatencyHistogram) -> LatencyHistogram:
    copy = LatencyHistogram()
    copy.merge(histogram.counts())
    return copy
