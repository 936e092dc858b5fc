"""trio: the bank's driver: one writer, group commit, an answer only after what it answers is durable.

Requests wait in one queue. The writer takes all that wait, checks them in order against a ledger that runs ahead, writes
those admitted in one SQLite transaction beside the event loop, then folds them into the ledger that everyone reads.

Source: DESIGN section 4, the bank.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import trio

from netem.clock import Clock
from netem.errors import LedgerError, Rejection
from netem.offload import offload
from tracker.bank.entries import Entry
from tracker.bank.journal import Journal
from tracker.bank.transactions import Transaction

MOST_PER_COMMIT = 512


class _Request:
    """A transaction whose caller waits; one task and one wake-up, so nothing heavier than trio's own call is needed."""

    __slots__ = ("error", "task", "transaction")

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self.task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        self.error: LedgerError | Rejection | None = None

    def answer(self) -> None:
        """Let the caller go on, unless it was cancelled meanwhile."""
        if self.task is not None:
            trio.lowlevel.reschedule(self.task)
            self.task = None

    def abandon(self, _: object) -> trio.lowlevel.Abort:
        """Let the caller be cancelled; the transaction stays in the queue."""
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Bank:
    """A durable ledger with one writer.

    Args:
        path: the database; made if missing, its folder must exist.
        clock: says whether commits may run in a worker thread.

    Raises:
        LedgerError: the file cannot be opened or written, is no ledger, or its chain is broken; nothing was changed.

    Attributes:
        ledger: what is durable and nothing else; read it freely, never change it.

    Invariant: every transaction whose `apply` returned is in the journal, whatever happens to the process.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        # Simulated time stands still while a disk works, and a simulated run is gone with the machine's memory anyway.
        self._journal = Journal(path, survives_power_loss=not clock.virtual)
        self._clock = clock
        self.ledger = self._journal.replay()
        self._ahead = self.ledger.fork()
        self._queue: deque[_Request] = deque()  # one per waiting caller
        self._arrival = trio.lowlevel.ParkingLot()
        self._closed = False

    @property
    def next_boot(self) -> int:
        """Return the boot counter, from 1, of a tracker that starts now: each one begins with a tariff."""
        return self.ledger.tariffs + 1

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until cancelled or until the disk fails, then close the bank.

        A batch that is being written is finished first. Callers still waiting get a LedgerError.
        """
        try:
            task_status.started()
            while not self._closed:
                if not self._queue:
                    await self._arrival.park()
                    continue
                await trio.lowlevel.checkpoint_if_cancelled()
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), MOST_PER_COMMIT))]
                with trio.CancelScope(shield=True):
                    if not await self._commit(batch):
                        break
        finally:
            self.close()

    async def apply(self, transaction: Transaction) -> None:
        """Carry out a transaction and return once it is durable; a repetition of one applied before returns too.

        When cancelled, the transaction may or may not be carried out: ask again to find out.

        Raises:
            Rejection: the ledger's rules say no (see `Ledger.admit`); nothing changed.
            LedgerError: the bank is closed or its disk failed; whether the transaction is durable shows on reopening.
        """
        if self._closed:
            raise LedgerError("the bank is closed")
        request = _Request(transaction)
        self._queue.append(request)
        self._arrival.unpark_all()
        await trio.lowlevel.wait_task_rescheduled(request.abandon)
        if request.error is not None:
            raise request.error

    def close(self) -> None:
        """Close the database and turn away whoever waits; closing again does nothing."""
        self._closed = True
        for request in self._queue:
            request.error = LedgerError("the bank closed before it took this transaction")
            request.answer()
        self._queue.clear()
        self._journal.close()

    async def _commit(self, batch: list[_Request]) -> bool:
        """Write a batch and answer it; return whether the bank may go on."""
        entries = [entry for request in batch if (entry := self._admit(request))]
        failure: LedgerError | None = None
        if entries:
            try:
                await offload(self._clock, lambda: self._journal.append(entries))
            except LedgerError as error:
                failure = error
        for entry in () if failure else entries:
            self.ledger.post(entry)
        for request in batch:
            # Refusals wait for the commit as well: they may rest on what it makes true.
            request.error = failure or request.error
            request.answer()
        return failure is None

    def _admit(self, request: _Request) -> Entry | None:
        try:
            entry = self._ahead.admit(request.transaction)
        except Rejection as rejection:
            request.error = rejection
            return None
        if entry:
            self._ahead.post(entry)
        return entry
