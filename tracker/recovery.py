"""Pure: what a tracker takes up from the journal of its earlier boots: files, licences, closes, open downloads, the board's number.

Receipts are not in the journal: servers keep them, and deposit them again when they meet a new boot.

Source: DESIGN section 4 (the bank survives a kill at any write; settlement).
"""

from __future__ import annotations

from netem.errors import LedgerError
from tracker.bank.entries import OpenHold
from tracker.bank.ledger import Ledger
from tracker.bank.transactions import USER
from tracker.market import Market, OpenDownload
from tracker.messages import Close
from tracker.repertoire import Terms


def first_board(ledger: Ledger, *, interval_ns: int, now_ns: int) -> int:
    """Return a board number that no earlier boot has used; 0 for an empty ledger.

    Boards without a transaction leave no trace, so all that may have been posted since the newest one are left out.

    Args:
        ledger: the durable state.
        interval_ns: time between boards, > 0.
        now_ns: Unix nanoseconds.

    Raises:
        LedgerError: the newest transaction is in the future, so that the bank would refuse every new one.
    """
    if not ledger.count:
        return 0
    since_ns = now_ns - ledger.time_ns
    if since_ns < 0:
        raise LedgerError(
            f"the newest transaction is {-since_ns / 1e9:.1f} s in the future: is this host's clock wrong?"
        )
    return ledger.board + 2 + since_ns // interval_ns


def recover(ledger: Ledger, market: Market, *, now_ns: int, return_ns: int) -> None:
    """Take up files, licences, closes and open downloads into an empty market.

    A download settles no sooner than `return_ns` from now, when its servers and its downloader had time to come back.
    """
    for manifest in ledger.files:
        market.catalogue.publish(manifest)
    repertoire = market.catalogue.repertoire
    for index, offer in ledger.licences.offers.items():
        repertoire.add(index, Terms(offer.provider, offer.price_credits))
    for index, account in ledger.licences.sold:
        repertoire.grant(index, _node(account))
    market.former = frozenset(ledger.users())
    for closed in ledger.closes.values():
        market.closes[closed.download] = (_node(closed.account), Close(closed.download, list(closed.totals)))
    for held in ledger.open_holds():
        market.open(_download(held, market, settles_ns=now_ns + return_ns), now_ns=now_ns)


def _download(held: OpenHold, market: Market, *, settles_ns: int) -> OpenDownload:
    _, close = market.closes.get(held.download, (b"", None))
    return OpenDownload(
        held.download,
        held.terms.index,
        _node(held.account),
        fee_credits=held.fee_credits,
        size_bytes=held.terms.size_bytes,
        expires_ns=held.terms.expires_ns,
        settles_ns=settles_ns if close else max(held.terms.expires_ns, settles_ns),
        close=close,
    )


def _node(account: str) -> bytes:
    return bytes.fromhex(account.removeprefix(USER))
