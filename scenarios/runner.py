"""trio: run a scenario from start to result: run directory, clock, Ctrl-C, claims, invariants, digest.

Source: DESIGN sections 3 (two clocks, digest), 5 and 6 (run directory, result.json, exit status).
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import trio

from netem.accounts import Account, merge
from netem.certificate import Certificate
from netem.clock import S
from netem.errors import ConfigError, OwnCodeError, SwarmbedError
from netem.events import EventStream
from netem.faults import FaultMade
from netem.network import Network
from netem.offload import offload
from netem.real_time import RealTime
from netem.virtual_time import VirtualTime, schedule_deterministically
from scenarios.catalogue import Scenario
from scenarios.claims import Claim, Record, Trace
from scenarios.content import Shared, standard_library, user_content
from scenarios.fitting import fit
from scenarios.fleet import Fleet
from scenarios.foreign import judge_guarded, play_guarded
from scenarios.options import Options
from scenarios.parameters import Params, fill
from scenarios.process import allow_many_sockets, deaf_to_interrupts, rare_collections
from scenarios.progress import Progress
from scenarios.result import Result, count
from scenarios.run_directory import new_run_directory, write_json, write_links, write_run_json
from scenarios.scenario_file import own_code_files
from scenarios.testbed import Bed
from scenarios.trace_file import TraceFile
from tracker.bank.audit import audit
from tracker.events import NodeJoined

if TYPE_CHECKING:
    from scenarios.watch import Watch

MOST_PROCS = 64
HOLD_NS = S // 2  # how long events wait for earlier ones from other processes
DRAIN_S = 1.0  # after the last sender has stopped, so that what is under way arrives and is counted


def run_scenario(
    scenario: Scenario, values: Mapping[str, object], options: Options, *, watch: Watch | None = None
) -> Result:
    """Run a scenario and write its run directory.

    Args:
        scenario: what to play.
        values: parameter values by key, as `fill` takes them.
        options: how to run it.
        watch: shows its metrics.

    Raises:
        ConfigError: something is wrong with what was asked for; nothing was run.
        LedgerError: the ledger could not be written; the run directory keeps what was acknowledged.
    """
    params = fill(scenario.params, values)
    params.link()
    check_procs(options, params)
    if options.procs is None:
        options, _ = fit(params, options)
    content = user_content(options.content) if options.content else standard_library()
    directory = new_run_directory(options.out, scenario=scenario.name, seed=options.seed)
    write_run_json(directory, scenario=scenario, params=params, options=options, content=content)
    clock = VirtualTime() if options.time == "virtual" else RealTime()
    run = _Run(clock, scenario, params, options=options, content=content, directory=directory, watch=watch)
    try:
        with rare_collections():
            if isinstance(clock, VirtualTime):
                schedule_deterministically(options.seed)
                trio.run(run.main, clock=clock)
            else:
                allow_many_sockets()
                trio.run(run.main)
    except* ConfigError:
        if not run.began:
            shutil.rmtree(directory)  # such as a port in use: nothing was run, so nothing is left behind
        raise
    with deaf_to_interrupts():
        result = run.judge()
        write_links(directory, result.certificate.report)
        write_json(directory / "result.json", result.to_dict())
    return result


def check_procs(options: Options, params: Params) -> None:
    """Refuse more processes than make sense.

    Raises:
        ConfigError: there are more of them than nodes or than `MOST_PROCS`, or any beside the one in virtual time or where
            the scenario needs its nodes in its own.
    """
    if options.procs is None:
        return
    if not 1 <= options.procs <= min(params.nodes, MOST_PROCS):
        raise ConfigError("--procs", options.procs, f"a whole number from 1 to {min(params.nodes, MOST_PROCS)}")
    if options.procs > 1 and options.time == "virtual":
        raise ConfigError("--procs", options.procs, "1 with --time virtual: simulated time is one process's")
    if options.procs > 1 and params.one_process:
        raise ConfigError("--procs", options.procs, "1: this scenario looks into its nodes")


class _Run:
    """One run, from the first event to the verdict."""

    def __init__(
        self,
        clock: RealTime | VirtualTime,
        scenario: Scenario,
        params: Params,
        *,
        options: Options,
        content: Sequence[Shared],
        directory: Path,
        watch: Watch | None,
    ) -> None:
        self._clock = clock
        self._scenario = scenario
        self._params = params
        self._options = options
        self._content = content
        self._directory = directory
        self._trace = Trace()
        procs = options.procs or 1
        spread = procs > 1
        self._events = EventStream(clock.now_ns, hold_ns=HOLD_NS if spread else 0)
        self._events.subscribe(self._trace.fold)
        self._fleet = Fleet(procs, emit_at=self._events.emit_at, on_death=self._give_up) if spread else None
        mirror = self._fleet.change if self._fleet else None
        self._network = Network(
            clock,
            run_seed=options.seed,
            default_link=params.link(),
            on_fault=lambda kind, what: self._events.emit(FaultMade(kind, what)),
            mirror=mirror,
        )
        self._void: list[str] = []
        self._own_code = own_code_files(scenario.file, params)
        self._progress = Progress(clock, duration_s=params.duration_s, quiet=options.quiet)
        self._events.subscribe(self._progress.fold)
        self._watch = watch
        if watch is not None:
            watch.begin(scenario.name, options=options, directory=directory, clock=clock)
            watch.attach(network=self._network, events=self._events)
            self._events.subscribe(watch.fold)
        self._started_ns = 0
        self._bed: Bed | None = None
        self._playing = trio.CancelScope()

    @property
    def began(self) -> bool:
        """Tell whether any node has taken part."""
        return bool(self._trace.of(NodeJoined))

    async def main(self) -> None:
        """Play the scenario; on return everything is settled, stopped and closed."""
        with TraceFile(self._directory / "events.msgpack") as file:
            self._events.subscribe(file.fold)
            # The clock outlives the network, and the network the services: each needs the next to end cleanly.
            async with trio.open_nursery() as ground:
                ground.start_soon(self._clock.run)
                ground.start_soon(self._progress.run)
                if self._fleet is not None:
                    await ground.start(self._fleet.run)
                    ground.start_soon(self._release_events)
                if self._watch is not None and not self._clock.virtual:
                    ground.start_soon(self._watch.run, self._claims_so_far)
                await self._carry_out()
                ground.cancel_scope.cancel()
            self._events.release(everything=True)
        self._progress.close()

    async def _carry_out(self) -> None:
        """Play and count; an error of ours (a full disk, a ledger that fails) or of the experimenter's code leaves a void result."""
        try:
            await play_guarded(self._on_the_wires, self._own_code)
        except* ConfigError as faults:
            if not self.began:
                raise
            self._break_off(faults)
        except* SwarmbedError as faults:
            self._break_off(faults)

    async def _on_the_wires(self) -> None:
        async with trio.open_nursery() as wires:
            await wires.start(self._network.run)
            try:
                with self._playing:
                    await self._play(wires)
            finally:
                if self._bed is not None:
                    self._bed.close()
            await trio.sleep(DRAIN_S)
            elsewhere = await self._count_elsewhere()
            self._account = merge([self._network.account(), *elsewhere])
            wires.cancel_scope.cancel()

    def _break_off(self, faults: BaseExceptionGroup[SwarmbedError]) -> None:
        fault: BaseException = faults
        while isinstance(fault, BaseExceptionGroup):
            fault = fault.exceptions[0]
        self._give_up(f"the run broke off: {fault}")
        self._account = self._network.account()

    async def _count_elsewhere(self) -> list[Account]:
        if self._fleet is None:
            return []
        assert isinstance(self._clock, RealTime)
        return await self._fleet.report(self._clock.halt)

    async def _release_events(self) -> None:
        while True:
            await trio.sleep(HOLD_NS / S / 5)
            self._events.release()

    def _give_up(self, reason: str) -> None:
        """Stop at once: the run cannot be believed any more."""
        self._void.append(reason)
        self._progress.say(f"void: {reason}; stopping")
        self._playing.cancel()

    async def _play(self, wires: trio.Nursery) -> None:
        async with trio.open_nursery() as services:
            bed = self._bed = Bed(
                self._network,
                self._params,
                clock=self._clock,
                run_seed=self._options.seed,
                content=self._content,
                directory=self._directory,
                emit=self._events.emit,
                launch=services.start,
                fleet=self._fleet,
            )
            wires.start_soon(self._watch_for_interrupt, bed)
            if self._watch is not None:
                self._watch.attach(bed=bed, bank=bed.bank)
            self._started_ns = self._clock.now_ns()
            await self._scenario.run(bed)
            await bed.tracker.wait_settled()
            services.cancel_scope.cancel()

    async def _watch_for_interrupt(self, bed: Bed) -> None:
        """End the show at the first Ctrl-C (or SIGTERM) and settle; at the second, stop without settling."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                if bed.interrupted:
                    self._playing.cancel()
                bed.interrupt()

    def judge(self) -> Result:
        """Audit the ledger from disk and judge the claims."""
        bed = self._bed
        assert bed is not None
        report = audit(self._directory / "ledger.sqlite")
        certificate = self._account.certificate(void=self._void)
        record = self._record(bed, certificate, report.invariants)
        if not self._void:  # else what is left in them may tell why
            shutil.rmtree(self._directory / "stores", ignore_errors=True)
        claims = self._judged(record)
        if self._watch is not None:
            self._watch.show(claims)
        return Result(
            scenario=self._scenario.name,
            seed=self._options.seed,
            time=self._options.time,
            params=self._params,
            claims=claims,
            invariants=report.invariants,
            certificate=self._account.certificate(void=self._void) if self._void else certificate,
            counts=count(self._trace, self._account),
            digest=self._digest(report.head),
            directory=self._directory,
            interrupted=bed.interrupted,
        )

    async def _claims_so_far(self) -> Sequence[Claim]:
        """Judge the claims on the run so far, beside the event loop; the ledger is not audited."""
        bed = self._bed
        if bed is None:
            return []
        account, trace, facts = self._network.account(), self._trace.copy(), dict(bed.facts)
        hosts = self._network.hosts
        # Of a link that ends in another process only one side's counts are here: until they are merged it proves nothing.
        account.links = [link for link in account.links if hosts[link.source].here and hosts[link.target].here]

        def judge() -> Sequence[Claim]:
            record = dataclasses.replace(self._record(bed, account.certificate(), {}), trace=trace, facts=facts)
            return judge_guarded(lambda: self._scenario.claims(record), self._own_code)

        return await offload(self._clock, judge)

    def _record(self, bed: Bed, certificate: Certificate, ledger_ok: Mapping[str, bool]) -> Record:
        return Record(
            params=self._params,
            trace=self._trace,
            started_ns=self._started_ns,
            certificate=certificate,
            facts=bed.facts,
            ledger_ok=ledger_ok,
        )

    def _judged(self, record: Record) -> Sequence[Claim]:
        """Judge the claims; of a run that broke off nothing follows."""
        try:
            claims = judge_guarded(lambda: self._scenario.claims(record), self._own_code)
        except OwnCodeError as fault:
            self._void.append(str(fault))
            return []
        if not self._void:
            return claims
        return [dataclasses.replace(claim, measured=None, ok=None, note="the run broke off") for claim in claims]

    def _digest(self, journal_head: bytes) -> str:
        """Return the run's digest: events, journal and packet fates; no wall clock, path or database byte."""
        fates = msgspec.json.encode(sorted(self._account.fates().items()))
        return hashlib.sha256(self._events.digest() + journal_head + fates).hexdigest()
