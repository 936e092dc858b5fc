"""trio: a tracker to test in virtual time, and a ledger that has begun."""

from __future__ import annotations

import pytest
import trio

from netem.virtual_time import VirtualTime, schedule_deterministically
from tests.tracker.clients import TERMS, Place
from tests.tracker.transactions import ANN, FEE, post
from tracker.bank.audit import audit
from tracker.bank.ledger import Ledger
from tracker.bank.movements import mint, tariff


@pytest.fixture
def play(tmp_path):
    """Run `program(place)` in virtual time; then everything must be settled and the journal sound."""

    def run(program, terms=TERMS):
        schedule_deterministically(1)
        clock = VirtualTime()
        place = Place(tmp_path, clock, terms)

        async def main():
            async with trio.open_nursery() as ground:
                ground.start_soon(clock.run)
                await ground.start(place.network.run)
                async with trio.open_nursery() as services:
                    await services.start(place.tracker.run)
                    with trio.fail_after(200):
                        await program(place)
                        await place.tracker.wait_settled()
                    services.cancel_scope.cancel()
                ground.cancel_scope.cancel()

        trio.run(main, clock=clock)
        place.bank.close()
        report = audit(tmp_path / "ledger.sqlite")
        assert report.ok
        assert report.held_credits == 0
        return place

    return run


@pytest.fixture
def ledger():
    """A ledger with a tariff of one credit and two credits for Ann."""
    ledger = Ledger()
    post(ledger, tariff(FEE, board=0, time_ns=10))
    post(ledger, mint(ANN, 2 * FEE, board=0, time_ns=10))
    return ledger
