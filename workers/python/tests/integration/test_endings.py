"""Drain, signals, cancel."""

import os
import signal
import time

import pytest

from tests.support.effects import effects_in
from tests.support.fake_orchestrator import a_step


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "drain"])
def test_draining_finishes_what_runs_hands_back_the_rest_and_says_goodbye(fake, start, folder, how):
    effects = os.path.join(folder, "effects")
    worker = start("--capacity", "1", env={"TASKER_EFFECTS_LOG": effects})
    fake.handshake()
    gate = os.path.join(folder, "gate")
    steps = [a_step(n, "Tests::WaitForFile", handler_config={"file": gate}) for n in (1, 2)]
    batch = fake.batch(steps)
    fake.wait_for("partial_result", status="in_progress", step_id=1)
    if how == "drain":
        fake.control("drain", session=fake.session, deadline_ms=20_000)
    else:
        worker.process.send_signal(getattr(signal, how))
    rejected = fake.wait_for("batch_rejected", batch_id=batch).body
    assert rejected["steps"] == [{"step_id": 2, "attempt": 1, "reason": "draining"}]
    late = fake.batch([a_step(3, "Tests::Echo")])
    assert fake.wait_for("batch_rejected", batch_id=late).body["steps"][0]["reason"] == "draining"
    assert not worker.ended
    open(gate, "w").close()
    completion = fake.wait_for("batch_completion", batch_id=batch).body
    assert completion["total_steps"] == 1 and completion["completed_steps"] == 1
    assert fake.wait_for("goodbye", session=fake.session).body["reason"] == "drained"
    fake.wait("the worker's end", lambda: worker.ended)
    assert worker.exit_code() == 0
    assert [line["step_id"] for line in effects_in(effects) if line["event"] == "start"] == [1]


def test_a_draining_worker_waits_for_its_acks(fake, start):
    worker = start()
    fake.handshake()
    fake.auto_ack = False
    fake.batch([a_step(1, "Tests::Echo")])
    fake.wait_for("batch_completion")
    worker.terminate()
    since = len(fake.received)
    fake.wait_for("partial_result", since)
    assert not worker.ended and not fake.of("goodbye")
    fake.auto_ack = True
    fake.wait_for("goodbye")
    fake.wait("the worker's end", lambda: worker.ended)
    assert worker.exit_code() == 0


def test_an_idle_worker_without_orchestrator_ends_at_once(fake, start, folder):
    fake.answers_hello = False
    worker = start()
    fake.wait_for("hello")
    worker.terminate()
    assert worker.exit_code() == 0


def test_the_drain_limit_ends_a_worker_whose_handler_hangs(fake, start, folder):
    worker = start("--drain-timeout", "0.5")
    fake.handshake()
    fake.batch([a_step(1, "Tests::WaitForFile", handler_config={"file": os.path.join(folder, "never")})])
    fake.wait_for("partial_result", status="in_progress")
    worker.terminate()
    assert fake.wait_for("goodbye").body["reason"] == "deadline"
    assert worker.exit_code() == 4
    assert "drain limit reached" in worker.log()


@pytest.mark.parametrize("how", ["SIGTERM", "drain", "second drain"])
def test_handlers_that_run_are_asked_to_stop_before_the_drain_ends(fake, start, folder, how):
    worker = start("--drain-timeout", "20" if how == "second drain" else "2")
    fake.handshake()
    config = {"file": os.path.join(folder, "never"), "obey": True}
    fake.batch([a_step(1, "Tests::WaitForFile", handler_config=config)])
    fake.wait_for("partial_result", status="in_progress")
    began = time.monotonic()
    if how == "SIGTERM":
        worker.terminate()
    else:
        fake.control("drain", session=fake.session, deadline_ms=60_000)
    if how == "second drain":
        fake.wait("the drain", lambda: "draining" in worker.log())
        fake.control("drain", session=fake.session, deadline_ms=2000)
    report = fake.wait_for("partial_result", step_id=1, status="failed")
    assert report.body["error"]["message"] == "stopped: draining"
    assert 0.8 < report.at - began < 2.0
    assert fake.wait_for("goodbye").body["reason"] == "drained"
    assert worker.exit_code() == 0


def test_an_unacknowledged_report_makes_the_goodbye_another_one(fake, start):
    worker = start("--drain-timeout", "0.5")
    fake.handshake()
    fake.auto_ack = False
    fake.batch([a_step(1, "Tests::Echo")])
    fake.wait_for("batch_completion")
    worker.terminate()
    assert fake.wait_for("goodbye").body["reason"] == "deadline"
    assert worker.exit_code() == 4


def test_a_timed_out_handler_that_still_runs_makes_the_goodbye_another_one(fake, start, folder):
    worker = start()
    fake.handshake()
    config = {"file": os.path.join(folder, "never")}
    fake.batch([a_step(1, "Tests::WaitForFile", handler_config=config, timeout_ms=100)])
    fake.wait_for("batch_completion")
    worker.terminate()
    assert fake.wait_for("goodbye").body["reason"] == "handlers_running"
    assert worker.exit_code() == 0


def test_a_batch_of_the_very_last_moment_is_never_started(fake, start, folder):
    effects = os.path.join(folder, "effects")
    worker = start(env={"TASKER_EFFECTS_LOG": effects})
    fake.handshake()
    fake.auto_ack = False
    first = fake.batch([a_step(1, "Tests::Echo")])
    fake.wait_for("batch_completion")
    worker.terminate()
    fake.wait("the drain", lambda: "draining" in worker.log())
    # The ack ends the drain; the batches stand right behind it in the worker's socket.
    acked = [{"batch_id": first, "sequences": [1, 2]}]
    fake.control("ack", session=fake.session, batches=acked, rejected=[])
    late = [fake.batch([a_step(number, "Tests::Echo")]) for number in range(2, 200)]
    fake.auto_ack = True  # some may have been read, and those were handed back
    assert fake.wait_for("goodbye").body["reason"] == "drained"
    assert worker.exit_code() == 0
    fake.pump()
    assert [line["step_id"] for line in effects_in(effects)] == [1, 1]
    assert not [m for m in fake.of("batch_accepted") if m.body["batch_id"] in late]


def test_a_second_signal_ends_at_once(fake, start, folder):
    worker = start()
    fake.handshake()
    fake.batch([a_step(1, "Tests::WaitForFile", handler_config={"file": os.path.join(folder, "never")})])
    fake.wait_for("partial_result", status="in_progress")
    worker.terminate()
    fake.wait("the drain", lambda: "draining" in worker.log())
    worker.terminate()
    assert fake.wait_for("goodbye").body["reason"] == "interrupted"
    assert worker.exit_code() == 4


CRASHES_WITH_ITS_FIRST_BATCH = """
from tasker_worker.work import Work

def take(self, request, over_limit, now):
    raise RuntimeError("a fault of the worker")

Work.take = take
"""


def test_a_fault_of_the_worker_itself_says_goodbye_and_ends_with_code_1(fake, start, folder):
    file = os.path.join(folder, "crashes.py")
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(CRASHES_WITH_ITS_FIRST_BATCH)
    worker = start("--import", file)
    fake.handshake()
    fake.batch([a_step(1, "Tests::Echo")])
    assert fake.wait_for("goodbye").body["reason"] == "crashed"
    assert worker.exit_code() == 1
    assert "RuntimeError: a fault of the worker" in worker.log()


def test_cancel_hands_back_what_waits_and_tells_what_runs(fake, start, folder):
    start("--capacity", "1")
    fake.handshake()
    config = {"file": os.path.join(folder, "never"), "obey": True}
    batch = fake.batch([a_step(n, "Tests::WaitForFile", handler_config=config) for n in (1, 2)])
    fake.wait_for("partial_result", status="in_progress", step_id=1)
    stale = {"batch_id": batch, "step_id": 2, "attempt": 7}
    unknown = {"batch_id": "0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21", "step_id": 2, "attempt": 1}
    fake.control("cancel", session=fake.session, reason="test", steps=[stale, unknown])
    refs = [{"batch_id": batch, "step_id": n, "attempt": 1} for n in (1, 2)]
    fake.control("cancel", session=fake.session, reason="test", steps=refs)
    rejected = fake.wait_for("batch_rejected").body
    assert rejected["steps"] == [{"step_id": 2, "attempt": 1, "reason": "cancelled"}]
    report = fake.wait_for("partial_result", step_id=1, status="failed").body
    assert report["error"]["message"] == "stopped: test"
    assert fake.wait_for("batch_completion").body["total_steps"] == 1


def test_a_worker_that_was_frozen_sends_its_results_and_honours_what_was_cancelled_meanwhile(
    fake, start, folder
):
    effects = os.path.join(folder, "effects")
    worker = start("--capacity", "2", "--prefetch", "2", env={"TASKER_EFFECTS_LOG": effects})
    fake.handshake()
    gate = os.path.join(folder, "gate")
    done = fake.batch([a_step(1, "Tests::WaitForFile", handler_config={"file": gate})])
    obeying = {"file": os.path.join(folder, "never"), "obey": True}
    stale = fake.batch([a_step(2, "Tests::WaitForFile", handler_config=obeying)])
    held = fake.batch([a_step(3, "Tests::Echo")])
    fake.wait_for("partial_result", count=2, status="in_progress")
    fake.wait_for("batch_accepted", batch_id=held)
    worker.process.send_signal(signal.SIGSTOP)
    os.waitpid(worker.process.pid, os.WUNTRACED)
    # Its lease ends, its attempts become stale; the cancel waits in its socket.
    refs = [{"batch_id": batch, "step_id": n, "attempt": 1} for batch, n in ((stale, 2), (held, 3))]
    fake.control("cancel", session=fake.session, reason="lease over", steps=refs)
    since, end = len(fake.received), time.monotonic() + 1.0
    fake.wait("the end of the lease", lambda: time.monotonic() > end)
    assert not fake.of("worker_heartbeat", since)
    worker.process.send_signal(signal.SIGCONT)
    report = fake.wait_for("partial_result", since, batch_id=stale, status="failed")
    assert report.body["error"]["message"] == "stopped: lease over"
    rejected = fake.wait_for("batch_rejected", since, batch_id=held).body
    assert rejected["steps"] == [{"step_id": 3, "attempt": 1, "reason": "cancelled"}]
    open(gate, "w").close()
    fake.wait_for("partial_result", since, batch_id=done, status="completed")
    fake.wait_for("batch_completion", since, batch_id=done)
    assert {line["step_id"] for line in effects_in(effects)} == {1, 2}
