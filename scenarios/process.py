"""trio: what a run asks of its own process: open files, rare garbage collections, no interrupt while results are written."""

from __future__ import annotations

import contextlib
import gc
import resource
import signal
import sys
import threading
from collections.abc import Iterator


def allow_many_sockets() -> None:
    """Raise the limit of open files as far as the system lets us: a node has about four sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Collect garbage rarely: a run's millions of tuples are no cycles, and looking for any costs and pauses it and its judging."""
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(1_000_000, 50, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """See the last second through: a Ctrl-C while results are written would lose them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets interrupts, and may say so
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def short_thread_turns() -> Iterator[None]:
    """Let threads take turns ten times as often as usual: one that works must not hold the event loop up for 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(before / 10)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
