"""A node's connection to the tracker, against a tracker played by the test: lost turns, hang-ups, garbage."""

from __future__ import annotations

from collections import Counter, deque

import pytest
import trio

from netem.channel import FrameChannel
from netem.errors import Rejection, RemoteProtocolError
from netem.impairments.delay import Delay
from netem.link import LinkConfig
from netem.network import Network
from netem.virtual_time import VirtualTime, schedule_deterministically
from node.tracker_link import ANSWER_S, RETRY_S, TrackerLink
from tracker import messages as m
from tracker.identity import Identity
from tracker.session import Session, open_join

TRACKER = Identity(bytes([1]) * 32, epoch=1)
NODE = Identity(bytes([2]) * 32, epoch=1)


class PlayedTracker:
    """Answers each `GetManifest(n)` with a balance of n, or as the next entry of `script` says.

    Entries: `hang-up`, `garbage` (bytes that are no frame), `forged` (a frame whose tag is wrong), `reject`, `silence`, or
    a number of seconds to think first.
    """

    def __init__(self):
        self.script, self.asked, self.connections, self.welcomes = deque(), [], 0, deque()
        self.session = None

    async def serve(self, stream):
        self.connections += 1
        channel = FrameChannel(stream)
        header, join = open_join(await channel.receive())
        if self.session is None:
            self.session = Session(
                TRACKER,
                peer=header.sender,
                peer_sign_key=join.sign_key,
                peer_exchange_key=join.exchange_key,
                peer_epoch=header.epoch,
            )
        welcome = m.Welcome(TRACKER.sign_key, TRACKER.exchange_key, 17, 0)
        await channel.send(self.welcomes.popleft() if self.welcomes else self.session.seal(welcome, board=17))
        while (frame := await channel.receive()) is not None:
            request = self.session.open(frame, board=17)
            if isinstance(request, m.Leave):
                self.asked.append("leave")
                return
            self.asked.append(request.index)
            if not await self.answer(channel, request.index, self.script.popleft() if self.script else 0):
                return

    async def answer(self, channel, index, act):
        if act == "hang-up":
            return False
        if act == "silence":
            return True
        if act == "garbage":
            await channel.send(b"\xff" * 50)
            return True
        answer = m.Reject("because", "so") if act == "reject" else m.Balance(index, 0)
        frame = self.session.seal(answer, board=17)
        if isinstance(act, float):
            await trio.sleep(act)
        await channel.send(frame[:-1] + bytes([frame[-1] ^ 1]) if act == "forged" else frame)
        return True


def converse(program):
    """Run `program(link, tracker, network)` in virtual time; return the played tracker, the link and its counters."""
    schedule_deterministically(1)
    clock = VirtualTime()
    network = Network(clock, run_seed=1, default_link=LinkConfig((Delay(0.02),)))
    tracker, dropped = PlayedTracker(), Counter()

    async def main():
        async with trio.open_nursery() as ground:
            ground.start_soon(clock.run)
            await ground.start(network.run)
            async with trio.open_nursery() as services:
                address = await network.add_host("tracker").listen_tcp(tracker.serve, nursery=services)
                link = TrackerLink(
                    network.add_host("node"),
                    NODE,
                    tracker=address,
                    tracker_key=TRACKER.sign_key,
                    join=m.Join(NODE.sign_key, NODE.exchange_key, "h", 1, 1.0),
                    dropped=dropped,
                )
                with trio.fail_after(300):
                    await program(link, tracker, network)
                services.cancel_scope.cancel()
            ground.cancel_scope.cancel()

    trio.run(main, clock=clock)
    return tracker, dropped


async def ask(link, number):
    return (await link.ask(m.GetManifest(number), m.Balance)).free_credits


def test_requests_are_answered_in_turn_over_one_connection():
    async def program(link, tracker, network):
        async with trio.open_nursery() as nursery:
            got = {}
            for number in range(10):

                async def one(number=number):
                    got[number] = await ask(link, number)

                nursery.start_soon(one)
        assert got == {number: number for number in range(10)}
        assert (link.board, link.joins) == (17, 1)

    assert converse(program)[0].connections == 1


def test_a_cancelled_request_does_not_shift_the_answers_of_later_ones():
    async def program(link, tracker, network):
        await link.connect()
        for number in range(5):
            tracker.script.append(0.5)
            with trio.move_on_after(0.1) as scope:
                await ask(link, number)
            assert scope.cancelled_caught
        assert await ask(link, 77) == 77
        assert await ask(link, 78) == 78

    tracker, _ = converse(program)
    assert tracker.connections == 1
    assert tracker.asked[-2:] == [77, 78]


def test_a_request_cancelled_while_it_is_sent_takes_its_connection_with_it():
    """Half a frame on the wire would swallow the next one."""

    async def program(link, tracker, network):
        await link.connect()
        big = m.Publish(m.Manifest("f", 0, [bytes(32)] * 8_000, bytes(32)))
        with trio.move_on_after(0.05) as scope:  # four windows of 64 KiB take 0.08 s
            await link.ask(big, m.Published)
        assert scope.cancelled_caught
        start = trio.current_time()
        assert await ask(link, 3) == 3
        assert trio.current_time() - start < 1
        assert link.joins == 2

    assert converse(program)[0].asked == [3]


@pytest.mark.parametrize("act", ["hang-up", "garbage", "forged"])
def test_a_connection_that_breaks_under_a_request_is_made_anew_and_the_request_said_again(act):
    async def program(link, tracker, network):
        tracker.script.extend([act, act])
        start = trio.current_time()
        assert await ask(link, 5) == 5
        assert 2 * RETRY_S <= trio.current_time() - start < 2 * RETRY_S + 1
        assert await ask(link, 6) == 6
        assert link.joins == 3

    tracker, dropped = converse(program)
    assert tracker.asked == [5, 5, 5, 6]
    assert dropped == {"hang-up": {}, "garbage": {"malformed": 2}, "forged": {"forged": 2}}[act]


def test_a_silent_connection_is_given_up():
    async def program(link, tracker, network):
        tracker.script.append("silence")
        start = trio.current_time()
        assert await ask(link, 5) == 5
        assert ANSWER_S <= trio.current_time() - start < ANSWER_S + RETRY_S + 1

    assert converse(program)[0].connections == 2


def test_each_silent_connection_is_given_twice_the_time_of_the_one_before():
    async def program(link, tracker, network):
        tracker.script.extend(["silence", "silence", 3 * ANSWER_S])  # the third would be given up without more patience
        start = trio.current_time()
        assert await ask(link, 5) == 5
        waited_s = (1 + 2 + 3) * ANSWER_S
        assert waited_s <= trio.current_time() - start < waited_s + 3 * (RETRY_S + 1)

    assert converse(program)[0].connections == 3


def test_a_legal_no_and_an_answer_of_the_wrong_type_reach_whoever_asked_and_the_connection_stays():
    async def program(link, tracker, network):
        tracker.script.append("reject")
        with pytest.raises(Rejection, match="because: so"):
            await ask(link, 5)
        with pytest.raises(RemoteProtocolError, match="unexpected: Balance"):
            await link.ask(m.GetManifest(1), m.Manifest)
        assert await ask(link, 6) == 6

    assert converse(program)[0].connections == 1


def welcome_to(node, *, by=TRACKER):
    session = Session(
        by, peer=node.node, peer_sign_key=node.sign_key, peer_exchange_key=node.exchange_key, peer_epoch=node.epoch
    )
    return session.seal(m.Welcome(by.sign_key, by.exchange_key, 0, 0), board=0)


@pytest.mark.parametrize(
    "welcome",
    [
        b"",
        b"\xff" * 9,
        welcome_to(NODE, by=Identity(bytes([3]) * 32, epoch=1)),
        welcome_to(Identity(bytes([4]) * 32, epoch=1)),
    ],
)
def test_a_welcome_that_is_not_the_trackers_to_us_is_none(welcome):
    async def program(link, tracker, network):
        tracker.welcomes.append(welcome)
        with pytest.raises(RemoteProtocolError):
            await link.connect()
        assert link.session is None
        tracker.welcomes.append(welcome)
        assert await ask(link, 5) == 5

    assert sum(converse(program)[1].values()) == 1


def test_a_tracker_that_cannot_be_reached_is_tried_until_it_can():
    async def program(link, tracker, network):
        network.crash("node")
        network.restart("node")
        with network.partition(["node"], ["tracker"]):
            with trio.move_on_after(35) as scope:
                await ask(link, 5)
            assert scope.cancelled_caught
        assert await ask(link, 6) == 6

    converse(program)


def test_on_a_crashed_host_a_request_waits_to_be_cancelled_and_the_next_boot_is_not_disturbed():
    async def program(link, tracker, network):
        await link.connect()
        network.crash("node")
        with trio.move_on_after(5) as scope:
            await ask(link, 5)
        assert scope.cancelled_caught
        network.restart("node")
        await trio.sleep(5)

    tracker, _ = converse(program)
    assert (tracker.asked, tracker.connections) == ([], 1)


def test_an_ended_boot_is_asked_in_vain_at_once_even_when_its_host_is_up_again():
    async def program(link, tracker, network):
        await link.connect()
        async with trio.open_nursery() as asking:

            async def be_refused():
                with pytest.raises(Rejection, match="crashed"):
                    await ask(link, 5)

            network.crash("node")
            asking.start_soon(be_refused)
            await trio.sleep(5)
            network.restart("node")
            await link.leave()
        await be_refused()

    tracker, _ = converse(program)
    assert (tracker.asked, tracker.connections) == ([], 1)


def test_rejoining_makes_a_new_connection_under_the_same_session():
    async def program(link, tracker, network):
        await link.connect()
        session = link.session
        await link.rejoin()
        assert link.joins == 2
        assert link.session is session
        assert await ask(link, 5) == 5

    assert converse(program)[0].connections == 2


def test_leaving_says_goodbye_and_does_not_wait_for_a_tracker_that_is_gone():
    async def program(link, tracker, network):
        await link.connect()
        await link.leave()
        await trio.sleep(1)
        assert tracker.asked == ["leave"]
        await link.connect()
        with network.partition(["node"], ["tracker"]):
            start = trio.current_time()
            await link.leave()
            assert trio.current_time() - start <= 2

    converse(program)
