"""Parameters: what is allowed is read, and everything else is refused with field, value and range."""

from __future__ import annotations

import json
import math
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from netem.errors import ConfigError
from netem.impairments.delay import Delay
from netem.impairments.loss import Loss
from netem.ranges import allowed
from scenarios.parameters import Params, describe, fill, param, read_settings, undeclared


class Example(Params, frozen=True, kw_only=True):
    """A scenario's own keys beside the common ones."""

    policy: Annotated[Literal["fixed", "free"], Meta(description="what servers do")] = "free"
    shares: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    loud: bool = False
    taste: float = 0.0


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("nodes", "7", 7),
        ("nodes", 7, 7),
        ("duration_s", "2.5", 2.5),
        ("duration_s", 3, 3.0),
        ("loss", "0", 0.0),
        ("loss", "1e-3", 0.001),
        ("rate_bytes_per_s", "inf", math.inf),
        ("policy", "fixed", "fixed"),
        ("impair", "null", "null"),  # text stays text
        ("loud", "true", True),
    ],
)
def test_a_value_is_read_as_the_type_of_its_key(key, value, read):
    found = getattr(fill(Example, {key: value}), key)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("key", "value", "range_"),
    [
        ("nodes", "1", "a whole number from 2 to 5000"),
        ("nodes", "2.5", "a whole number from 2 to 5000"),
        ("nodes", "many", "a whole number from 2 to 5000"),
        ("nodes", "99999999999999999999999999", "a whole number from 2 to 5000"),
        ("nodes", True, "a whole number from 2 to 5000"),
        ("nodes", [3], "a whole number from 2 to 5000"),
        ("nodes", "", "a whole number from 2 to 5000"),
        ("duration_s", "-1", "a number above 0 to 86400"),
        ("duration_s", "0", "a number above 0 to 86400"),
        ("duration_s", "nan", "a number above 0 to 86400"),
        ("duration_s", math.nan, "a number above 0 to 86400"),
        ("duration_s", "inf", "a number above 0 to 86400"),
        ("loss", "2", "a number from 0 to 0.5"),
        ("loss", "1e999", "a number from 0 to 0.5"),
        ("loss", True, "a number from 0 to 0.5"),
        ("loss", {"a": 1}, "a number from 0 to 0.5"),
        ("rate_bytes_per_s", "nan", "a number from 1000"),
        ("rate_bytes_per_s", "0", "a number from 1000"),
        ("upload_bytes_per_s", "inf", "a number from 1000 to 1e+09"),
        ("policy", "other", "fixed, free"),
        ("policy", 5, "fixed, free"),
        ("impair", 5, "text"),
        ("loud", "perhaps", "true or false"),
        ("taste", "nan", "a number"),
        ("shares", 1, "a number above 0 below 1"),
    ],
)
def test_a_wrong_value_is_refused_with_its_range(key, value, range_):
    with pytest.raises(ConfigError) as caught:
        fill(Example, {key: value})
    assert (caught.value.field, caught.value.allowed) == (key, range_)
    assert caught.value.value is value


def test_an_unknown_key_is_refused_with_all_that_are_known():
    with pytest.raises(ConfigError, match=r"lossy.*a key of this scenario: delay_s, .*, loss, .*, policy"):
        fill(Example, {"lossy": 0.1})


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates()


@given(
    st.dictionaries(st.sampled_from(sorted(Example.__struct_fields__)) | st.text(), plain | st.lists(plain), max_size=3)
)
def test_values_are_either_in_range_or_refused(values):
    try:
        params = fill(Example, values)
    except ConfigError:
        return
    assert 2 <= params.nodes <= 5000
    assert 0 < params.duration_s <= 86_400
    assert 0 <= params.loss <= 0.5
    assert params.rate_bytes_per_s >= 1000
    assert 0 < params.shares < 1
    assert isinstance(params.impair, str)


def test_settings_are_split_at_the_first_equals_sign_and_the_last_wins():
    assert read_settings(["a=1", " b = x=y ", "a=2"]) == {"a": "2", "b": "x=y"}


@pytest.mark.parametrize("setting", ["loss", "=3", " =3", ""])
def test_a_setting_needs_key_and_value(setting):
    with pytest.raises(ConfigError, match=r"--set: .*key=value"):
        read_settings([setting])


def test_the_link_is_made_of_the_keys():
    params = fill(Params, {"loss": 0.1, "delay_s": 0.03, "jitter_s": 0.01, "rate_bytes_per_s": 5e4})
    assert params.link().impairments == (Loss(0.1), Delay(0.03, 0.01))
    assert params.link().rate_bytes_per_s == 5e4


def test_a_link_may_be_ideal():
    link = fill(Params, {"loss": 0, "delay_s": 0, "jitter_s": 0}).link()
    assert link.impairments == ()
    assert link.rate_bytes_per_s == math.inf


def test_a_tc_line_stands_instead_of_the_keys():
    link = fill(Params, {"impair": "delay 10ms loss 1% rate 1mbit", "loss": 0.3}).link()
    assert link.loss_rate() == pytest.approx(0.01)
    assert link.mean_delay_s() == pytest.approx(0.01)
    assert link.rate_bytes_per_s == 125_000


def test_jitter_may_not_exceed_the_delay():
    with pytest.raises(ConfigError, match=r"jitter_s: 0\.2 is not allowed; allowed: 0 to delay_s \(0\.1\)"):
        fill(Params, {"delay_s": 0.1, "jitter_s": 0.2}).link()


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("loss", "impair loss"),
        ("loss 101%", "impair loss"),
        ("delay", "impair delay"),
        ("frob 1", "impair"),
        ("corrupt 1% sometimes", "impair corrupt"),
        ("corrupt 60%", "impair loss"),
        ("delay 1ms delay 2ms", "impair"),
        ("rate fast", "impair rate"),
        # As a key of its own each of these would be out of range too.
        ("loss 51%", "impair loss"),
        ("loss gemodel 90% 10%", "impair loss"),
        ("loss 40% loss gemodel 30% 70%", "impair"),
        ("delay 1001ms", "impair delay"),
        ("rate 7kbit", "impair rate"),
    ],
)
def test_a_bad_tc_line_is_refused_as_such(line, field):
    with pytest.raises(ConfigError) as caught:
        fill(Params, {"impair": line}).link()
    assert caught.value.field == field


def test_the_description_is_json_and_its_defaults_are_allowed():
    rows = json.loads(json.dumps(describe(Example), allow_nan=False))
    assert rows["rate_bytes_per_s"] == {
        "default": "inf",
        "unit": "bytes/s",
        "description": "rate of every link; inf is no limit",
        "allowed": "a number from 1000",
    }
    assert fill(Example, {key: row["default"] for key, row in rows.items()}) == Example()


def test_what_is_allowed_is_told_for_plain_types_too():
    assert [allowed(kind) for kind in (int, float, str, bool)] == [
        "a whole number",
        "a number",
        "text",
        "true or false",
    ]


def test_a_unit_comes_from_the_suffix_or_is_declared_and_text_has_none():
    class Units(Params):
        wait_s: Annotated[float, param("a time")] = 1.0
        room_bytes: Annotated[int, param("a size")] = 1
        speed_bytes_per_s: Annotated[float, param("a rate")] = 1.0
        price_credits: Annotated[int, param("a price")] = 1
        files: Annotated[int, param("a count", unit="files", ge=1)] = 1
        share: Annotated[Annotated[float, Meta(ge=0)], param("a share", unit="1")] = 0.5
        taste_s: Annotated[str, param("a word")] = ""

    rows = describe(Units)
    assert [rows[name]["unit"] for name in Units.__struct_fields__ if name not in Params.__struct_fields__] == [
        "s",
        "bytes",
        "bytes/s",
        "micro-credits",
        "files",
        "1",
        "",
    ]
    assert undeclared(Units) == ""


def test_what_a_parameter_lacks_is_named():
    class NoUnit(Params):
        files: Annotated[int, param("a count")] = 1

    class NoDescription(Params):
        wait_s: float = 1.0

    class NoDefault(Params, kw_only=True):
        wait_s: Annotated[float, param("a time")]

    assert undeclared(NoUnit).startswith("files: a unit")
    assert undeclared(NoDescription).startswith("wait_s: a description")
    assert undeclared(NoDefault) == "wait_s: a default"


def test_goodput_is_the_upload_less_reserve_headers_and_losses():
    whole = fill(Params, {"loss": 0, "upload_bytes_per_s": 1e6}).goodput_bytes_per_s()
    assert 0.8e6 < whole < 0.92e6
    assert fill(Params, {"loss": 0.25, "upload_bytes_per_s": 2e6}).goodput_bytes_per_s() == pytest.approx(1.5 * whole)
