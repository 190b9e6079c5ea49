"""A cancellation reaches the worker: held steps come back, running ones may stop, late results are noted."""

from __future__ import annotations

from typing import Any

import pytest

from checks import assert_all_consistent, assert_started_once
from fault_tools import OddWorker, assert_all_credit_is_back, dispositions, one_step, reasons, short
from parts import Process, System, SystemFactory, tasker, wait_until
from workers import NOOP, PYTHON_PATTERNS, RUBY_PATTERNS, SLEEP, chain

LONG_MS = 20_000


REASON = "not wanted any more"


def cancel(system: System, task_id: int, *note: str) -> None:
    tasker(system.url, "task", "cancel", str(task_id), *(note or ("--reason", REASON)))
    assert system.task_state(task_id) == "cancelled"


def batch_states(system: System) -> list[str]:
    rows = system.rows("SELECT state FROM tasker_step_execution_batches ORDER BY batch_id")
    return [row["state"] for row in rows]


def wait_for_batch_states(system: System, *states: str) -> None:
    wait_until(lambda: batch_states(system) == list(states), f"batches are {states}", on_fail=system.describe)


def start_worker(system: System, language: str, *options: str) -> Process:
    if language == "python":
        return system.python_worker(language, PYTHON_PATTERNS, "--handlers", SLEEP, *options)
    return system.ruby_worker(language, RUBY_PATTERNS, "--handlers", SLEEP, *options)


def effects_of(system: System, task_id: int, event: str) -> list[dict[str, Any]]:
    return [e for e in system.effects() if e["task_id"] == task_id and e["event"] == event]


@pytest.mark.parametrize("language", ["python", "ruby"])
def test_a_running_handler_that_looks_at_the_flag_stops_at_once(
    make_system: SystemFactory, language: str
) -> None:
    system = make_system()
    system.load_template(chain("naps", SLEEP, 2, handler_config={"sleep_ms": LONG_MS}, timeout_seconds=60))
    worker = start_worker(system, language)
    task_id = system.submit("tests/naps", {})
    wait_until(lambda: effects_of(system, task_id, "start"), "it runs", on_fail=system.describe)
    cancel(system, task_id)
    worker.wait_for_log(f"step cancelled.*{REASON}")
    # Long before its sleep is over.
    wait_until(lambda: effects_of(system, task_id, "end"), "it has stopped", 10, system.describe)
    wait_until(lambda: dispositions(system).count("late") == 1, "its report", on_fail=system.describe)
    system.wait_for_verdicts()
    assert {step["state"] for step in system.steps(task_id).values()} == {"cancelled"}
    assert len(effects_of(system, task_id, "start")) == 1, "the second step was never started"
    assert_all_credit_is_back(system)


@pytest.mark.parametrize("language", ["python", "ruby"])
def test_a_held_step_of_a_real_worker_is_handed_back(make_system: SystemFactory, language: str) -> None:
    """Its only slot is taken, so the second task's step waits at the worker, and leaves it unstarted."""
    system = make_system()
    system.load_template(one_step("nap", SLEEP, timeout_seconds=60))
    start_worker(system, language, "--capacity", "1")
    running = system.submit("tests/nap", {"sleep_ms": LONG_MS})
    wait_until(lambda: effects_of(system, running, "start"), "one runs", on_fail=system.describe)
    held = system.submit("tests/nap", {"sleep_ms": 1})
    wait_until(lambda: len(batch_states(system)) == 2, "the other one is there", on_fail=system.describe)
    cancel(system, held)
    wait_until(lambda: reasons(system) == ["cancelled"], "it is handed back", on_fail=system.describe)
    wait_for_batch_states(system, "executing", "cancelled")
    assert effects_of(system, held, "start") == []
    cancel(system, running)
    system.wait_for_verdicts()
    assert_started_once(system)
    assert_all_credit_is_back(system)


def test_a_held_step_is_called_back_and_its_batch_ends_cancelled(make_system: SystemFactory) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP]) as worker:
        task_id = system.submit("tests/one", {})
        batch = worker.batch()
        (step,) = batch["steps"]
        cancel(system, task_id)
        called = worker.wait_to_hear("cancel")
        assert (called["reason"], called["session"]) == (REASON, worker.session)
        assert called["steps"] == [{"batch_id": batch["batch_id"], "step_id": step["step_id"], "attempt": 1}]
        assert system.health()["io"]["credit_in_flight"] == 1, "until the worker says so it may run"
        worker.reject(batch, step, "cancelled")
        worker.wait_for_ack(batch, 1)
        wait_for_batch_states(system, "cancelled")
        system.wait_for_verdicts()
        assert_all_credit_is_back(system)
    assert_all_consistent(system)


@pytest.mark.parametrize(
    "command, note, reason",
    [
        ("task", (), "cancelled"),
        ("task", ("--reason", "a" * 1500), "a" * 1000),
        ("step", ("--reason", "its “price” is\twrong"), "its “price” is\twrong"),
    ],
)
def test_the_worker_gets_the_reason_of_the_operator(
    make_system: SystemFactory, command: str, note: tuple[str, ...], reason: str
) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP]) as worker:
        task_id = system.submit("tests/one", {})
        batch = worker.batch()
        (step,) = batch["steps"]
        tasker(system.url, command, "cancel", str(task_id if command == "task" else step["step_id"]), *note)
        assert worker.wait_to_hear("cancel")["reason"] == reason
        worker.reject(batch, step, "cancelled")
        worker.wait_for_ack(batch, 1)
        system.wait_for_verdicts()


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_result_after_the_cancellation_is_late_and_changes_nothing(
    make_system: SystemFactory, status: str
) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP]) as worker:
        task_id = system.submit("tests/one", {})
        batch = worker.batch()
        (step,) = batch["steps"]
        worker.run_step(batch, step)
        cancel(system, task_id)
        before = system.steps(task_id)["s1"]
        worker.forget(batch, step)
        worker.partial(batch, step, 1, status=status, output={"too": "late"})
        worker.completion(batch, 2, [status])
        worker.wait_for_ack(batch, 1)
        worker.wait_for_ack(batch, 2)
        assert dispositions(system) == ["late"]
        assert system.steps(task_id)["s1"] == before and before["state"] == "cancelled"
        assert system.task_state(task_id) == "cancelled"
        system.wait_for_verdicts()
        assert_all_credit_is_back(system)
    assert_all_consistent(system)


def test_a_cancellation_while_the_orchestrator_is_down_reaches_the_worker_when_it_is_back(
    make_system: SystemFactory,
) -> None:
    system = make_system()
    assert system.orchestrator
    system.load_template(one_step("nap", SLEEP, timeout_seconds=60))
    start_worker(system, "python")
    task_id = system.submit("tests/nap", {"sleep_ms": LONG_MS})
    wait_until(lambda: effects_of(system, task_id, "start"), "it runs", on_fail=system.describe)
    system.orchestrator.kill()
    cancel(system, task_id)
    system.start_orchestrator()
    wait_until(lambda: effects_of(system, task_id, "end"), "it has stopped", 15, system.describe)
    wait_until(lambda: dispositions(system).count("late") == 1, "its report", on_fail=system.describe)
    system.wait_for_verdicts()
    assert_all_credit_is_back(system)


def test_a_lost_cancel_message_is_said_again_until_the_worker_obeys(make_system: SystemFactory) -> None:
    """The worker ignores it; every full scan finds the delivery and repeats it."""
    system = make_system(settings=short())
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP]) as worker:
        task_id = system.submit("tests/one", {})
        batch = worker.batch()
        worker.run_step(batch, batch["steps"][0])
        cancel(system, task_id)
        wait_until(lambda: len(worker.heard_of("cancel")) >= 2, "it is told again", 15, system.describe)
        worker.finish(batch)
        wait_until(lambda: dispositions(system) == ["late"], "its report", on_fail=system.describe)
        system.wait_for_verdicts()
        assert_all_credit_is_back(system)


def test_a_drained_worker_hands_back_and_leaves(make_system: SystemFactory) -> None:
    """`worker drain`: what runs is finished, what is held goes to another one, nothing costs an attempt."""
    system = make_system()
    system.load_template(one_step("nap", SLEEP, handler_config={"sleep_ms": 400}, default_retry_limit=1))
    leaver = system.python_worker(
        "leaver", PYTHON_PATTERNS, "--handlers", SLEEP, "--capacity", "1", "--prefetch", "10"
    )
    system.submit_many("tests", "nap", [{}] * 8)
    wait_until(lambda: system.effects(), "it works", on_fail=system.describe)
    heir = system.ruby_worker("heir", RUBY_PATTERNS, "--handlers", SLEEP)
    listed = "SELECT count(*) FROM tasker_workers WHERE worker_id = 'leaver' AND state = 'ready'"
    wait_until(lambda: system.value(listed), "it is in the list of workers", on_fail=system.logs)
    waited = tasker(system.url, "worker", "drain", "leaver", "--wait", "--timeout", "30")
    assert waited.stdout.endswith("it has left\n"), waited.stdout
    assert leaver.wait(15) == 0, leaver.tail()
    state = "SELECT state FROM tasker_workers WHERE worker_id = 'leaver'"
    assert system.value(state) == "left", "it has left, and is not lost"
    system.wait_for_end()
    assert heir.running()
    assert system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == 8
    assert "heir" in {e["worker"] for e in system.effects()}
    assert_started_once(system)
    assert_all_consistent(system)
    assert_all_credit_is_back(system)
