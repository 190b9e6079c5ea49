"""The orchestrator is killed at every named place and at random, and frozen: nothing is lost or run twice."""

from __future__ import annotations

import random
import signal
import time

import pytest

from checks import assert_all_consistent, assert_first_attempts, assert_started_once
from fault_tools import (
    FAULT_HANDLERS,
    HANG,
    OddWorker,
    assert_all_credit_is_back,
    one_step,
    reasons,
    short,
    wait_for_step,
)
from parts import PATIENCE, Process, System, SystemFactory, procs, wait_until
from workers import NOOP, PYTHON_PATTERNS, RUBY_PATTERNS, SLEEP, chain

CRASH_POINTS = [
    "before_claim_commit",
    "after_claim_commit",
    "before_publish",
    "after_publish",
    "before_apply_commit",
    "after_apply_commit",
    "before_ack",
]
TASKS = 60
STEPS = 3
# The bar: kill -9 under load, first new step published by the restarted process within 2 s.
BAR_S = 2.0


def start_crashing(system: System, crash_point: str) -> Process:
    """An orchestrator that kills itself when it passes this place."""
    command = [procs.program("tasker-orchestrator-crash"), "--config", str(system.config)]
    system.orchestrator = system.start("orchestrator", command, TASKER_CRASH_POINT=crash_point)
    return system.orchestrator


def put_under_load(system: System, tasks: int = TASKS, sleep_ms: int = 10) -> None:
    system.load_template(chain("naps", SLEEP, STEPS, handler_config={"sleep_ms": sleep_ms}))
    system.submit_many("tests", "naps", [{}] * tasks)


def start_workers(system: System, wait: bool = True) -> None:
    ruby = system.ruby_worker("ruby", RUBY_PATTERNS, "--handlers", SLEEP, wait=False)
    python = system.python_worker("python", PYTHON_PATTERNS, "--handlers", SLEEP, wait=False)
    if wait:
        system.wait_for_worker("ruby", ruby)
        system.wait_for_worker("python", python)


def assert_all_ended_well(system: System, tasks: int = TASKS) -> None:
    system.wait_for_end()
    assert system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == tasks
    assert_started_once(system)
    assert_first_attempts(system)
    assert_all_consistent(system)
    assert_all_credit_is_back(system)


def claimed_steps(system: System) -> int:
    return int(system.value("SELECT count(*) FROM tasker_step_execution_batch_steps"))


@pytest.mark.parametrize("crash_point", CRASH_POINTS)
def test_killed_at_a_named_place_nothing_is_lost_or_run_twice(
    make_system: SystemFactory, crash_point: str
) -> None:
    """Twice in a row: the second one, recovering what the first one left, dies at the same place."""
    system = make_system(start=False)
    put_under_load(system)
    first = start_crashing(system, f"{crash_point}:5")
    system.wait_for_orchestrator()
    start_workers(system, wait=False)
    assert first.wait(30) == -signal.SIGKILL, first.tail()
    assert system.open_tasks() > 0, "the tasks ended before the orchestrator did"
    second = start_crashing(system, f"{crash_point}:2")
    assert second.wait(30) == -signal.SIGKILL, second.tail()
    assert system.open_tasks() > 0, "the tasks ended before the orchestrator did"
    system.start_orchestrator()
    assert_all_ended_well(system)


@pytest.mark.alone
def test_killed_under_load_the_restarted_one_publishes_within_the_bar(make_system: SystemFactory) -> None:
    system = make_system()
    assert system.orchestrator
    start_workers(system)
    put_under_load(system, 150, 30)
    wait_until(lambda: len(system.effects()) > 100, "work goes on", on_fail=system.describe)
    killed = time.time()
    system.orchestrator.kill()
    system.start_orchestrator()
    query = (
        "SELECT extract(epoch FROM min(created_at))::float8 FROM tasker_step_execution_batches"
        " WHERE epoch = 2"
    )
    took = wait_until(lambda: system.value(query), "a claim", on_fail=system.describe) - killed
    print(f"kill -9, start again, first new claim: {took:.3f} s (bar {BAR_S} s)")
    assert_all_ended_well(system, 150)
    assert took <= BAR_S * PATIENCE


def test_killed_every_second_or_so_the_work_still_gets_done(make_system: SystemFactory) -> None:
    """Seconds of nothing but deaths; replay with the seed that is printed."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    system = make_system()
    start_workers(system)
    put_under_load(system, 400, 20)
    for _ in range(7):
        assert system.orchestrator
        alive_until = time.monotonic() + dice.uniform(0.1, 1.6)
        wait_until(lambda: time.monotonic() > alive_until, "its hour has come")
        system.orchestrator.kill()
        system.start_orchestrator()
    assert_all_ended_well(system, 400)


def test_frozen_for_longer_than_a_lease_it_calls_no_worker_lost(make_system: SystemFactory) -> None:
    system = make_system(settings=short())
    assert system.orchestrator
    start_workers(system)
    put_under_load(system, 150, 30)
    wait_until(lambda: len(system.effects()) > 50, "work goes on", on_fail=system.describe)
    system.orchestrator.signal(signal.SIGSTOP)
    # The workers go on with what they have, and beat to nobody: their heartbeats wait in the socket.
    woken_at = time.monotonic() + 3
    wait_until(lambda: time.monotonic() > woken_at, "more than a lease has passed")
    system.orchestrator.signal(signal.SIGCONT)
    assert_all_ended_well(system, 150)
    said = system.orchestrator.output()
    assert "this process was stopped for a while" in said
    assert "worker is lost" not in said
    assert system.health()["listener"]["orphans"] == 0


def test_what_ended_while_it_was_away_counts_and_what_runs_is_not_run_again(
    make_system: SystemFactory,
) -> None:
    """One step is reported meanwhile, one still runs when the new one comes; neither costs an attempt."""
    system = make_system()
    assert system.orchestrator
    quick_may_end, long_may_end = (system.folder / name for name in ("quick", "long"))
    for path in (quick_may_end, long_may_end):
        system.load_template(one_step(path.name, HANG, handler_config={"until": str(path)}))
    system.python_worker("python", FAULT_HANDLERS, "--handlers", HANG)
    quick, long = (system.submit(f"tests/{name}", {}) for name in ("quick", "long"))
    wait_until(lambda: len(system.effects()) == 2, "both have begun", on_fail=system.describe)
    system.orchestrator.kill()
    quick_may_end.touch()
    wait_until(
        lambda: [e for e in system.effects() if e["event"] == "end"], "one has ended", on_fail=system.describe
    )
    assert system.open_tasks() == 2, "nobody heard of it"
    system.start_orchestrator()
    system.wait_for_task(quick, "complete")
    assert system.task_state(long) == "in_progress", "it runs on"
    long_may_end.touch()
    system.wait_for_task(long, "complete")
    assert_started_once(system)
    assert_first_attempts(system)
    assert_all_consistent(system)
    assert_all_credit_is_back(system)


def test_a_worker_that_died_with_the_orchestrator_is_found_out_after_the_lease(
    make_system: SystemFactory,
) -> None:
    system = make_system(settings=short())
    assert system.orchestrator
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP]) as doomed:
        task_id = system.submit("tests/one", {})
        batch = doomed.batch()
        doomed.run_step(batch, batch["steps"][0])
        started = "SELECT started_at FROM tasker_step_execution_batch_steps"
        wait_until(lambda: system.value(started), "its start is known", on_fail=system.describe)
        system.orchestrator.kill()
        doomed.die()
    system.start_orchestrator()
    with OddWorker(system, [NOOP]) as heir:
        again = heir.batch()
        assert again["steps"][0]["metadata"]["attempt"] == 2
        heir.finish(again)
        system.wait_for_task(task_id, "complete")
    assert reasons(system) == ["session_lost"]
    waited = system.value(
        "SELECT extract(epoch FROM t.created_at - o.started_at)::float8"
        " FROM tasker_workflow_step_transitions t, tasker_orchestrators o WHERE t.event = 'await_retry'"
    )
    print(f"start of the new one to the orphan: {waited:.3f} s (lease 2 s)")
    assert waited >= 1.9, "a worker has a lease to come back"
    system.wait_for_verdicts()
    assert_all_credit_is_back(system)


def test_a_session_that_returns_without_a_batch_gets_it_again_unchanged(make_system: SystemFactory) -> None:
    """Published and never accepted when the orchestrator died: the same batch, not a new attempt."""
    system = make_system(settings=short(accept_timeout_ms=1500))
    assert system.orchestrator
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP], accepts=False) as worker:
        task_id = system.submit("tests/one", {})
        batch = worker.batch()
        system.orchestrator.kill()
        worker.accepts = True
        worker.heard.clear()
        system.start_orchestrator()
        again = worker.batch(2)
        assert (again["batch_id"], again["steps"]) == (batch["batch_id"], batch["steps"])
        assert again["epoch"] == 2
        wait_for_step(system, task_id, "in_progress", 1)
        worker.finish(again)
        system.wait_for_task(task_id, "complete")
    assert_first_attempts(system)
    assert_all_consistent(system)
