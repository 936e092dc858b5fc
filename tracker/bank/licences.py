"""Pure: the part of the ledger that is about providers' files: what they sell, and the rules of a sale.

Source: huberman-wu, section 2 (a repertoire of files at a fixed price per file).
"""

from __future__ import annotations

from collections.abc import Callable

from netem.errors import Rejection
from tracker.bank.movements import licence_ref
from tracker.bank.transactions import USER, LicenceMemo, OfferMemo, Transaction, user_account


class Licences:
    """What providers offer and whom they sold a licence.

    Attributes:
        offers: the providers' files by index.
        sold: file index and buyer's account of every licence, in order of sale.
    """

    def __init__(self) -> None:
        self.offers: dict[int, OfferMemo] = {}
        self.sold: dict[tuple[int, str], None] = {}

    def copy(self) -> Licences:
        """Return an independent copy."""
        copy = Licences()
        copy.offers, copy.sold = self.offers.copy(), self.sold.copy()
        return copy

    def check(self, transaction: Transaction, memo: LicenceMemo, *, balance: Callable[[str], int]) -> None:
        """Refuse what is no sale of a licence at its price, to one who has it not and can pay.

        Raises:
            Rejection: `not-for-sale`, `malformed`, `wrong-price`, `id-reused` or `insufficient`.
        """
        legs, offer = transaction.postings, self.offers.get(memo.index)
        if offer is None:
            raise Rejection("not-for-sale", transaction.ref)
        to = user_account(offer.provider)
        if len(legs) != 2 or not legs[0].account.startswith(USER) or legs[1].account != to or legs[0].account == to:
            raise Rejection("malformed", "a licence is paid from one user account to its file's provider")
        buyer, price_credits = legs[0].account, legs[1].amount_credits
        if transaction.ref != licence_ref(memo.index, buyer):
            raise Rejection("malformed", "the ref of a licence names its file and its buyer")
        if price_credits != offer.price_credits:
            raise Rejection("wrong-price", f"{price_credits}, the price is {offer.price_credits}")
        if (memo.index, buyer) in self.sold:
            raise Rejection("id-reused", transaction.ref)
        if balance(buyer) < price_credits:
            raise Rejection("insufficient", f"{balance(buyer)} of {price_credits} micro-credits")

    def post(self, transaction: Transaction, memo: LicenceMemo) -> None:
        """Note a sale that `check` let pass."""
        self.sold[memo.index, transaction.postings[0].account] = None
