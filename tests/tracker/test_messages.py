"""Messages: numbers never change, ranges are enforced, old and new peers read each other."""

import math

import msgpack
import msgspec
import pytest

from tracker import messages as m

NUMBERED = [
    "Join",
    "Welcome",
    "Leave",
    "Ok",
    "Reject",
    "Manifest",
    "Publish",
    "Published",
    "GetCatalogue",
    "Catalogue",
    "GetManifest",
    "Hold",
    "Open",
    "Order",
    "Opened",
    "GetServers",
    "Servers",
    "Close",
    "Closed",
    "GetBalance",
    "Balance",
    "Heartbeat",
    "Deposit",
    "Odds",
    "Request",
    "Refusal",
    "Receipt",
    "Done",
    "Queued",
    "GetStanding",
    "Standing",
    "Sell",
    "Buy",
    "Licensed",
    "GetOffers",
    "Offers",
]


def decode(message_type, *fields):
    return msgspec.msgpack.decode(msgpack.packb(list(fields)), type=message_type)


def test_numbers_of_types_are_never_reused():
    assert [message_type.__name__ for message_type in m.TYPES][: len(NUMBERED)] == NUMBERED


def test_every_message_type_of_the_module_has_a_number():
    assert set(m.Message.__subclasses__()) == set(m.TYPES) | {m.Entry, m.Server, m.Offer}


def test_money_receipts_offers_odds_and_introductions_are_signed():
    assert {t.__name__ for t in m.SIGNED} == {"Join", "Welcome", "Order", "Odds", "Close", "Receipt"}


@pytest.mark.parametrize(
    ("message_type", "fields"),
    [
        (m.Heartbeat, (0, 1, [[0, 1.5]])),
        (m.Heartbeat, (0, 1, [[0, -0.1]])),
        (m.Heartbeat, (0, 1, [[0, math.nan]])),
        (m.Heartbeat, (0, 0, [])),
        (m.Heartbeat, (256, 256, [])),
        (m.Hold, (m.MAX_FILES, True)),
        (m.Hold, (-1, True)),
        (m.Hold, (True, True)),
        (m.Hold, (0, 1)),
        (m.Open, (bytes(15), 0)),
        (m.Join, (bytes(32), bytes(32), "h", 65_536, 1.0)),
        (m.Join, (bytes(32), bytes(32), "h", 1, math.nan)),
        (m.Join, (bytes(32), bytes(31), "h", 1, 1.0)),
        (m.Close, (bytes(16), [[bytes(8), -1]])),
        (m.Close, (bytes(16), [[bytes(9), 1]])),
        (m.Receipt, (bytes(16), bytes(8), 2**53, 1, bytes(32))),
        (m.Request, (bytes(16), 0, [[0, 0, 257]])),
        (m.Reject, ("r" * 65,)),
        (m.Reject, (b"bytes",)),
        (m.Open, (bytes(16),)),
        (m.Buy, (-1,)),
        (m.Sell, (["f", 0, [], bytes(32)], -1)),
        (m.Offers, ([], 0, 1.5)),
    ],
)
def test_a_value_out_of_range_does_not_decode(message_type, fields):
    with pytest.raises(msgspec.ValidationError):
        decode(message_type, *fields)


def test_a_field_that_a_newer_peer_added_is_ignored_and_a_missing_last_one_has_its_default():
    assert decode(m.Hold, 3, True, "new") == m.Hold(3, True)
    assert decode(m.Reject, "no") == m.Reject("no", "")
