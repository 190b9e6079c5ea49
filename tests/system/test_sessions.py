"""Sessions: twins, impostors, latecomers, those that leave in order and those that come back in time."""

from __future__ import annotations

import signal
import time

import pytest

from checks import assert_all_consistent, assert_first_attempts, assert_started_once
from fault_tools import OddWorker, assert_all_credit_is_back, one_step, session_state, short
from parts import PATIENCE, SystemFactory, wait_until
from workers import NOOP, PYTHON_PATTERNS, RUBY_PATTERNS, SLEEP


def test_one_worker_name_started_twice_is_two_sessions_that_both_work(make_system: SystemFactory) -> None:
    system = make_system()
    system.load_template(one_step("nap", SLEEP, handler_config={"sleep_ms": 30}))
    for _ in range(2):
        system.python_worker("twin", PYTHON_PATTERNS, "--handlers", SLEEP, wait=False)

    def sessions() -> set[str]:
        ready = [w for w in system.health()["workers"] if w["state"] == "ready"]
        return {w["session"] for w in ready if w["worker_id"] == "twin"}

    wait_until(lambda: len(sessions()) == 2, "both are ready", on_fail=system.logs)
    system.submit_many("tests", "nap", [{}] * 80)
    system.wait_for_end()
    assert {e["session"] for e in system.effects()} == sessions()
    assert_started_once(system)
    assert_first_attempts(system)
    assert_all_consistent(system)


def test_another_process_with_the_same_session_is_refused_and_the_first_goes_on(
    make_system: SystemFactory,
) -> None:
    system = make_system()
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP]) as first:
        hello = {
            "worker_id": "impostor",
            "language": "test",
            "sdk_version": "0",
            "host": "test",
            "namespaces": ["*"],
            "handlers": [NOOP],
            "capacity": 99,
            "pid": 1,
            **first.inventory(),
        }
        first.say("hello", **hello)
        assert first.wait_to_hear("refused")["code"] == "duplicate_session"
        (known,) = (w for w in system.health()["workers"] if w["session"] == first.session)
        assert (known["worker_id"], known["capacity"]) == (first.worker_id, 10)
        task_id = system.submit("tests/one", {})
        first.finish(first.batch())
        system.wait_for_task(task_id, "complete")
    assert_all_consistent(system)


def test_a_worker_that_lost_its_connection_and_returns_in_time_keeps_its_steps(
    make_system: SystemFactory,
) -> None:
    system = make_system(settings=short(disconnect_grace_ms=2000))
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP]) as before:
        task_id = system.submit("tests/one", {})
        batch = before.batch()
        held = dict(before.held)
        before.die()
        wait_until(lambda: session_state(system, before.session) == "suspect", "it is missed")
    with OddWorker(system, [NOOP], session=before.session, worker_id=before.worker_id, held=held) as after:
        after.finish(batch)
        system.wait_for_task(task_id, "complete")
        assert after.batch_frames == [], "it has the batch, so it is not sent again"
    assert_first_attempts(system)
    assert_all_consistent(system)
    assert_all_credit_is_back(system)


def test_a_worker_that_comes_late_gets_what_has_waited_for_it(make_system: SystemFactory) -> None:
    system = make_system()
    system.load_template(one_step("nap", SLEEP, handler_config={"sleep_ms": 1}))
    tasks = system.submit_many("tests", "nap", [{}] * 30)
    ruby = system.ruby_worker("latecomer", RUBY_PATTERNS, "--handlers", SLEEP)
    system.wait_for_end()
    assert all(system.task_state(task_id) == "complete" for task_id in tasks) and ruby.running()
    assert_started_once(system)
    assert_all_consistent(system)


@pytest.mark.alone
def test_an_unsubscribed_worker_gets_nothing_more_within_milliseconds(make_system: SystemFactory) -> None:
    system = make_system()
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP]) as leaver:
        leaver.die()
        gone = time.monotonic()
        wait_until(lambda: session_state(system, leaver.session) != "ready", "it is missed", 5, system.logs)
        took_ms = (time.monotonic() - gone) * 1000
        print(f"connection closed to no dispatch: {took_ms:.0f} ms (a heartbeat is 1000 ms)")
        assert took_ms < 1500 * PATIENCE, "it was the subscription's end, not 3 s of silence"
        task_id = system.submit("tests/one", {})
        with OddWorker(system, [NOOP]) as other:
            other.finish(other.batch())
            system.wait_for_task(task_id, "complete")
    assert_first_attempts(system)
    assert_all_consistent(system)


def test_a_rolling_deploy_of_workers_under_load_costs_no_attempt(make_system: SystemFactory) -> None:
    """Each gets SIGTERM in turn: what had not started is handed back, the rest is finished."""
    system = make_system()
    system.load_template(one_step("nap", SLEEP, handler_config={"sleep_ms": 40}, default_retry_limit=1))
    fleet = [
        system.python_worker("python-1", PYTHON_PATTERNS, "--handlers", SLEEP, "--capacity", "2"),
        system.ruby_worker("ruby-1", RUBY_PATTERNS, "--handlers", SLEEP, "--capacity", "2"),
    ]
    system.submit_many("tests", "nap", [{}] * 200)
    wait_until(lambda: len(system.effects()) > 10, "work goes on", on_fail=system.describe)
    successors = [
        system.python_worker("python-2", PYTHON_PATTERNS, "--handlers", SLEEP),
        system.ruby_worker("ruby-2", RUBY_PATTERNS, "--handlers", SLEEP),
    ]
    for old in fleet:
        old.signal(signal.SIGTERM)
        assert old.wait() == 0, old.tail()
    system.wait_for_end()
    assert all(process.running() for process in successors)
    assert system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == 200
    assert_started_once(system)
    assert_first_attempts(system)
    assert_all_consistent(system)
    assert_all_credit_is_back(system)
