"""Several lanes share work and workers; whatever stops them in the middle, nothing is lost or doubled."""

from __future__ import annotations

import signal

import pytest

from checks import assert_all_consistent, assert_first_attempts, assert_started_once
from parts import System, SystemFactory, tasker, wait_until
from workers import NOOP, PYTHON_PATTERNS, SLEEP, chain


OUT = "b.state IN ('published', 'executing')"


def start(make_system: SystemFactory, lanes: int) -> System:
    system = make_system(start=False)
    system.start_orchestrator(TASKER_LANES=str(lanes))
    return system


def lanes_with(system: System, condition: str) -> set[str]:
    """The lanes (as their batches' uuids say) that have batches for which this holds."""
    rows = system.rows(
        "SELECT DISTINCT substr(b.batch_uuid, 21, 1) AS lane FROM tasker_step_execution_batches b"
        f" WHERE {condition}"
    )
    return {row["lane"] for row in rows}


def wait_until_both_lanes_run(system: System) -> None:
    # A second batch of each, beside one that has reported: what is out then has run for a while.
    for what, condition in [("reported", "b.partial_results_received > 0"), ("are out", OUT)]:
        wait_until(
            lambda: lanes_with(system, condition) == {"0", "1"},
            f"batches of both lanes {what}",
            on_fail=system.describe,
        )


def assert_complete(system: System, tasks: int) -> None:
    assert system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == tasks
    assert_started_once(system)
    assert_all_consistent(system)


def test_two_lanes_finish_2000_tasks_and_each_does_its_share(make_system: SystemFactory) -> None:
    system = start(make_system, 2)
    system.load_template(chain("noops", NOOP, 2))
    system.python_worker("python", PYTHON_PATTERNS, "--handlers", NOOP, "--capacity", "50")
    system.submit_many("tests", "noops", [{}] * 2000)
    system.wait_for_end(120)
    assert system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == 2000
    assert_first_attempts(system)
    lanes = system.health()["lanes"]
    assert [lane["lane"] for lane in lanes] == [0, 1]
    assert sum(lane["steps_claimed"] for lane in lanes) == 4000
    assert min(lane["steps_claimed"] for lane in lanes) > 1000, lanes
    assert system.value("SELECT array_agg(DISTINCT state || ' ' || epoch) FROM tasker_orchestrators") == [
        "serving 1"
    ]
    told = tasker(system.url, "health").stdout
    assert "0  serving" in told and "1  serving" in told, told


@pytest.mark.parametrize("lanes", [2, 4])
def test_a_worker_of_capacity_one_serves_all_lanes_and_none_of_them_spins(
    make_system: SystemFactory, lanes: int
) -> None:
    system = start(make_system, lanes)
    system.load_template(chain("noops", NOOP, 3))
    system.python_worker("python", PYTHON_PATTERNS, "--handlers", NOOP, "--capacity", "1", "--prefetch", "1")
    system.submit_many("tests", "noops", [{}] * 60)
    system.wait_for_end()
    assert_first_attempts(system)
    told = system.health()["lanes"]
    assert min(lane["steps_claimed"] for lane in told) > 0, told
    # A claim, a report, a completion: each is a turn at most, and so is what a lane hears of another's.
    assert sum(lane["turns"] for lane in told) < 180 * (3 + lanes), told


def test_a_worker_that_dies_with_steps_of_both_lanes_loses_nothing(make_system: SystemFactory) -> None:
    system = start(make_system, 2)
    system.load_template(chain("naps", SLEEP, 2, handler_config={"sleep_ms": 200}))
    doomed = system.python_worker("doomed", PYTHON_PATTERNS, "--handlers", SLEEP, "--capacity", "16")
    system.submit_many("tests", "naps", [{}] * 100)
    wait_until_both_lanes_run(system)
    doomed.signal(signal.SIGKILL)
    assert doomed.wait() == -signal.SIGKILL
    system.python_worker("second", PYTHON_PATTERNS, "--handlers", SLEEP, "--capacity", "16")
    system.wait_for_end()
    assert system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == 100
    orphaned = "EXISTS (SELECT FROM tasker_step_execution_batch_steps s WHERE s.batch_id = b.batch_id"
    assert lanes_with(system, orphaned + " AND s.final_status = 'orphaned')") == {"0", "1"}
    assert system.value("SELECT max(attempts) FROM tasker_workflow_steps") == 2
    assert system.health()["io"]["credit_in_flight"] == 0


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 3)])
def test_kill_9_and_a_start_with_another_number_of_lanes(
    make_system: SystemFactory, before: int, after: int
) -> None:
    system = start(make_system, before)
    system.load_template(chain("naps", SLEEP, 3, handler_config={"sleep_ms": 30}))
    system.python_worker("python", PYTHON_PATTERNS, "--handlers", SLEEP, "--capacity", "16")
    system.submit_many("tests", "naps", [{}] * 200)
    if before == 2:
        wait_until_both_lanes_run(system)
    complete = "SELECT count(*) FROM tasker_workflow_steps WHERE state = 'complete'"
    wait_until(lambda: system.value(complete) > 100, "a part has run", on_fail=system.describe)
    assert system.orchestrator
    system.orchestrator.signal(signal.SIGKILL)
    assert system.orchestrator.wait() == -signal.SIGKILL
    assert system.open_tasks() > 0, "the tasks ended before the orchestrator did"

    system.start_orchestrator(TASKER_LANES=str(after))
    system.wait_for_end()
    assert_complete(system, 200)
    assert_first_attempts(system)
    rows = system.rows("SELECT lane, epoch, state FROM tasker_orchestrators ORDER BY lane")
    assert rows == [{"lane": lane, "epoch": 2, "state": "serving"} for lane in range(after)]
    assert system.health()["io"]["credit_in_flight"] == 0


def test_a_cancellation_reaches_the_deliveries_of_every_lane(make_system: SystemFactory) -> None:
    system = start(make_system, 2)
    system.load_template(chain("naps", SLEEP, 1, handler_config={"sleep_ms": 20_000}, timeout_seconds=60))
    system.python_worker("python", PYTHON_PATTERNS, "--handlers", SLEEP, "--capacity", "16")
    tasks = system.submit_many("tests", "naps", [{}] * 8)
    wait_until(lambda: len(system.effects()) == 8, "all of them run", on_fail=system.describe)
    assert lanes_with(system, OUT) == {"0", "1"}
    for task_id in tasks:
        tasker(system.url, "task", "cancel", str(task_id), "--reason", "not wanted any more")
    # Long before their sleep is over.
    ended = "SELECT count(*) FROM tasker_step_execution_batches WHERE state IN ('published', 'executing')"
    wait_until(lambda: system.value(ended) == 0, "every batch has ended", 10, system.describe)
    system.wait_for_verdicts()
    assert system.health()["io"]["credit_in_flight"] == 0


def test_one_lanes_lost_connection_does_not_hold_up_the_other(make_system: SystemFactory) -> None:
    system = start(make_system, 2)
    system.load_template(chain("naps", SLEEP, 3, handler_config={"sleep_ms": 20}))
    system.python_worker("python", PYTHON_PATTERNS, "--handlers", SLEEP, "--capacity", "16")
    system.submit_many("tests", "naps", [{}] * 200)
    wait_until_both_lanes_run(system)
    system.rows("SELECT pg_terminate_backend(backend_pids[1]) FROM tasker_orchestrators WHERE lane = 1")
    system.wait_for_end()
    assert_complete(system, 200)
    assert_first_attempts(system)
    assert [lane["reconnects"] for lane in system.health()["lanes"]] == [0, 1]
