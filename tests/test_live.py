"""trio: the market on real sockets and the wall clock: few runs, as short as they can be."""

from __future__ import annotations

import hashlib

import pytest
import trio

from netem.channel import FrameChannel
from netem.randomness import keyed_generator
from node.events import DownloadFinished
from scenarios.parameters import Params
from scenarios.real_bed import real_bed
from tracker.bank.audit import audit
from tracker.desk import Terms
from tracker.events import DownloadSettled

# What a busy machine may do to a run, which the certificate must then say.
HOST_REASONS = ("the event loop lagged", "the event loop stood still", "departures late", "the kernel dropped")


class Live:
    """A run of `program(bed)` on real sockets, settled and closed; every event is kept."""

    def __init__(self, directory, params, program):
        self.directory, self.events = directory, []
        trio.run(self.main, params, program)

    async def main(self, params, program):
        with trio.fail_after(120):
            async with real_bed(params, self.directory, link=params.link(), emit=self.events.append) as bed:
                await bed.start(terms=Terms(), policy="fixed", beliefs="given")
                await program(bed)
                await bed.tracker.wait_settled()
        self.certificate = bed.network.certificate()

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def a_file(directory, size_bytes):
    path = directory / "shared"
    path.write_bytes(keyed_generator(1, "live").bytes(size_bytes))
    return path


def test_real_nodes_share_a_file_over_real_sockets(tmp_path):
    path = a_file(tmp_path, 300_000)

    async def program(bed):
        for peer in bed.peers[:3]:
            index = await peer.publish("shared", path)
        async with trio.open_nursery() as crowd:
            for peer in bed.peers[3:]:
                crowd.start_soon(peer.fetch, index)

    params = Params(nodes=6, loss=0.05, delay_s=0.01, jitter_s=0.002, upload_bytes_per_s=1e6)
    live = Live(tmp_path, params, program)
    assert {event.sha256 for event in live.of(DownloadFinished)} == {hashlib.sha256(path.read_bytes()).digest()}
    settled = live.of(DownloadSettled)
    assert len(settled) == len(live.of(DownloadFinished)) == 3
    assert {sum(paid for _, paid in event.payouts) for event in settled} == {Terms().fee_credits}
    assert len({server for event in settled for server, _ in event.payouts}) >= 3
    assert audit(tmp_path / "ledger.sqlite").ok
    assert live.certificate.conservation.missing == 0
    assert all(reason.startswith(HOST_REASONS) for reason in live.certificate.reasons), live.certificate.reasons


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff" + bytes(1_000), b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x09too short", b""]
)
def test_real_garbage_is_hung_up_on_and_the_tracker_goes_on(tmp_path, data):
    async def program(bed):
        stranger = bed.network.add_host("stranger")
        stream = await stranger.connect_tcp(bed.tracker.address)
        if data:
            await stream.send_all(data)
            assert await FrameChannel(stream).receive() is None
        await stream.aclose()
        udp = stranger.open_udp(lambda *_: None)
        udp.send(data, bed.tracker.address)
        await bed.peers[0].balance()
        for _ in range(500):
            if bed.tracker.dropped.total() == 2:
                break
            await trio.sleep(0.01)
        assert bed.tracker.dropped.total() == 2
        assert await bed.peers[1].publish("f", a_file(tmp_path, 10)) == 0

    Live(tmp_path, Params(nodes=2, loss=0.0, delay_s=0.001, jitter_s=0.0), program)
