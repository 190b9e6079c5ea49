"""Old tasks are dropped in ranges while work goes on, and only they."""

from __future__ import annotations

import json
from typing import Any

from checks import assert_all_consistent
from parts import System, SystemFactory, tasker, wait_until
from workers import NOOP, PYTHON_PATTERNS, chain

RETENTION = {"retention": {"days": 1, "partition_rows": 200, "check_interval_ms": 200}}
WAVE = 100


def ended(system: System, last: int) -> bool:
    """Every task up to this one, except those that nobody serves."""
    query = (
        "SELECT count(*) FROM tasker_tasks t WHERE t.task_id <= %s AND t.state <> 'complete'"
        " AND NOT EXISTS (SELECT FROM tasker_workflow_steps s"
        " WHERE s.task_id = t.task_id AND s.handler_class LIKE 'Nobody%%')"
    )
    return system.value(query, last) == 0


def grow_old(system: System, last: int) -> None:
    """As if every task up to this one, and its batches, were of the day before yesterday."""
    system.connection.execute(
        "UPDATE tasker_tasks SET created_at = created_at - interval '2 days', updated_at = updated_at -"
        " interval '2 days', completed_at = completed_at - interval '2 days' WHERE task_id <= %s",
        (last,),
    )
    system.connection.execute(
        "UPDATE tasker_step_execution_batches SET created_at = created_at - interval '2 days', updated_at ="
        " updated_at - interval '2 days' WHERE batch_id IN (SELECT bs.batch_id FROM tasker_workflow_steps s"
        " JOIN tasker_step_execution_batch_steps bs USING (workflow_step_id) WHERE s.task_id <= %s)",
        (last,),
    )


def in_closed_ranges(system: System, axis: str, table: str) -> bool:
    """Whether new ids fall behind all rows there are: what is old and what is young do not share a range."""
    query = (
        f"SELECT NOT EXISTS (SELECT FROM tasker_partitions('{axis}') p WHERE p.place = 1"
        f" AND (p.high IS NULL OR p.high > tasker_last_id('{axis}') + 1)"
        f" AND coalesce(p.low, 0) <= (SELECT coalesce(max({axis}), -1) FROM {table}))"
    )
    return bool(system.value(query))


def partitions(system: System, axis: str) -> list[dict[str, Any]]:
    done = tasker(system.url, "--config", str(system.config), "db", "retention", "--json")
    return [row for row in json.loads(done.stdout)["partitions"] if row["axis"] == axis]


def count(system: System, table: str, last: int) -> int:
    return int(system.value(f"SELECT count(*) FROM {table} WHERE task_id <= %s", last))


def test_old_tasks_go_while_work_goes_on(make_system: SystemFactory) -> None:
    system = make_system(settings=RETENTION)
    system.load_template(chain("short", NOOP, 2))
    system.load_template(chain("stuck", "Nobody::Handler", 1))
    system.python_worker("python", PYTHON_PATTERNS)
    (stuck,) = system.submit_many("tests", "stuck", [{}])
    old = system.submit_many("tests", "short", [{"n": n} for n in range(4 * WAVE)])
    wait_until(lambda: ended(system, old[-1]), "the first tasks have ended", on_fail=system.describe)
    system.wait_for_verdicts()
    grow_old(system, old[-1])
    for axis, table in (("task_id", "tasker_tasks"), ("batch_id", "tasker_step_execution_batches")):
        what = f"the ranges of old {axis}s are closed"
        wait_until(lambda: in_closed_ranges(system, axis, table), what, on_fail=system.describe)

    young: list[int] = []

    def only_the_stuck_one_is_left() -> bool:
        if len(young) < 20 * WAVE:
            young.extend(system.submit_many("tests", "short", [{}] * WAVE))
        return count(system, "tasker_tasks", old[-1]) == 1

    wait_until(only_the_stuck_one_is_left, "the old tasks are dropped", 60, system.describe)
    wait_until(lambda: ended(system, young[-1]), "the young tasks have ended", on_fail=system.describe)
    system.wait_for_verdicts()
    for table in ("tasker_workflow_steps", "tasker_task_transitions", "tasker_workflow_step_transitions"):
        assert count(system, table, old[-1]) == 1, table
    old_batches = (
        "SELECT count(*) FROM tasker_step_execution_batches WHERE created_at < now() - interval '1 day'"
    )
    wait_until(lambda: system.value(old_batches) == 0, "their batches are dropped", 60, system.describe)

    assert system.value("SELECT count(*) FROM tasker_tasks WHERE task_id = ANY (%s)", young) == len(young)
    assert_all_consistent(system)
    shown = tasker(system.url, "task", "show", str(old[0]), code=4)
    assert f"no task {old[0]}" in shown.stderr, shown.stderr
    assert (
        json.loads(tasker(system.url, "task", "show", str(young[0]), "--json").stdout)["state"] == "complete"
    )
    assert json.loads(tasker(system.url, "task", "show", str(stuck), "--json").stdout)["state"] == "pending"
    for axis in ("task_id", "batch_id"):
        bounds = partitions(system, axis)
        assert len(bounds) >= 2 and bounds[-1]["high"] is None, bounds
        assert all(a["high"] <= b["low"] for a, b in zip(bounds, bounds[1:])), bounds


def test_the_command_line_does_a_pass_while_no_orchestrator_runs(make_system: SystemFactory) -> None:
    system = make_system(settings=RETENTION)
    system.load_template(chain("short", NOOP, 1))
    worker = system.python_worker("python", PYTHON_PATTERNS)
    old = system.submit_many("tests", "short", [{}] * (3 * WAVE))
    system.wait_for_end()
    system.wait_for_verdicts()
    assert worker.stop() == 0 and system.orchestrator and system.orchestrator.stop() == 0
    grow_old(system, old[-1])
    command = ("--config", str(system.config), "db", "retention")
    assert "kept for 1 day" in tasker(system.url, *command).stdout
    assert count(system, "tasker_tasks", old[-1]) == 3 * WAVE, "looking changes nothing"
    done = json.loads(tasker(system.url, *command, "--run", "--json").stdout)
    assert "range_dropped" in [action["what"] for action in done["actions"]], done
    assert count(system, "tasker_tasks", old[-1]) == 0
    system.start_orchestrator()
    system.python_worker("again", PYTHON_PATTERNS)
    system.submit_many("tests", "short", [{}] * 10)
    system.wait_for_end()
