"""trio: one run from its first event to its verdict: what it is made of, in the order in which each part needs the next to end.

Source: DESIGN sections 3 (two clocks, several processes) and 5 (events, metrics, claims).
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from netem.accounts import merge
from netem.capture import Capture
from netem.errors import ConfigError, SwarmbedError, first_of
from netem.events import EventStream
from netem.fate_file import FateFile
from netem.faults import FaultMade
from netem.layout import Layout
from netem.network import Network
from netem.parts import PLAIN, captured
from netem.real_time import RealTime
from netem.virtual_time import VirtualTime
from scenarios.catalogue import Scenario
from scenarios.content import Shared
from scenarios.control import part_of
from scenarios.control_socket import serve_controls
from scenarios.foreign import play_guarded
from scenarios.hosts import TRACKER
from scenarios.judging import Judge
from scenarios.onlookers import Onlookers
from scenarios.options import Options
from scenarios.parameters import Params
from scenarios.process import INTERRUPTS, ignore_interrupts
from scenarios.result import Result
from scenarios.scenario_file import own_code_files
from scenarios.spread import CAPTURE, FATES, HOLD_NS, Spread
from scenarios.testbed import Bed
from scenarios.trace_file import TraceFile
from tracker.events import NodeJoined

if TYPE_CHECKING:
    from scenarios.watch import Watch

DRAIN_S = 1.0  # after the last sender has stopped, so that what is under way arrives and is counted


class Play:
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
        layout: Layout,
        watch: Watch | None,
    ) -> None:
        self._clock = clock
        self._scenario = scenario
        self._params = params
        self._options = options
        self._content = content
        self._directory = directory
        self._layout = layout
        own_code = own_code_files(scenario.file, params)
        self._own_code = own_code
        self._judge = Judge(scenario, params, options=options, own_code=own_code)
        spread = (options.procs or 1) > 1
        self._events = EventStream(clock.now_ns, hold_ns=HOLD_NS if spread else 0)
        self._events.subscribe(self._judge.trace.fold)
        self._spread = Spread(options, self._events, directory=directory, on_death=self._give_up) if spread else None
        self._capture = None
        if options.capture:
            name = part_of("capture", TRACKER) if spread else CAPTURE
            self._capture = Capture(directory / name, clock, on_failure=self._give_up)
        self._network = Network(
            clock,
            run_seed=options.seed,
            link_of=layout.link,
            on_fault=lambda kind, what: self._events.emit(FaultMade(kind, what)),
            mirror=self._spread.fleet.change if self._spread else None,
            parts=captured(self._capture) if self._capture else PLAIN,
        )
        if self._spread is not None:
            self._spread.attach(self._network, clock)
        self._fates = FateFile(
            directory / (part_of("fates", TRACKER) if spread else FATES),
            self._network.fates,
            run_seed=options.seed,
            on_failure=self._give_up,
        )
        self._onlookers = Onlookers(
            clock,
            self._network,
            self._events,
            scenario=scenario,
            params=params,
            options=options,
            directory=directory,
            watch=watch,
        )
        self._bed: Bed | None = None
        self._playing = trio.CancelScope()

    @property
    def began(self) -> bool:
        """Tell whether any node has taken part."""
        return bool(self._judge.trace.of(NodeJoined))

    async def main(self) -> None:
        """Play the scenario; on return everything is settled, stopped and closed."""
        try:
            with self._capture or contextlib.nullcontext():
                await self._trace_it()
        finally:
            self._fates.finish(self._network.routes)
            self._onlookers.keep_samples(() if self._bed is None else self._bed.peers)
        if self._spread is not None:
            try:
                self._spread.merge_files()
            except OSError as fault:
                self._give_up(f"cannot write {fault.filename or self._directory}: {fault.strerror}")
        self._onlookers.close()

    async def _trace_it(self) -> None:
        with TraceFile(self._directory / "events.msgpack") as file:
            self._events.subscribe(file.fold)
            # The clock outlives the network, and the network the services: each needs the next to end cleanly.
            async with trio.open_nursery() as ground:
                ground.start_soon(self._keep_time)
                if self._spread is not None:
                    await ground.start(self._spread.run)
                self._onlookers.start(ground, self._judge)
                await self._carry_out()
                ground.cancel_scope.cancel()
            self._events.release(everything=True)

    async def _keep_time(self) -> None:
        """Run the clock; what a timer cannot do (read a file that is gone) leaves a void result. Then time passes by itself."""
        try:
            await self._clock.run()
        except* SwarmbedError as faults:
            self._give_up(f"the run broke off: {first_of(faults)}")

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
        ignore_interrupts()

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
            elsewhere = [] if self._spread is None else await self._spread.count()
            self._account = merge([self._network.account(), *elsewhere])
            wires.cancel_scope.cancel()

    def _break_off(self, faults: BaseExceptionGroup[SwarmbedError]) -> None:
        self._give_up(f"the run broke off: {first_of(faults)}")
        self._account = self._network.account()

    def _give_up(self, reason: str) -> None:
        """Stop at once: the run cannot be believed any more."""
        self._judge.void.append(reason)
        self._onlookers.say(f"void: {reason}; stopping")
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
                layout=self._layout,
                emit=self._events.emit,
                launch=services.start,
                spread=self._spread,
            )
            wires.start_soon(self._watch_for_interrupt, bed)
            if not self._clock.virtual:
                services.start_soon(self._take_controls, bed)
            self._onlookers.attach(bed, services)
            self._judge.started_ns = self._clock.now_ns()
            await self._scenario.run(bed)
            await bed.tracker.wait_settled()
            self._network.end()
            services.cancel_scope.cancel()

    async def _take_controls(self, bed: Bed) -> None:
        try:
            await serve_controls(self._directory, bed.live.do)
        except OSError as fault:
            self._onlookers.say(
                f"no live changes: there can be no control socket in the run directory ({fault.strerror})"
            )

    async def _watch_for_interrupt(self, bed: Bed) -> None:
        """End the show at the first Ctrl-C (or SIGTERM) and settle; at the second, stop without settling."""
        with trio.open_signal_receiver(*INTERRUPTS) as signals:
            async for _ in signals:
                if bed.interrupted:
                    self._playing.cancel()
                bed.interrupt()

    def judge(self) -> Result:
        """Audit the ledger from disk and judge the claims."""
        assert self._bed is not None
        result = self._judge.result(self._bed, self._account, events=self._events.digest(), directory=self._directory)
        if not self._judge.void:  # else what is left in them may tell why
            shutil.rmtree(self._directory / "stores", ignore_errors=True)
        self._onlookers.tell(result)
        return result
