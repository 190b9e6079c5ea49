"""PostgreSQL answers, but not as hoped: rows locked by others, deadlocks, failed and cancelled statements."""

from __future__ import annotations

import signal
import time
from typing import Any, Iterator

import psycopg
import pytest

from checks import assert_all_consistent, assert_first_attempts, assert_started_once
from fault_tools import OddWorker, assert_all_credit_is_back, one_step, short
from parts import System, SystemFactory, wait_until
from workers import NOOP, PYTHON_PATTERNS, SLEEP


@pytest.fixture
def console(make_system: SystemFactory) -> Iterator[tuple[System, psycopg.Connection[Any]]]:
    """A system with a fake worker's template, and somebody else's session in it."""
    system = make_system(settings=short(resend_ms=200))
    system.load_template(one_step("one", NOOP))
    with psycopg.connect(system.url) as connection:
        yield system, connection


def lock_task(connection: psycopg.Connection[Any], task_id: int) -> None:
    connection.execute("SELECT 1 FROM tasker_tasks WHERE task_id = %s FOR UPDATE", (task_id,))


def test_a_task_locked_in_a_console_waits_alone(console: tuple[System, psycopg.Connection[Any]]) -> None:
    """An idle-in-transaction session holds one task's row: others go on, that one ends later."""
    system, connection = console
    system.load_template(one_step("nap", SLEEP, handler_config={"sleep_ms": 100}))
    # Long enough to be locked before it reports.
    system.load_template(one_step("long_nap", SLEEP, handler_config={"sleep_ms": 3000}))
    system.python_worker("python", PYTHON_PATTERNS, "--handlers", SLEEP)
    held = system.submit("tests/long_nap", {})
    wait_until(lambda: system.effects(), "it has begun", on_fail=system.describe)
    lock_task(connection, held)
    began = time.monotonic()
    others = system.submit_many("tests", "nap", [{}] * 60)
    for task_id in others:
        system.wait_for_task(task_id, "complete")
    took = time.monotonic() - began
    print(f"60 tasks beside a locked one: {took:.1f} s")
    # 200 ms per try for the lock, and the tries come with the worker's doubling resends.
    assert system.task_state(held) == "in_progress"
    deferred = wait_until(lambda: system.health()["listener"]["messages_deferred"], "it was tried in vain")
    assert deferred
    connection.rollback()
    system.wait_for_task(held, "complete")
    assert_started_once(system)
    assert_all_consistent(system)
    assert_all_credit_is_back(system)


def test_a_new_task_locked_in_a_console_is_skipped_and_claimed_later(
    console: tuple[System, psycopg.Connection[Any]],
) -> None:
    system, connection = console
    first, second = system.submit_many("tests", "one", [{}, {}])
    lock_task(connection, first)
    with OddWorker(system, [NOOP]) as worker:
        batch = worker.batch()
        assert [step["task_id"] for step in batch["steps"]] == [second]
        worker.finish(batch)
        system.wait_for_task(second, "complete")
        assert system.task_state(first) == "pending"
        connection.rollback()
        worker.finish(worker.batch(2))
        system.wait_for_task(first, "complete")
    assert_first_attempts(system)
    assert_all_consistent(system)


def provoke_deadlock(system: System, worker: OddWorker, connection: psycopg.Connection[Any]) -> None:
    """Somebody locks the second of two tasks, then wants the first one, which the turn has locked by then."""
    assert system.orchestrator
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'tasker-orchestrator lane' AND wait_event_type = 'Lock'"
    )
    known = len(worker.batch_frames)
    first, second = system.submit_many("tests", "one", [{}, {}])
    batch = worker.batch(known + 1)
    assert [step["task_id"] for step in batch["steps"]] == [first, second]
    lock_task(connection, second)
    # All its reports are read at once, so that one turn needs both tasks.
    system.orchestrator.signal(signal.SIGSTOP)
    worker.finish(batch)
    wait_until(lambda: worker.outgoing.empty(), "the reports are sent")
    system.orchestrator.signal(signal.SIGCONT)
    wait_until(lambda: system.value(waits), "the turn waits for the second task", on_fail=system.describe)
    lock_task(connection, first)
    connection.rollback()

    def ended() -> bool:
        if system.open_tasks() > 0:
            worker.finish(batch)  # a report that was put off is said again by its worker
        return system.open_tasks() == 0

    wait_until(ended, "both tasks have ended", 20, system.describe)


def test_a_deadlock_is_resolved_by_repeating_the_turn(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    # The one that has waited for so long looks for a deadlock, and is its victim: here it is the turn.
    system.connection.execute(f"ALTER DATABASE {system.database} SET deadlock_timeout = '150ms'".encode())
    system.start_orchestrator()
    system.load_template(one_step("one", NOOP))
    with psycopg.connect(system.url) as console, OddWorker(system, [NOOP]) as worker:
        console.execute("SET deadlock_timeout = '20s'")
        console.commit()
        for _ in range(5):
            provoke_deadlock(system, worker, console)
            if system.health()["listener"]["turns_repeated"]:
                break
        else:
            raise AssertionError("no deadlock came about")
    assert system.value("SELECT count(*) FROM tasker_tasks WHERE state <> 'complete'") == 0
    assert_first_attempts(system)
    assert_all_consistent(system)


FAILURES = {"serialization_failure": "40001", "deadlock_detected": "40P01", "query_canceled": "57014"}


@pytest.mark.parametrize("failure", FAILURES)
def test_an_injected_failure_of_a_turn_costs_nothing(
    console: tuple[System, psycopg.Connection[Any]], failure: str
) -> None:
    """A trigger of this test's own lets the next three writes of a result fail, then none any more."""
    system, connection = console
    connection.execute("CREATE SEQUENCE test_failures")
    connection.execute(
        "CREATE FUNCTION test_fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('test_failures') <= 3 THEN RAISE EXCEPTION 'injected' USING ERRCODE = '"
        + FAILURES[failure]
        + "'; END IF; RETURN NULL; END $$"
    )
    connection.execute(
        "CREATE TRIGGER test_fail AFTER INSERT ON tasker_step_execution_batch_received_results"
        " FOR EACH STATEMENT EXECUTE FUNCTION test_fail()"
    )
    connection.commit()
    system.load_template(one_step("nap", SLEEP, handler_config={"sleep_ms": 1}))
    system.python_worker("python", PYTHON_PATTERNS, "--handlers", SLEEP)
    tasks = system.submit_many("tests", "nap", [{}] * 20)
    system.wait_for_end()
    assert all(system.task_state(task_id) == "complete" for task_id in tasks)
    assert system.value("SELECT last_value FROM test_failures") > 3, "nothing was injected"
    assert system.value("SELECT count(*) FROM tasker_rejected_messages") == 0
    assert_started_once(system)
    assert_first_attempts(system)
    assert_all_consistent(system)
    connection.execute("DROP FUNCTION test_fail CASCADE")
    connection.execute("DROP SEQUENCE test_failures")
    connection.commit()
