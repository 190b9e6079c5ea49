"""The orchestrator, PostgreSQL or a worker stops in the middle, and every task ends all the same."""

from __future__ import annotations

import os
import signal

import pytest

from checks import assert_all_consistent, assert_first_attempts, assert_started_once
from parts import OwnServer, System, SystemFactory, wait_until
from workers import PYTHON_PATTERNS, RUBY_PATTERNS, SLEEP, chain

TASKS = 200
STEPS = 3


def start_200_tasks(system: System) -> None:
    """600 steps that sleep, shared by a Ruby and a Python worker; returns when about a quarter has run."""
    system.load_template(chain("naps", SLEEP, STEPS, handler_config={"sleep_ms": 30}))
    ruby = system.ruby_worker("ruby", RUBY_PATTERNS, "--handlers", SLEEP, wait=False)
    system.python_worker("python", PYTHON_PATTERNS, "--handlers", SLEEP)
    system.wait_for_worker("ruby", ruby)
    system.submit_many("tests", "naps", [{}] * TASKS)
    wait_for_complete_steps(system, TASKS * STEPS // 4)


def complete_steps(system: System) -> int:
    return int(system.value("SELECT count(*) FROM tasker_workflow_steps WHERE state = 'complete'"))


def wait_for_complete_steps(system: System, count: int) -> None:
    wait_until(
        lambda: complete_steps(system) >= count, f"{count} steps are complete", on_fail=system.describe
    )


def assert_all_ended_well(system: System) -> None:
    system.wait_for_end()
    assert system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == TASKS
    assert_started_once(system)
    assert_first_attempts(system)
    assert_all_consistent(system)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_the_orchestrator_starts_again_in_the_middle_of_200_tasks(
    make_system: SystemFactory, how: signal.Signals, transport: str
) -> None:
    system = make_system(transport)
    start_200_tasks(system)
    assert system.orchestrator
    system.orchestrator.signal(how)
    assert system.orchestrator.wait() == (0 if how is signal.SIGTERM else -signal.SIGKILL)
    open_tasks = system.open_tasks()
    assert 0 < open_tasks, "the tasks ended before the orchestrator did"
    # The workers go on with what they have meanwhile: wait until something ends whose report nobody hears.
    ended = len(system.effects())
    wait_until(lambda: len(system.effects()) > ended or handlers_idle(system), "the workers go on")

    system.start_orchestrator()
    assert_all_ended_well(system)
    assert system.value("SELECT epoch FROM tasker_orchestrators") == 2


def handlers_idle(system: System) -> bool:
    events = [entry["event"] for entry in system.effects()]
    return events.count("start") == events.count("end")


def test_postgresql_dies_and_comes_back_in_the_middle_of_200_tasks(
    own_server: OwnServer, make_system: SystemFactory
) -> None:
    system = make_system(on=own_server)
    start_200_tasks(system)
    assert system.orchestrator
    own_server.crash()
    system.orchestrator.wait_for_log("database connection lost")
    assert system.health()["database"] == "unreachable"
    own_server.start()
    system.reconnect()
    assert system.open_tasks() > 0, "the tasks ended before the server did"
    assert_all_ended_well(system)
    assert "database connection is back" in system.orchestrator.output()
    assert system.health()["database"] == "reachable"
    assert system.orchestrator.running()


def test_a_worker_that_gets_sigterm_hands_back_and_another_finishes(make_system: SystemFactory) -> None:
    """With one attempt per step: a hand-back that cost an attempt would end the task in error."""
    system = make_system()
    system.load_template(chain("once", SLEEP, 1, handler_config={"sleep_ms": 100}, default_retry_limit=1))
    leaver = system.python_worker(
        "leaver", PYTHON_PATTERNS, "--handlers", SLEEP, "--capacity", "2", "--prefetch", "20"
    )
    system.submit_many("tests", "once", [{}] * 60)
    wait_until(lambda: len(system.effects()) > 4, "the first worker has begun", on_fail=system.describe)
    leaver.signal(signal.SIGTERM)
    system.ruby_worker("heir", RUBY_PATTERNS, "--handlers", SLEEP)
    assert leaver.wait() == 0, leaver.tail()
    system.wait_for_end()
    assert system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == 60
    assert (
        system.value("SELECT sum(unstarted_attempts) FROM tasker_workflow_steps") > 0
    ), "nothing was handed back"
    assert {entry["worker"] for entry in system.effects()} == {"leaver", "heir"}
    assert_started_once(system)
    assert_first_attempts(system)
    assert_all_consistent(system)


def test_a_worker_ends_at_once_when_it_is_told_twice(make_system: SystemFactory) -> None:
    system = make_system()
    system.load_template(chain("long", SLEEP, 1, handler_config={"sleep_ms": 60000}, timeout_seconds=120))
    worker = system.python_worker("stubborn", PYTHON_PATTERNS, "--handlers", SLEEP)
    system.submit("tests/long", {})
    wait_until(lambda: system.effects(), "the handler has begun", on_fail=system.describe)
    os.kill(worker.pid, signal.SIGTERM)
    worker.wait_for_log("drain")
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(10) != 0, "work was left behind, and the exit code says nothing about it"
