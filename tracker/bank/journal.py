"""trio: the journal on disk; every function blocks, so a driver calls them through `offload` or before its run starts.

One row per transaction: its place, id, canonical bytes and the chain's head after it; one more row repeats the newest
place and head, so that rows cut off the end are missed as well. SQLite in WAL mode with `synchronous=FULL`: a commit is
on the disk when it returns.

Source: DESIGN section 4, the bank.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from netem.errors import ConfigError, LedgerError, Rejection
from tracker.bank.entries import GENESIS, Entry, link
from tracker.bank.ledger import Ledger
from tracker.bank.transactions import decode, terms

APPLICATION_ID = 0x53574244  # "SWBD", in the file's header
VERSION = 2
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    body BLOB NOT NULL,
    head BLOB NOT NULL CHECK (length(head) = 32)
) STRICT;
CREATE TABLE newest (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    count INTEGER NOT NULL,
    head BLOB NOT NULL CHECK (length(head) = 32)
) STRICT;
INSERT INTO newest VALUES (1, 0, zeroblob(32));
"""
_STAMP = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"


class BrokenChain(LedgerError):
    """Report the first transaction (`seq`, from 0) that is missing, changed or out of place."""

    def __init__(self, seq: int, detail: str) -> None:
        super().__init__(f"transaction {seq}: {detail}")
        self.seq = seq
        self.detail = detail


class Journal:
    """The database, open for appending by one writer.

    Args:
        path: the file; it is made if there is none.
        survives_power_loss: a commit waits for the disk. Without, it survives the end of the process, by any signal, but the
            last ones may be lost with the machine's power.

    Raises:
        LedgerError: the file cannot be opened or written, or is no ledger; nothing was changed.
    """

    def __init__(self, path: Path, *, survives_power_loss: bool = True) -> None:
        self._path = path
        self._count = 0
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise LedgerError(f"{path}: {error}") from error
        try:
            _prepare(self._db, path, synchronous="FULL" if survives_power_loss else "NORMAL")
        except sqlite3.Error as error:
            self._db.close()
            raise LedgerError(f"{path}: {error}") from error
        except LedgerError:
            self._db.close()
            raise

    def replay(self) -> Ledger:
        """Fold and verify the whole journal; once, before the first `append`.

        Raises:
            BrokenChain: a transaction is not what was written, or breaks the rules; the database is closed.
        """
        ledger = Ledger()
        try:
            for entry in _verified(self._db):
                post_checked(ledger, entry)
        except LedgerError:
            self.close()
            raise
        self._count = ledger.count
        return ledger

    def append(self, entries: list[Entry]) -> None:
        """Write entries, all or none, and return once they are on the disk.

        Raises:
            LedgerError: the disk failed, or another process wrote to this journal; nothing was acknowledged.
        """
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            # Places are counted here, not in the database: another writer's row then collides with ours.
            rows = [
                (seq, entry.transaction.id, entry.body, entry.head) for seq, entry in enumerate(entries, self._count)
            ]
            db.executemany("INSERT INTO journal VALUES (?, ?, ?, ?)", rows)
            db.execute("UPDATE newest SET count = ?, head = ?", (self._count + len(rows), entries[-1].head))
            db.execute("COMMIT")
        except sqlite3.Error as error:
            raise LedgerError(f"{self._path}: {error}") from error
        self._count += len(rows)

    def close(self) -> None:
        """Close the database and leave one plain file; an unfinished transaction is rolled back."""
        # Out of WAL mode it can be read on a read-only disk, and reading leaves no log behind. Another open reader, a
        # full disk or an earlier close refuse that, and then the file is whole with its log.
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.rollback()
            self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()


def read_journal(path: Path) -> Iterator[Entry]:
    """Read and verify a journal without changing it, also one whose writer was killed or still runs.

    Raises:
        ConfigError: there is no such file.
        BrokenChain: at the first transaction that is not what was written.
        LedgerError: the file is no ledger or cannot be read.
    """
    if not path.is_file():
        raise ConfigError("ledger", str(path), "the ledger.sqlite of a run directory")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
            # One read transaction: a running writer must not move the end while we read.
            db.execute("BEGIN")
            if not _is_ours(db):
                raise LedgerError(f"{path}: not a ledger of this version")
            yield from _verified(db)
    except sqlite3.Error as error:
        raise LedgerError(f"{path}: {error}") from error


def post_checked(ledger: Ledger, entry: Entry) -> None:
    """Fold a journal's entry into a ledger if the rules admit it.

    Raises:
        BrokenChain: they do not; the ledger is unchanged.
    """
    try:
        is_new = ledger.check(entry.transaction, entry.terms)
    except Rejection as rejection:
        raise BrokenChain(ledger.count, f"the rules refuse it: {rejection}") from rejection
    if not is_new:
        raise BrokenChain(ledger.count, "applied twice")
    ledger.post(entry)


def _prepare(db: sqlite3.Connection, path: Path, *, synchronous: str) -> None:
    """Make the tables of a new file or check those of an old one, and set the durability."""
    is_new = not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not is_new and not _is_ours(db):
        raise LedgerError(f"{path}: not a ledger of this version")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    if is_new:
        db.executescript(f"{_SCHEMA}{_STAMP}COMMIT;")
    # Find out now, not at the first transaction, whether the file can be written.
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE newest SET count = count")
    db.execute("COMMIT")


def _is_ours(db: sqlite3.Connection) -> bool:
    found = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    return found == [APPLICATION_ID, VERSION]


def _verified(db: sqlite3.Connection) -> Iterator[Entry]:
    """Yield the entries in order while their places, ids and heads are right; then compare the newest row."""
    head = GENESIS
    place = 0
    for seq, row_id, body, row_head in db.execute("SELECT seq, id, body, head FROM journal ORDER BY seq"):
        if seq != place:
            raise BrokenChain(place, f"missing; the next is {seq}")
        head = link(head, body)
        if row_head != head:
            raise BrokenChain(place, "its bytes do not fit the chain")
        try:
            transaction = decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BrokenChain(place, f"no transaction: {error}") from error
        if transaction.id != row_id:
            raise BrokenChain(place, "filed under another id")
        yield Entry(transaction, body, head, terms(body))
        place += 1
    newest = db.execute("SELECT count, head FROM newest").fetchone()
    if newest != (place, head):
        raise BrokenChain(place, "missing at the end" if newest and newest[0] > place else "the newest head is another")
