"""Steps with claim_first start only with a grant: what was never granted is proven unstarted."""

from __future__ import annotations

import signal
import time
from typing import Any

import psycopg
import pytest

from checks import assert_all_consistent, assert_first_attempts, assert_started_once
from fault_tools import (
    OddWorker,
    assert_all_credit_is_back,
    dead_letters,
    one_step,
    reasons,
    short,
    wait_for_step,
)
from parts import Process, System, SystemFactory, tasker, wait_until
from workers import NOOP, PYTHON_PATTERNS, RUBY_PATTERNS, SLEEP


@pytest.fixture
def system(make_system: SystemFactory) -> System:
    made: System = make_system(settings=short())
    made.load_template(
        one_step("pay", NOOP, claim_first=True, on_orphan="dead_letter", default_retry_limit=1)
    )
    return made


def granted_at(system: System, task_id: int) -> Any:
    return system.value(
        "SELECT max(granted_at) FROM tasker_step_execution_batch_steps bs"
        " JOIN tasker_workflow_steps s USING (workflow_step_id) WHERE s.task_id = %s",
        task_id,
    )


@pytest.mark.parametrize("language", ["python", "ruby"])
def test_a_granted_step_runs_once(make_system: SystemFactory, language: str) -> None:
    system = make_system()
    system.load_template(one_step("pay", SLEEP, claim_first=True, handler_config={"sleep_ms": 1}))
    start = system.python_worker if language == "python" else system.ruby_worker
    start(language, PYTHON_PATTERNS if language == "python" else RUBY_PATTERNS, "--handlers", SLEEP)
    tasks = system.submit_many("tests", "pay", [{}] * 20)
    system.wait_for_end()
    assert all(system.task_state(task_id) == "complete" for task_id in tasks)
    assert system.value("SELECT count(granted_at) FROM tasker_step_execution_batch_steps") == 20
    assert system.health()["listener"]["starts_granted"] == 20
    assert_started_once(system)
    assert_first_attempts(system)
    assert_all_consistent(system)


def test_the_same_session_gets_its_grant_again_and_each_question_its_own_answer(system: System) -> None:
    with OddWorker(system, [NOOP]) as worker:
        task_id = system.submit("tests/pay", {})
        batch = worker.batch()
        (step,) = batch["steps"]
        assert step["metadata"]["claim_first"] is True
        times = set()
        for n in (1, 2):
            worker.ask_to_start(batch, step, n)
            grant = worker.wait_to_hear("start_granted", n=n)
            assert (grant["step_id"], grant["attempt"], grant["start_window_ms"]) == (step["step_id"], 1, 500)
            times.add(granted_at(system, task_id))
        assert len(times) == 1, "the first grant stands"
        worker.run_step(batch, step)
        worker.finish(batch)
        system.wait_for_task(task_id, "complete")
    assert_all_consistent(system)


def test_a_step_cancelled_before_its_grant_is_denied_and_handed_back(system: System) -> None:
    with OddWorker(system, [NOOP]) as worker:
        task_id = system.submit("tests/pay", {})
        batch = worker.batch()
        (step,) = batch["steps"]
        tasker(system.url, "task", "cancel", str(task_id))
        worker.ask_to_start(batch, step, 1)
        denied = worker.wait_to_hear("start_denied", n=1)
        assert denied["reason"] == "cancelled"
        worker.reject(batch, step, "start_denied")
        worker.wait_for_ack(batch, 1)
        assert granted_at(system, task_id) is None
        assert system.task_state(task_id) == "cancelled"
        assert system.steps(task_id)["s1"]["state"] == "cancelled"
        assert reasons(system) == ["start_denied"]
        system.wait_for_verdicts()
        assert_all_credit_is_back(system)


def test_never_granted_and_the_worker_gone_costs_no_attempt(system: System) -> None:
    """With one attempt and on_orphan: dead_letter, anything but a hand-back would end the task."""
    with OddWorker(system, [NOOP]) as doomed:
        task_id = system.submit("tests/pay", {})
        doomed.batch()
        doomed.die()
    wait_for_step(system, task_id, "pending", 1)
    assert system.steps(task_id)["s1"]["unstarted_attempts"] == 1
    with OddWorker(system, [NOOP]) as heir:
        batch = heir.batch()
        heir.ask_to_start(batch, batch["steps"][0], 1)
        heir.wait_to_hear("start_granted", n=1)
        heir.finish(batch)
        system.wait_for_task(task_id, "complete")
    assert reasons(system) == ["never_granted"] and dead_letters(system) == []
    assert_first_attempts(system)
    system.wait_for_verdicts()
    assert_all_credit_is_back(system)


def test_granted_and_the_worker_gone_is_an_orphan(system: System) -> None:
    with OddWorker(system, [NOOP]) as doomed:
        task_id = system.submit("tests/pay", {})
        batch = doomed.batch()
        doomed.ask_to_start(batch, batch["steps"][0], 1)
        doomed.wait_to_hear("start_granted", n=1)
        doomed.die()
    system.wait_for_task(task_id, "error")
    assert [letter["reason"] for letter in dead_letters(system)] == ["session_lost"]
    assert_all_credit_is_back(system)


def test_a_question_about_an_attempt_that_is_over_is_denied(system: System) -> None:
    with OddWorker(system, [NOOP]) as worker:
        task_id = system.submit("tests/pay", {})
        batch = worker.batch()
        (step,) = batch["steps"]
        worker.ask_to_start(batch, step, 1)
        worker.wait_to_hear("start_granted", n=1)
        worker.finish(batch)
        system.wait_for_task(task_id, "complete")
        worker.ask_to_start(batch, step, 2)
        assert worker.wait_to_hear("start_denied", n=2)["reason"] == "ended"
    system.wait_for_verdicts()


def test_a_missed_start_window_costs_no_attempt(system: System) -> None:
    """Granted, and handed back all the same: the worker's word that it did not start is proof enough."""
    with OddWorker(system, [NOOP]) as worker:
        task_id = system.submit("tests/pay", {})
        batch = worker.batch()
        worker.ask_to_start(batch, batch["steps"][0], 1)
        worker.wait_to_hear("start_granted", n=1)
        worker.reject(batch, batch["steps"][0], "start_window_missed")
        again = worker.batch(2)
        assert again["batch_id"] != batch["batch_id"] and again["steps"][0]["metadata"]["attempt"] == 2
        worker.ask_to_start(again, again["steps"][0], 1)
        worker.wait_to_hear("start_granted", batch_id=again["batch_id"])
        worker.finish(again)
        system.wait_for_task(task_id, "complete")
    assert reasons(system) == ["start_window_missed"]
    assert_first_attempts(system)
    system.wait_for_verdicts()


def freeze_after_it_asked(system: System, worker: Process, task_id: int) -> bool:
    """Stops the worker while the answer to its question waits for the task's lock, then lets the answer out.

    False when the question had been put off before the worker stood still; it asks again later.
    """
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'tasker-orchestrator lane' AND wait_event_type = 'Lock'"
    )
    with psycopg.connect(system.url) as holder:
        holder.execute("SELECT 1 FROM tasker_tasks WHERE task_id = %s FOR UPDATE", (task_id,))
        wait_until(lambda: system.value(waits), "the worker has asked", on_fail=system.describe)
        worker.signal(signal.SIGSTOP)
    turns = system.health()["listener"]["turns"]
    wait_until(
        lambda: granted_at(system, task_id) or system.health()["listener"]["turns"] > turns,
        "the lane goes on",
        on_fail=system.describe,
    )
    return granted_at(system, task_id) is not None


@pytest.mark.parametrize("language", ["python", "ruby"])
def test_a_worker_frozen_past_its_start_window_asks_anew_and_starts_once(
    make_system: SystemFactory, language: str
) -> None:
    system = make_system(settings=short(lease_ms=20000, start_window_ms=300, resend_ms=1000))
    system.load_template(one_step("nap", SLEEP))
    system.load_template(one_step("pay", SLEEP, claim_first=True, default_retry_limit=1))
    start = system.python_worker if language == "python" else system.ruby_worker
    files = PYTHON_PATTERNS if language == "python" else RUBY_PATTERNS
    worker = start(language, files, "--handlers", SLEEP, "--capacity", "1")
    system.submit("tests/nap", {"sleep_ms": 1000})
    wait_until(lambda: system.effects(), "its only slot is taken", on_fail=system.describe)
    task_id = system.submit("tests/pay", {"sleep_ms": 1})
    wait_for_step(system, task_id, "in_progress", 1)
    for _ in range(5):
        granted = freeze_after_it_asked(system, worker, task_id)
        thawed_at = time.monotonic() + 0.5
        wait_until(lambda: time.monotonic() > thawed_at, "the window is over")
        starts = [e for e in system.effects() if e["event"] == "start" and e["task_id"] == task_id]
        assert not starts
        worker.signal(signal.SIGCONT)
        if granted:
            break
    else:
        raise AssertionError("the worker could not be frozen between its question and the answer")
    system.wait_for_task(task_id, "complete")
    assert system.health()["listener"]["starts_granted"] == 2, "the first grant came too late to be used"
    assert_started_once(system)
    assert_first_attempts(system)
    assert_all_consistent(system)
