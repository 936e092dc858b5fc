"""trio: one capture of several, in the order of time; those of the processes of a run become its own. Blocking.

Memory holds one packet of each.
"""

from __future__ import annotations

import heapq
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path

from netem import pcapng
from netem.capture import APPLICATION

_HEAD_BLOCKS = 2


def merge(parts: Sequence[Path], path: Path) -> None:
    """Write the packets and names of `parts`, each in the order of time, to one file; a part that was cut off is read to there.

    Raises:
        OSError: a part cannot be read, or the file not written; it is left as far as it came.
    """
    named: set[bytes] = set()
    with path.open("wb") as file:
        file.write(pcapng.head(APPLICATION))
        for _, is_packet, block in heapq.merge(*map(_timed, parts), key=operator.itemgetter(0)):
            if is_packet or block not in named:
                file.write(block)
            if not is_packet:
                named.add(block)


def _timed(part: Path) -> Iterator[tuple[int, bool, bytes]]:
    """Yield a part's blocks but for its head; a name has the time of the packet before it."""
    last_ns = 0
    with part.open("rb") as file:
        for place, (time_ns, block) in enumerate(pcapng.blocks(file)):
            last_ns = last_ns if time_ns is None else time_ns
            if place >= _HEAD_BLOCKS:
                yield last_ns, time_ns is not None, block
