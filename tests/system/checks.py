"""What tests say about the rows of a database and about the handlers' side-effect log."""

from __future__ import annotations

from collections import Counter
from typing import Any

from parts import System

# Everything a report may change. Not the lists of workers and orchestrators: heartbeats change those.
TABLES = (
    "tasker_tasks",
    "tasker_workflow_steps",
    "tasker_task_transitions",
    "tasker_workflow_step_transitions",
    "tasker_task_identities",
    "tasker_step_execution_batches",
    "tasker_step_execution_batch_steps",
    "tasker_step_execution_batch_transitions",
    "tasker_step_execution_batch_received_results",
    "tasker_dead_letters",
    "tasker_rejected_messages",
)
LEDGER = "tasker_step_execution_batch_received_results"
REJECTED = "tasker_rejected_messages"

Rows = dict[str, list[Any]]


def snapshot(system: System) -> Rows:
    """Every row of every table, as JSON, in one consistent look."""
    with system.connection.transaction():
        system.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return {
            table: [
                row["line"]
                for row in system.rows(f"SELECT to_jsonb(t) AS line FROM {table} t ORDER BY t::text")
            ]
            for table in TABLES
        }


def added(system: System, before: Rows, table: str) -> list[Any]:
    """The rows that are new in `table`; fails when anything else in any table differs."""
    after = snapshot(system)
    for name in TABLES:
        kept = [row for row in after[name] if row in before[name]]
        assert kept == before[name], f"{name} changed:\n{before[name]}\n{after[name]}"
        if name != table:
            assert after[name] == before[name], f"{name} changed:\n{before[name]}\n{after[name]}"
    return [row for row in after[table] if row not in before[table]]


def assert_unchanged(system: System, before: Rows) -> None:
    assert added(system, before, LEDGER) == []


def assert_started_once(system: System) -> None:
    """Every attempt that did not come back unstarted was started by exactly one handler."""
    starts = Counter((e["step_id"], e["attempt"]) for e in system.effects() if e["event"] == "start")
    twice = {key: count for key, count in starts.items() if count > 1}
    assert not twice, f"started more than once: {twice}"
    rows = system.rows(
        "SELECT workflow_step_id, attempts, unstarted_attempts FROM tasker_workflow_steps"
        " WHERE state = 'complete'"
    )
    per_step = Counter(step_id for step_id, _ in starts)
    for row in rows:
        counted = row["attempts"] - row["unstarted_attempts"]
        assert (
            per_step[row["workflow_step_id"]] == counted
        ), f"{row}: started {per_step[row['workflow_step_id']]} times"


def assert_first_attempts(system: System) -> None:
    """Nothing that happened cost a step an attempt."""
    spent = system.rows("SELECT * FROM tasker_workflow_steps WHERE attempts - unstarted_attempts <> 1")
    assert not spent, spent


def assert_all_consistent(system: System) -> None:
    system.wait_for_verdicts()
    odd = system.rows(
        "SELECT * FROM tasker_step_execution_batches WHERE reconciliation_status <> 'consistent'"
    )
    assert not odd, odd
