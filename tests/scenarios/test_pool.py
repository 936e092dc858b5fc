"""The readings of several processes, put together in the first."""

from __future__ import annotations

import trio

from netem.network import Network
from netem.reading import Reading, Timing, Traffic
from netem.virtual_time import VirtualTime
from scenarios.pool import LAST, LINKS_PER_S, Pool


class Answering:
    """Workers that answer soon."""

    def __init__(self, count, *, links=1):
        self.count, self.links = count, links
        self.asked = []
        self.silent = False

    def ask(self, number):
        self.asked.append(trio.current_time())
        if not self.silent:
            trio.lowlevel.spawn_system_task(self.answer, number, len(self.asked))
        return self.count

    async def answer(self, number, sent):
        for worker in range(1, self.count + 1):
            self.pool.take(worker, number - 1, self.reading(10**6))  # too late: it counts no more
            self.pool.take(worker, number, self.reading(sent))

    def reading(self, sent):
        return Reading(Traffic(sent=sent), Timing(sent=sent), self.links)


def pooled(workers):
    network = Network(VirtualTime(), run_seed=1)
    network.add_host("a").sent = 100
    workers.pool = Pool(network, workers)
    return workers.pool


async def run_for(pool, duration_s):
    with trio.move_on_after(duration_s):
        await pool.run()


async def test_all_processes_are_read_once_a_second_and_added_up(autojump_clock):
    workers = Answering(2)
    pool = pooled(workers)
    await run_for(pool, 2.5)
    assert len(workers.asked) == 3
    assert (pool.traffic.sent, pool.timing().sent) == (100 + 3 + 3, 106)


async def test_many_links_are_read_more_seldom(autojump_clock):
    workers = Answering(1, links=3 * LINKS_PER_S)
    await run_for(pooled(workers), 6.5)
    assert [round(second - workers.asked[0]) for second in workers.asked] == [0, 3, 6]


async def test_a_round_that_a_worker_does_not_answer_counts_for_nothing(autojump_clock):
    workers = Answering(1)
    pool = pooled(workers)
    await run_for(pool, 0.5)
    workers.silent = True
    await run_for(pool, 20)
    assert pool.traffic.sent == 101
    assert len(workers.asked) < 6  # it is not asked again at once


async def test_the_end_is_put_together_of_what_each_had_last():
    pool = pooled(Answering(2))
    pool.take(1, LAST, Reading(Traffic(sent=1), Timing(), 1))
    pool.take(2, LAST, Reading(Traffic(sent=2), Timing(), 1))
    pool.finish()
    assert pool.traffic.sent == 103
