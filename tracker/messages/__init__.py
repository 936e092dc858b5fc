"""Pure: every message of the market, the bank and membership, as typed MessagePack arrays.

A message is the body of a control frame (`tracker/wire.py`). Its number in `TYPES` is never reused; a new field goes last
and has a default, so that old and new peers read each other. Ranges are part of the types: a value outside is a `BadFrame`.

Source: DESIGN section 4.
"""

from __future__ import annotations

from tracker.messages.downloads import Close as Close
from tracker.messages.downloads import Closed as Closed
from tracker.messages.downloads import Done as Done
from tracker.messages.downloads import GetServers as GetServers
from tracker.messages.downloads import Open as Open
from tracker.messages.downloads import Opened as Opened
from tracker.messages.downloads import Order as Order
from tracker.messages.downloads import Queued as Queued
from tracker.messages.downloads import Receipt as Receipt
from tracker.messages.downloads import Refusal as Refusal
from tracker.messages.downloads import Request as Request
from tracker.messages.downloads import Server as Server
from tracker.messages.downloads import Servers as Servers
from tracker.messages.fields import BLOCK_BYTES as BLOCK_BYTES
from tracker.messages.fields import EVERYBODY as EVERYBODY
from tracker.messages.fields import MAX_FILES as MAX_FILES
from tracker.messages.fields import PIECE_BYTES as PIECE_BYTES
from tracker.messages.fields import Message as Message
from tracker.messages.files import Buy as Buy
from tracker.messages.files import Catalogue as Catalogue
from tracker.messages.files import Entry as Entry
from tracker.messages.files import GetCatalogue as GetCatalogue
from tracker.messages.files import GetManifest as GetManifest
from tracker.messages.files import GetOffers as GetOffers
from tracker.messages.files import Hold as Hold
from tracker.messages.files import Licensed as Licensed
from tracker.messages.files import Manifest as Manifest
from tracker.messages.files import Offer as Offer
from tracker.messages.files import Offers as Offers
from tracker.messages.files import Publish as Publish
from tracker.messages.files import Published as Published
from tracker.messages.files import Sell as Sell
from tracker.messages.membership import Balance as Balance
from tracker.messages.membership import GetBalance as GetBalance
from tracker.messages.membership import Join as Join
from tracker.messages.membership import Leave as Leave
from tracker.messages.membership import Ok as Ok
from tracker.messages.membership import Reject as Reject
from tracker.messages.membership import Welcome as Welcome
from tracker.messages.odds import Deposit as Deposit
from tracker.messages.odds import GetStanding as GetStanding
from tracker.messages.odds import Heartbeat as Heartbeat
from tracker.messages.odds import Odds as Odds
from tracker.messages.odds import Standing as Standing

TYPES: tuple[type[Message], ...] = (
    Join,
    Welcome,
    Leave,
    Ok,
    Reject,
    Manifest,
    Publish,
    Published,
    GetCatalogue,
    Catalogue,
    GetManifest,
    Hold,
    Open,
    Order,
    Opened,
    GetServers,
    Servers,
    Close,
    Closed,
    GetBalance,
    Balance,
    Heartbeat,
    Deposit,
    Odds,
    Request,
    Refusal,
    Receipt,
    Done,
    Queued,
    GetStanding,
    Standing,
    Sell,
    Buy,
    Licensed,
    GetOffers,
    Offers,
)
"""Message types by number. Append only: a number is part of the wire format."""

SIGNED: frozenset[type[Message]] = frozenset({Join, Welcome, Order, Odds, Close, Receipt})
"""Money, receipts, offers and odds are signed; everything else carries a session tag."""

DATAGRAMS: frozenset[type[Message]] = frozenset(
    {Heartbeat, Deposit, Odds, Order, Request, Refusal, Receipt, Done, Queued, GetStanding, Standing}
)
"""Types that travel in a datagram, or inside one: their frames have at most `MAX_DATAGRAM_BYTES` (`tracker/wire.py`)."""
