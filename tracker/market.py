"""Pure: the market's coordinator: open downloads, receipts, proven rates and when each hold is to be settled.

It decides and remembers; the bank moves the money and the driver (`tracker/tracker.py`) waits. Times are integer Unix
nanoseconds, amounts micro-credits.

Source: huberman-wu, section 2 and eq. (1); DESIGN section 4 (odds, settlement).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from netem.clock import S
from netem.errors import Rejection
from tracker.catalogue import Catalogue
from tracker.messages import Close, Receipt
from tracker.odds import ProvenRates, board, delivered_shares
from tracker.settlement import ReceiptBook

DEPOSIT_NS = 2 * S  # servers may deposit receipts until this long after the close


@dataclass(slots=True)
class OpenDownload:
    """A download whose fee is held; `settling` from when its settlement is fixed until the bank has carried it out."""

    download: bytes
    index: int
    downloader: bytes
    fee_credits: int
    size_bytes: int
    expires_ns: int
    settles_ns: int
    close: Close | None = None
    settling: bool = False


@dataclass(frozen=True, slots=True)
class Settlement:
    """What the bank has to settle: accepted bytes by server, the larger of receipt and close for each."""

    download: OpenDownload
    totals: dict[bytes, int]
    how: str


@dataclass(slots=True)
class Market:
    """The state of all open downloads.

    `splits` are the declared f_ij, over files that the server holds; `closes` the downloader and final word of every download
    ever closed, `former` the nodes that earlier boots of the tracker endowed. Invariant: a server is busy with the share of its split that is on files with an open download.
    """

    catalogue: Catalogue
    rates: ProvenRates = field(default_factory=ProvenRates)
    receipts: ReceiptBook = field(default_factory=ReceiptBook)
    downloads: dict[bytes, OpenDownload] = field(default_factory=dict)
    closes: dict[bytes, tuple[bytes, Close]] = field(default_factory=dict)
    former: frozenset[bytes] = frozenset()
    splits: dict[bytes, dict[int, float]] = field(default_factory=dict)
    delivered_bytes: Counter[int] = field(default_factory=Counter)
    _wanted: Counter[int] = field(default_factory=Counter)
    _bidders: dict[bytes, float] = field(default_factory=dict)
    _proven: float = 0.0

    def open(self, download: OpenDownload, *, now_ns: int) -> None:
        """Start a download whose fee the bank holds, or go on with one that an earlier boot of the tracker left."""
        self.downloads[download.download] = download
        if download.close is None:
            self._wanted[download.index] += 1
            if self._wanted[download.index] == 1:  # otherwise its servers are busy with it already
                self._refresh_busy(self.catalogue.servers(download.index), now_ns)

    def declare(self, node: bytes, split: Mapping[int, float], *, now_ns: int) -> None:
        """Note a server's declared split; shares on files that it does not hold are void."""
        held = self.catalogue.files_of(node)
        self.splits[node] = {index: share for index, share in sorted(split.items()) if index in held}
        self._refresh_busy([node], now_ns)

    def withdraw(self, node: bytes, *, now_ns: int) -> None:
        """Note that a node has left: it bids no more."""
        self.splits.pop(node, None)
        self._refresh_busy([node], now_ns)

    def receipt(self, receipt: Receipt, *, sender: bytes, now_ns: int) -> int:
        """Take a verified receipt; return the newly proven bytes.

        Raises:
            Rejection: `unknown-download`, `not-yours` (not signed by the downloader), `bad-receipt` (all servers
                together for more bytes than the file has), `unknown-server`, `no-licence` (the server may not serve the file), or
                `equivocation`; nothing changed.
        """
        download = self.downloads.get(receipt.download)
        if download is None:
            raise Rejection("unknown-download")
        if download.downloader != sender:
            raise Rejection("not-yours")
        others_bytes = self.receipts.others_bytes(receipt.download, receipt.server)
        if others_bytes + receipt.total_bytes > download.size_bytes:
            raise Rejection("bad-receipt", f"beyond the {download.size_bytes} bytes of the file")
        if not self.rates.knows(receipt.server):
            raise Rejection("unknown-server")
        self.catalogue.repertoire.check(download.index, receipt.server)
        new = self.receipts.add(receipt)
        if new:
            self.rates.credit(receipt.server, new, now_ns)
            self.delivered_bytes[download.index] += new
        return new

    def close(self, close: Close, *, sender: bytes, now_ns: int) -> int:
        """Take the downloader's final word; return when the download settles.

        Raises:
            Rejection: `unknown-download`, `not-yours`, `bad-close` (more bytes than the file has, or not sorted),
                `unknown-server`, `no-licence` (a server that may not serve the file), `already-settled` (it expired, and is being
                settled without this), or `equivocation` (a second, different close); nothing changed.
        """
        download = self.downloads.get(close.download)
        downloader, known = self.closes.get(close.download, (download.downloader if download else b"", None))
        if not downloader:
            raise Rejection("unknown-download")
        if downloader != sender:
            raise Rejection("not-yours")
        if known is not None and known != close:
            raise Rejection("equivocation", "a second, different close")
        if download is None:
            return now_ns
        servers = [server for server, _ in close.totals]
        if servers != sorted(set(servers)) or sum(n for _, n in close.totals) > download.size_bytes:
            raise Rejection("bad-close", "totals must be by server id, each once, within the file's size")
        if not all(self.rates.knows(server) or server in self.former for server in servers):
            raise Rejection("unknown-server")
        for server in servers:
            self.catalogue.repertoire.check(download.index, server)
        if known is None:
            if download.settling:
                raise Rejection("already-settled")
            self.closes[close.download] = (sender, close)
            download.close = close
            download.settles_ns = now_ns + DEPOSIT_NS
            self._done_with(download.index, now_ns)
        return download.settles_ns

    def due(self, now_ns: int) -> list[Settlement]:
        """Return the downloads to settle now, in order of their time and id; each is settled by just that."""
        ready = [d for d in self.downloads.values() if d.settles_ns <= now_ns]
        ready.sort(key=lambda d: (d.settles_ns, d.download))
        return [self._settlement(download) for download in ready]

    def settled(self, download: OpenDownload, *, now_ns: int) -> None:
        """Forget a download that the bank has settled (its close is kept, to recognise equivocation)."""
        del self.downloads[download.download]
        self.receipts.forget(download.download)
        if download.close is None:
            self._done_with(download.index, now_ns)

    def next_settlement_ns(self) -> int | None:
        """Return when the next download settles, or None."""
        return min((d.settles_ns for d in self.downloads.values()), default=None)

    def odds(self, *, floor: float, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return π_j and the delivered shares, float64 of shape (files,), each summing to 1 (or 0 when nothing is)."""
        files = len(self.catalogue)
        rates = {node: self.rates.rate(node, now_ns) for node in sorted(self.splits)}
        held = [bool(self.catalogue.servers(index)) for index in range(files)]
        shares = board(rates, self.splits, files=files, held=held, floor=floor)
        self._bidders = {node: rates[node] for node, split in self.splits.items() if split}
        self._proven = math.fsum(self._bidders.values())
        return shares, delivered_shares([self.delivered_bytes[index] for index in range(files)])

    def bids(self) -> Iterator[tuple[bytes, float, Mapping[int, float]]]:
        """Yield every server that bid on the board last computed, with its proven rate B_i in bytes/s and the split f_ij it declares now."""
        for node, rate in self._bidders.items():
            yield node, rate, self.splits.get(node, {})

    def standing(self, node: bytes) -> float:
        """Return B_i/Σ_k B_k of a server on the board last computed, in [0, 1]; 0 if it had no bid there."""
        return self._bidders.get(node, 0.0) / self._proven if self._proven > 0 else 0.0

    def prospect(self, node: bytes, *, now_ns: int) -> float:
        """Return the share B_i/Σ_k B_k, in [0, 1], that an admitted node has among those that bid, itself counted if it did not."""
        bidders = sorted({node, *(server for server, split in self.splits.items() if split)})
        rates = [self.rates.rate(server, now_ns) for server in bidders]
        own = self.rates.rate(node, now_ns)
        return own / math.fsum(rates) if own > 0 else 0.0

    def _settlement(self, download: OpenDownload) -> Settlement:
        download.settling = True
        totals = dict(self.receipts.totals(download.download))
        for server, nbytes in download.close.totals if download.close else ():
            totals[server] = max(totals.get(server, 0), nbytes)
        return Settlement(download, dict(sorted(totals.items())), "close" if download.close else "expiry")

    def _done_with(self, index: int, now_ns: int) -> None:
        self._wanted[index] -= 1
        if not self._wanted[index]:
            self._refresh_busy(self.catalogue.servers(index), now_ns)

    def _refresh_busy(self, nodes: Sequence[bytes], now_ns: int) -> None:
        for node in nodes:
            split = self.splits.get(node, {})
            wanted = sum(share for index, share in split.items() if self._wanted[index] > 0)
            self.rates.set_busy(node, min(wanted, 1.0), now_ns)
