"""Handlers that do what harms a careless worker: the worker and its other steps go on."""

import os
import signal
import subprocess
import sys

import pytest

from tests.support.fake_orchestrator import a_step


def test_a_log_that_nobody_reads_stops_neither_heartbeats_nor_steps(fake, start):
    worker = start(handlers="Odd::Noisy", stderr=subprocess.PIPE)
    fake.handshake()
    batch = fake.batch([a_step(1, "Odd::Noisy", handler_config={"lines": 500})])
    assert fake.wait_for("partial_result", batch_id=batch, step_id=1, status="completed")
    since = len(fake.received)
    fake.wait_for("worker_heartbeat", since, count=3)
    worker.terminate()
    assert fake.wait_for("goodbye").body["reason"] == "drained"
    assert worker.exit_code() == 0
    worker.process.stderr.close()


@pytest.mark.parametrize("way, code", [("return", 0), ("raise", 1), ("exit", 3), ("term", -signal.SIGTERM)])
def test_a_child_that_comes_back_out_of_its_handler_ends_and_runs_nothing(fake, start, folder, way, code):
    worker = start("--capacity", "1", "--prefetch", "20", handlers="Odd::Forks,Odd::Note")
    fake.handshake()
    seen = os.path.join(folder, "seen")
    steps = [a_step(1, "Odd::Forks", handler_config={"way": way, "seen": seen})]
    steps += [a_step(number, "Odd::Note", handler_config={"seen": seen}) for number in (2, 3, 4)]
    batch = fake.batch(steps)
    fake.wait_for("batch_completion", batch_id=batch)
    report = fake.of("partial_result", step_id=1, status="completed")[0].body
    assert report["output"] == {"exit_code": code}
    pid = worker.process.pid
    with open(seen, encoding="utf-8") as stream:
        assert stream.read().splitlines() == ["results", *(f"{pid} {number}" for number in (2, 3, 4))]


@pytest.mark.parametrize("way, code", [("return", 0), ("await", 1)])
def test_a_child_of_a_coroutine_ends_when_it_leaves_it(fake, start, folder, way, code):
    worker = start("--capacity", "2", handlers="Odd::ForksLater,Odd::Note")
    fake.handshake()
    seen = os.path.join(folder, "seen")
    fake.batch([a_step(1, "Odd::ForksLater", handler_config={"way": way, "seen": seen})])
    report = fake.wait_for("partial_result", step_id=1, status="completed").body
    assert report["output"] == {"exit_code": code}
    fake.batch([a_step(2, "Odd::Note", handler_config={"seen": seen})])
    fake.wait_for("partial_result", step_id=2, status="completed")
    with open(seen, encoding="utf-8") as stream:
        assert stream.read().splitlines() == [f"{worker.process.pid} 2"]


def test_a_coroutine_is_stopped_by_its_time_out_and_by_a_cancel(fake, start):
    start(handlers="Odd::Sleeps")
    fake.handshake()
    fake.batch([a_step(1, "Odd::Sleeps", timeout_ms=100)])
    error = fake.wait_for("partial_result", step_id=1, status="failed").body["error"]
    assert (error["error_type"], error["handler_stopped"]) == ("TimeoutError", True)
    batch = fake.batch([a_step(2, "Odd::Sleeps")])
    fake.wait_for("partial_result", step_id=2, status="in_progress")
    ref = {"batch_id": batch, "step_id": 2, "attempt": 1}
    fake.control("cancel", session=fake.session, reason="not needed", steps=[ref])
    error = fake.wait_for("partial_result", step_id=2, status="failed").body["error"]
    assert error["message"] == "stopped: not needed"


def test_a_long_number_goes_through_a_handler_unchanged(fake, start):
    start(handlers="Odd::Long")
    fake.handshake()
    fake.batch([a_step(1, "Odd::Long", task_context={"n": 0})])
    fake.wait_for("batch_completion")
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        fake.batch([a_step(2, "Odd::Long", task_context={"n": 10**5000})])
        report = fake.wait_for("partial_result", step_id=2, status="completed").body
        assert report["output"] == {"same": 10**5000, "begins": "1" + "0" * 19}
    finally:
        sys.set_int_max_str_digits(before)
