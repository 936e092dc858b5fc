"""trio: the bank's driver: one writer, group commit, an answer only after what it answers is durable.

Requests wait in one queue. The writer takes all that wait, checks them in order against a ledger that runs ahead, writes
those admitted in one SQLite transaction beside the event loop, then folds them into the ledger that everyone reads.

Source: DESIGN section 4, the bank.
"""

from __future__ import annotations

import math
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
    """A transaction whose caller waits."""

    __slots__ = ("answered", "error", "transaction")

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self.answered = trio.Event()
        self.error: LedgerError | Rejection | None = None


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
        self._journal = Journal(path)
        self._clock = clock
        self.ledger = self._journal.replay()
        self._ahead = self.ledger.fork()
        self._send, self._queue = trio.open_memory_channel[_Request](math.inf)  # one per waiting caller

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
            async for request in self._queue:
                with trio.CancelScope(shield=True):
                    if not await self._commit([request, *self._waiting(MOST_PER_COMMIT - 1)]):
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
        request = _Request(transaction)
        try:
            self._send.send_nowait(request)
        except trio.BrokenResourceError:
            raise LedgerError("the bank is closed") from None
        await request.answered.wait()
        if request.error is not None:
            raise request.error

    def close(self) -> None:
        """Close the database and turn away whoever waits; closing again does nothing."""
        for request in self._waiting(math.inf):
            request.error = LedgerError("the bank closed before it took this transaction")
            request.answered.set()
        self._queue.close()
        self._journal.close()

    def _waiting(self, most: float) -> list[_Request]:
        """Take the requests that wait now, at most `most`."""
        taken: list[_Request] = []
        while len(taken) < most:
            try:
                taken.append(self._queue.receive_nowait())
            except (trio.WouldBlock, trio.ClosedResourceError):
                break
        return taken

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
            request.answered.set()
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
