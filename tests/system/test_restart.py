"""The orchestrator, PostgreSQL or a worker stops in the middle, and every task ends all the same."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

from checks import assert_all_consistent, assert_first_attempts, assert_started_once
from fake_worker import FakeWorker
from fault_tools import short
from parts import OwnServer, System, SystemFactory, wait_until
from workers import ECHO, PYTHON_PATTERNS, RUBY_PATTERNS, SLEEP, chain

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


def test_a_handler_rejected_after_a_restart_is_taken_off_its_session(make_system: SystemFactory) -> None:
    """The batch was sent in an earlier life; its session has come back and no longer knows the handler."""
    system = make_system()
    system.load_template(chain("once", SLEEP, 1))
    with FakeWorker(system, [SLEEP], accepts=False) as forgetful:
        task = system.submit("tests/once", {})
        batch = forgetful.batch()
        assert system.orchestrator
        system.orchestrator.signal(signal.SIGKILL)
        system.orchestrator.wait()
        sent = len(forgetful.batch_frames)
        forgetful.heard.clear()  # without a welcome it says hello again
        system.start_orchestrator()
        forgetful.batch(sent + 1)
        step = batch["steps"][0]
        rejected = {
            "step_id": step["step_id"],
            "attempt": step["metadata"]["attempt"],
            "reason": "unknown_handler",
        }
        forgetful.say("batch_rejected", batch_id=batch["batch_id"], sequence=1, steps=[rejected])
        forgetful.wait_for_ack(batch, 1)
        with FakeWorker(system, [SLEEP]) as able:
            given = able.batch()
            able.partial(given, given["steps"][0], 1, output={})
            able.completion(given, 2, ["completed"])
            system.wait_for_task(task, "complete")
        frames = [json.loads(frame.partition(b" ")[2]) for frame in forgetful.batch_frames]
        offered = {frame["batch_id"] for frame in frames}
        assert offered == {batch["batch_id"]}, "it got a step of the handler that it had rejected"


@pytest.mark.parametrize("fallen_to", [3, 4], ids=["lower", "the_same"])
def test_running_workers_follow_a_database_that_was_restored_from_an_earlier_copy(
    make_system: SystemFactory, fallen_to: int
) -> None:
    """Its epoch is lower than the one they know, or the same with another orchestrator behind it."""
    system = make_system(settings=short(), start=False)
    set_epoch = "UPDATE tasker_orchestrators SET epoch = %s RETURNING epoch"
    system.start_orchestrator()
    workers = [
        system.python_worker("python", PYTHON_PATTERNS, "--handlers", "Bench::NoopHandler"),
        system.ruby_worker("ruby", RUBY_PATTERNS, "--handlers", ECHO),
    ]
    for handler, name in (("Bench::NoopHandler", "noops"), (ECHO, "echoes")):
        system.load_template(chain(name, handler, 2))
    for before, after in ((4, 5), (fallen_to, fallen_to + 1)):
        assert system.orchestrator
        system.orchestrator.kill()
        assert system.rows(set_epoch, before)
        system.start_orchestrator()
        for worker in workers:
            system.wait_for_worker(worker.name, worker)
        for name in ("noops", "echoes"):
            system.wait_for_task(system.submit(f"tests/{name}", {"value": 1}), "complete")
        assert system.value("SELECT max(epoch) FROM tasker_orchestrators") == after
    for worker in workers:
        followed = [int(epoch) for epoch in re.findall(r'"new epoch".*?epoch=(\d+)', worker.output())]
        assert followed == ([1, 5, 4] if fallen_to == 3 else [1, 5])
    assert_all_consistent(system)
