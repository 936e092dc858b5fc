"""By whom the live page lets itself be asked, and by whom changed."""

from __future__ import annotations

import pytest

from scenarios.page.guard import Guard
from tests.scenarios.page.asked import HERE, PORT, REFUSED, TOKEN, allowed


@pytest.mark.parametrize("host", [HERE, f"localhost:{PORT}"])
def test_a_page_of_this_run_may_read_and_change(host):
    guard = Guard(port=PORT, token=TOKEN)
    assert guard.refusal({"host": host}) == ""
    assert guard.refusal_to_change(allowed(host=host, origin=f"http://{host}")) == ""
    assert guard.refusal_to_change(allowed(origin=None)) == ""  # a program, which knows the token
    assert guard.refusal_to_change(allowed(**{"content-type": "application/json; charset=utf-8"})) == ""


@pytest.mark.parametrize("other", REFUSED.values(), ids=REFUSED)
def test_nobody_else_may_change_anything(other):
    assert Guard(port=PORT, token=TOKEN).refusal_to_change(allowed(**other))
