"""Pure: the odds π_j: proven rates, the board made from them and the declared splits, its pages, and a receiver's view.

π_j = Σ_i B_i f_ij / Σ_i B_i, with f_ij server i's declared split and B_i its proven rate, never its bare claim.

Source: huberman-wu, section 2 (B_i, b_ij, π_j); DESIGN section 4 (odds).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from netem.errors import BadFrame, Rejection, RemoteProtocolError
from tracker.messages import MAX_FILES, Odds

FILES_PER_PAGE = 128
"""Files on a page: two float32 each fill a datagram with the header and the signature."""

HALF_LIFE_S = 10.0
"""Busy seconds after which the evidence of a rate counts half."""

LEAST_BUSY = 0.25
"""The least share of its bandwidth that a busy server counts as busy with."""

_NS_PER_S = 1e9
_PAGE_DTYPE = np.dtype("<f4")


@dataclass(slots=True)
class _Evidence:
    served_bytes: float
    busy_s: float
    since_ns: int
    busy: float = 0.0


class ProvenRates:
    """Measure what each server really delivers: receipted bytes over busy time, the past forgotten by halves.

    Bandwidth is reserved per file, so a server is busy with the share Σ f_ij of its split on files that somebody wants right
    now: busy time is the integral of that share. It cannot be shortened by keeping still. It can by declaring little for the
    file that is in fact served, so a busy share counts at least `LEAST_BUSY`: a false split can raise a rate by at most
    1 / `LEAST_BUSY`, and only while what it promises elsewhere stays unwanted. A newcomer starts with the evidence of `allowance_s` busy seconds at the least of its claim and `allowance_bytes_per_s`; as all
    evidence, it is forgotten with busy time, so what is proven takes over. While a server is not busy it neither proves nor loses
    anything.

    Args:
        half_life_s: busy seconds after which evidence counts half, > 0.
        allowance_bytes_per_s: the most that an unproven claim is worth, > 0.
        allowance_s: the busy seconds that it counts for, > 0.
    """

    def __init__(
        self, *, half_life_s: float = HALF_LIFE_S, allowance_bytes_per_s: float = 25_000.0, allowance_s: float = 2.0
    ) -> None:
        self._decay_per_s = math.log(2) / half_life_s
        self._allowance_bytes_per_s = allowance_bytes_per_s
        self._allowance_s = allowance_s
        self._servers: dict[bytes, _Evidence] = {}

    def admit(self, server: bytes, *, claimed_bytes_per_s: float, now_ns: int) -> None:
        """Take a server in with its claimed upload rate (>= 0); one that comes back keeps its evidence and has no new allowance."""
        if server not in self._servers:
            allowed_bytes = min(claimed_bytes_per_s, self._allowance_bytes_per_s) * self._allowance_s
            self._servers[server] = _Evidence(allowed_bytes, self._allowance_s, now_ns)

    def knows(self, server: bytes) -> bool:
        """Say whether a server was ever admitted."""
        return server in self._servers

    def set_busy(self, server: bytes, share: float, now_ns: int) -> None:
        """Note the share, in [0, 1], of an admitted server's split that is on files wanted from now on; 0 is idle."""
        evidence = self._advanced(server, now_ns)
        evidence.busy = max(share, LEAST_BUSY) if share > 0 else 0.0

    def credit(self, server: bytes, nbytes: int, now_ns: int) -> None:
        """Count newly receipted bytes; raise `Rejection` (`unknown-server`) for one never admitted."""
        if server not in self._servers:
            raise Rejection("unknown-server", server.hex())
        self._advanced(server, now_ns).served_bytes += nbytes

    def rate(self, server: bytes, now_ns: int) -> float:
        """Return B_i of an admitted server in bytes/s."""
        evidence = self._advanced(server, now_ns)
        return evidence.served_bytes / evidence.busy_s

    def _advanced(self, server: bytes, now_ns: int) -> _Evidence:
        evidence = self._servers[server]
        if evidence.busy:
            elapsed_s = evidence.busy * max(0, now_ns - evidence.since_ns) / _NS_PER_S
            kept = math.exp(-self._decay_per_s * elapsed_s)
            evidence.served_bytes *= kept
            evidence.busy_s = evidence.busy_s * kept + (1 - kept) / self._decay_per_s
        evidence.since_ns = max(evidence.since_ns, now_ns)
        return evidence


def board(
    rates: Mapping[bytes, float],
    splits: Mapping[bytes, Mapping[int, float]],
    *,
    files: int,
    held: Sequence[bool],
    floor: float,
) -> np.ndarray:
    """Return π, float64 of shape (files,), all > 0 where a file has no bid, summing to 1 (empty without files).

    A server's shares on files nobody serves are void, the rest of its split is scaled to 1: its rate is proven, so the split
    only says where it goes. A file without a bid has the house floor ε; the files with bids pay for it in proportion, at most
    half of the board in all. When there is no bid at all, every file has the same share.

    Args:
        rates: B_i in bytes/s by server id.
        splits: f_ij >= 0 by server id (each in `rates`) and file index.
        files: how many files there are.
        held: by file index, whether anybody serves it.
        floor: ε, 0 < ε < 1.
    """
    weights = [0.0] * files
    for server in sorted(splits):
        offered = {file: f for file, f in sorted(splits[server].items()) if file < files and held[file]}
        whole = math.fsum(offered.values())
        if whole > 0:
            for file, share in offered.items():
                weights[file] += rates[server] * (share / whole)  # the quotient first: a tiny split must not overflow
    shares = np.array(weights)
    total = math.fsum(weights)
    unbid = shares <= 0
    if total <= 0:
        return np.full(files, 1 / files) if files else shares
    gaps = int(unbid.sum())
    each = min(floor, 0.5 / gaps) if gaps else 0.0
    shares = shares / total * (1 - gaps * each)
    shares[unbid] = each
    return shares


def delivered_shares(nbytes: Sequence[int]) -> np.ndarray:
    """Return each file's share of all delivered bytes, float64 of shape (files,); all zero before the first byte."""
    total = sum(nbytes)
    return np.array(nbytes, dtype=np.float64) / max(total, 1)


def pages(shares: np.ndarray, delivered: np.ndarray) -> list[Odds]:
    """Cut a board into pages of `FILES_PER_PAGE` files, at least one, as float32.

    Args:
        shares: π_j, shape (files,).
        delivered: the delivered shares, shape (files,).
    """
    firsts = range(0, max(len(shares), 1), FILES_PER_PAGE)
    return [
        Odds(
            page,
            len(firsts),
            first,
            shares[first : first + FILES_PER_PAGE].astype(_PAGE_DTYPE).tobytes(),
            delivered[first : first + FILES_PER_PAGE].astype(_PAGE_DTYPE).tobytes(),
        )
        for page, first in enumerate(firsts)
    ]


class OddsView:
    """Put the pages of the odds together as they come: in any order, some lost, some twice.

    `newest` is the largest board number seen, `board` the largest that every page has reached (-1 before all pages came), `shares`
    π_j by file index as float64: each page's newest, so pages of different boards may stand side by side and the sum be off
    by what changed between them. Files of a page that never came have the uniform share 1 / (pages x files per page).

    Invariant: the number of a page never falls.
    """

    def __init__(self) -> None:
        self.newest = -1
        self.board = -1
        self.shares = np.empty(0)
        self._pages: list[tuple[int, Odds, np.ndarray] | None] = []

    def add(self, number: int, odds: Odds) -> bool:
        """Take a page of board `number`, already verified; say whether it is news.

        Raises:
            BadFrame: `malformed`: a page that is not cut as `pages` does; nothing changed.
            RemoteProtocolError: `equivocation`: it contradicts a page of the same board, which proves that the tracker
                says different things to different nodes; nothing changed.
        """
        shares = _shares_of(odds)
        if odds.pages != len(self._pages):
            if number == self.newest:
                raise RemoteProtocolError("equivocation", f"board {number} with {odds.pages} pages")
            if number < self.newest:
                return False
            self._pages = (self._pages + [None] * odds.pages)[: odds.pages]
        known = self._pages[odds.page]
        if known is not None and known[0] >= number:
            if known[0] == number and known[1] != odds:
                raise RemoteProtocolError("equivocation", f"board {number}, page {odds.page}")
            return False
        self._pages[odds.page] = (number, odds, shares)
        self.newest = max(self.newest, number)
        self.board = min(-1 if page is None else page[0] for page in self._pages)
        self.shares = self._joined()
        return True

    def staleness(self) -> list[int]:
        """Return, by page, how many boards it is behind the newest one seen; a page that never came is behind all."""
        return [self.newest - (-1 if page is None else page[0]) for page in self._pages]

    def _joined(self) -> np.ndarray:
        uniform = 1 / (FILES_PER_PAGE * len(self._pages))
        parts = [np.full(FILES_PER_PAGE, uniform) if page is None else page[2] for page in self._pages]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]


@functools.lru_cache(maxsize=64)  # all nodes of a process get the same pages
def _shares_of(odds: Odds) -> np.ndarray:
    """Return π_j on a page, float64 and read-only; raise `BadFrame` for a page that is not cut as `pages` does."""
    size_bytes = len(odds.shares)
    files, rest = divmod(size_bytes, _PAGE_DTYPE.itemsize)
    full = files == FILES_PER_PAGE or odds.page == odds.pages - 1
    cut_well = (
        odds.page < odds.pages
        and odds.first == odds.page * FILES_PER_PAGE
        and odds.first + files <= MAX_FILES
        and files <= FILES_PER_PAGE
        and full
        and not rest
        and len(odds.delivered) == size_bytes
    )
    values = np.frombuffer(odds.shares + odds.delivered, _PAGE_DTYPE) if cut_well else np.array([np.nan])
    # Not-a-number fails both comparisons.
    if not bool(np.all((values >= 0) & (values <= 1))):
        raise BadFrame("malformed", f"odds page {odds.page}")
    shares = values[:files].astype(np.float64)
    shares.flags.writeable = False
    return shares
