"""Run `swarmbed tracker` until its bank reaches a point, and die there by SIGKILL; see `kill_bank.py` for what a point is.

Whatever the bank acknowledges to the tracker is told to a file first, as ids of 16 bytes.

usage: python kill_tracker.py POINT ACKNOWLEDGED    (POINT -1: never; starts once its standard input has the arguments, in JSON)
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys

from kill_bank import Points

import scenarios.standalone  # noqa: F401  # what takes long is done before a tracker is waited for
from scenarios.cli import main
from tracker.bank.bank import Bank


def tell(path: str) -> None:
    """Note each acknowledgement of the bank in a file, before anybody else can act on it."""
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    apply = Bank.apply

    async def told(bank, transaction):
        await apply(bank, transaction)
        os.write(log, transaction.id)

    Bank.apply = told


if __name__ == "__main__":
    point, acknowledged = sys.argv[1:]
    arguments = json.loads(sys.stdin.readline() or sys.exit())
    sqlite3.connect = Points(int(point)).connect
    tell(acknowledged)
    sys.argv = ["swarmbed", "tracker", *arguments]
    main()
