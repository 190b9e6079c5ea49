import ctypes
import random
import select
import threading
import time

import pytest

from tasker_worker import pool
from tasker_worker.attempt import Attempt
from tasker_worker.batch import Batch
from tasker_worker.outcome import Limits, run_handler
from tasker_worker.pool import STALL_S, Pool, WakeUp
from tasker_worker.registry import HandlerEntry
from tasker_worker.wire.orchestrator_messages import StepRequest
from tasker_worker.wire.schema import read_record
from tests.support.fake_orchestrator import a_step

LIMIT_S = 10.0


class Bench:
    """A pool with the part of the socket thread that matters to it."""

    def __init__(self, capacity):
        self.wake_up = WakeUp()
        self.pool = Pool(capacity, self.wake_up, Limits())
        self.batch = Batch("b", "0" * 16, "", 0.0)
        self.number = 0

    def run(self, process, typical=None):
        entry = HandlerEntry("X", process, None)
        if typical is not None:
            entry.typical_seconds = typical
        self.number += 1
        request = read_record(StepRequest, a_step(self.number, "X"))
        return Attempt(request, self.batch, entry)

    def collect(self, count):
        """Waits for finished steps the way the worker's loop does."""
        finished = []
        end = time.monotonic() + LIMIT_S
        while len(finished) < count:
            assert time.monotonic() < end, f"only {len(finished)} of {count} steps came back"
            stall = self.pool.check_stall(time.monotonic())
            patience = 0.5 if stall is None else max(0.0, stall - time.monotonic())
            select.select([self.wake_up.fd], [], [], patience)
            self.wake_up.answer()
            while self.pool.done:
                finished.append(self.pool.done.popleft())
        return finished

    def close(self):
        self.pool.close()
        for thread in self.pool._threads:
            thread.join(LIMIT_S)
            assert not thread.is_alive()
        self.wake_up.close()


@pytest.fixture
def bench():
    benches = []

    def make(capacity):
        benches.append(Bench(capacity))
        return benches[-1]

    yield make
    for one in benches:
        one.close()


def test_every_step_runs_once_whatever_the_mix(bench):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    one = bench(4)
    ran = []

    def process(task, sequence, step):
        ran.append(step.step_id)
        if chance.random() < 0.05:
            time.sleep(0.002)

    submitted = finished = 0
    while submitted < 3000:
        group = [one.run(process, typical=chance.choice([1e-6, 1.0])) for _ in range(chance.randrange(1, 12))]
        one.pool.submit(group, front=chance.random() < 0.1)
        submitted += len(group)
        finished += len(one.collect(max(0, submitted - finished - 20)))
    one.collect(submitted - finished)
    assert sorted(ran) == list(range(1, submitted + 1))
    assert len(one.pool._threads) <= 4


def test_short_handlers_share_one_thread_and_long_ones_do_not(bench):
    one = bench(8)
    one.pool.submit([one.run(lambda t, q, s: None, typical=1e-6) for _ in range(50)])
    one.collect(50)
    threads_for_short = len(one.pool._threads)
    barrier = threading.Barrier(8)
    one.pool.submit([one.run(lambda t, q, s: barrier.wait(LIMIT_S)) for _ in range(8)])
    assert all(run.outcome.status == "completed" for run in one.collect(8))  # they met, so all ran at once
    assert threads_for_short <= 2 and len(one.pool._threads) == 8


def test_a_wrong_guess_is_noticed(bench):
    one = bench(3)
    barrier = threading.Barrier(3)
    one.pool.submit([one.run(lambda t, q, s: barrier.wait(LIMIT_S), typical=1e-6) for _ in range(3)])
    started = time.monotonic()
    assert all(run.outcome.status == "completed" for run in one.collect(3))
    assert time.monotonic() - started < 100 * STALL_S


def test_a_queue_that_stands_still_wakes_the_others_little_by_little(bench):
    one = bench(8)
    gate = threading.Event()
    one.pool.submit([one.run(lambda t, q, s: gate.wait(LIMIT_S), typical=1e-6) for _ in range(8)])
    now, threads = 0.0, []
    end = time.monotonic() + LIMIT_S
    while one.pool.check_stall(now) is not None:
        assert time.monotonic() < end
        threads.append(len(one.pool._threads))
        now += STALL_S / 2
        time.sleep(0.001)  # for the threads to take their steps; what is asserted does not depend on it
    gate.set()
    one.collect(8)
    assert threads[0] == 1 and len(one.pool._threads) == 8
    assert all(later <= 2 * earlier + 1 for earlier, later in zip(threads, threads[1:]))


def test_a_step_taken_back_never_starts(bench):
    one = bench(1)
    gate = threading.Event()
    ran = []
    first = one.run(lambda t, q, s: gate.wait(LIMIT_S))
    second = one.run(lambda t, q, s: ran.append(s.step_id))
    one.pool.submit([first, second])
    end = time.monotonic() + LIMIT_S
    while first.started is None:
        assert time.monotonic() < end
        time.sleep(0.001)
    assert one.pool.take_back(first) is False
    assert one.pool.take_back(second) is True
    assert one.pool.take_back(second) is False
    gate.set()
    assert one.collect(1) == [first]
    assert ran == [] and second.started is None


def test_a_missed_start_window_is_not_run(bench):
    one = bench(1)
    ran = []
    run = one.run(lambda t, q, s: ran.append(1))
    run.start_by = 0.0
    one.pool.submit([run])
    assert one.collect(1) == [run]
    assert run.missed_window and run.started is None and ran == []


def test_the_estimate_follows_the_handler(bench):
    one = bench(1)
    run = one.run(lambda t, q, s: None)
    entry = run.entry
    runs = [Attempt(run.request, one.batch, entry) for _ in range(40)]
    one.pool.submit(runs)
    one.collect(40)
    assert entry.typical_seconds < 0.005


def test_bytes_of_results_that_wait_to_be_collected_hold_the_next_steps_back(bench):
    it = bench(4)
    size = 20_000 + len('""')
    large = lambda task, sequence, step: "x" * 20_000  # noqa: E731
    it.pool.set_room(1, 0)
    it.pool.submit([it.run(large)])
    assert len(it.collect(1)) == 1
    it.pool.submit([it.run(large) for _ in range(2)])
    assert not it.pool.done and it.pool.check_stall(0.0) is None
    # What was collected stands in the outbox now, which has acknowledged room again.
    it.pool.set_room(2 * size, size)
    assert len(it.collect(2)) == 2
    it.pool.submit([it.run(large)])
    assert len(it.pool._ready) == 1
    it.pool.set_room(size, 2 * size)
    it.collect(1)


def test_a_thread_that_ends_fails_its_step_and_is_replaced(bench, monkeypatch):
    """A library that throws exceptions into threads may hit one outside of the handler."""
    it = bench(1)

    def run_and_end(entry, request, flag, limits):
        if request.step_id == 1:
            raise SystemExit("thrown into the thread")
        return run_handler(entry, request, flag, limits)

    monkeypatch.setattr(pool, "run_handler", run_and_end)
    it.pool.submit([it.run(lambda t, q, s: s.step_id) for _ in range(3)])
    outcomes = [run.outcome for run in sorted(it.collect(3), key=lambda run: run.step_id)]
    assert [outcome.status for outcome in outcomes] == ["failed", "completed", "completed"]
    error = outcomes[0].error
    assert (error["error_type"], error["error_code"]) == ("ThreadEnded", "thread_ended")
    assert error["message"] == "the handler's thread was ended: SystemExit"
    assert len(it.pool._threads) == 1


def test_an_idle_thread_that_ends_loses_no_wake_up(bench):
    it = bench(2)
    it.pool.submit([it.run(lambda t, q, s: None)])
    it.collect(1)
    thread = it.pool._threads[0]
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    it.pool.submit([it.run(lambda t, q, s: "after") for _ in range(20)])
    statuses = [run.outcome.status for run in it.collect(20)]
    assert statuses.count("completed") >= 19
    thread.join(LIMIT_S)
    assert not thread.is_alive() and thread not in it.pool._threads
