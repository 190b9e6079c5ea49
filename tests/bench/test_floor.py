"""The floor writes what the product writes: same rows, same columns, same final state."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.bench import accounting, loaded, templates
from tests.bench.floor_runs import Floor
from tests.bench.server import Server
from tests.bench.system import System, Workers
from tests.support import procs

TASKS = 40
LENGTH = 4
STEPS = TASKS * LENGTH
BATCH_TABLES = (
    "tasker_step_execution_batches",
    "tasker_step_execution_batch_transitions",
)
LEDGER = "tasker_step_execution_batch_received_results"
# Written once per turn or once per second: not per step.
BESIDE = {"tasker_orchestrators", "tasker_workers"}

# What is the same in every run of a run-time table's columns: rows are counted by it.
SHAPES = {
    "tasker_tasks": "state, priority, shard IS NULL AS shard, open_steps, movable_steps, transition_count,"
    " completed_at IS NULL AS completed, updated_at > created_at AS updated, context::text",
    "tasker_workflow_steps": "name, state, ready_key, attempts, unstarted_attempts, retry_limit,"
    " remaining_parents, transition_count, next_attempt_at, backoff_request_seconds,"
    " last_attempted_at IS NULL AS attempted, processed_at IS NULL AS processed, results::text, error::text",
    "tasker_workflow_step_transitions": "sort_key, from_state, to_state, event, metadata::text",
    "tasker_task_transitions": "sort_key, from_state, to_state, event, metadata::text",
    "tasker_step_execution_batches": "handler_class, timeout_seconds, state, transition_count,"
    " partial_results_received = batch_size AS partials, final_completion_received, reconciliation_status,"
    " metadata::text, length(batch_uuid) AS uuid, length(session) AS session",
    "tasker_step_execution_batch_steps": "attempt, expected_handler_class, final_status, granted_at,"
    " started_at, reported_at IS NULL AS reported, reported_at = updated_at AS updated, metadata::text",
    LEDGER: "message_type, worker_id, status, execution_time_ms, disposition, processing_errors::text,"
    " batch_step_id IS NULL AS completion, session IS NULL AS session",
    "tasker_step_execution_batch_transitions": "sort_key, from_state, to_state, event_name, most_recent,"
    " metadata::text",
}


class Filled:
    """A database with the finished workload, and what was written to get there."""

    def __init__(self, connection: Any, rows: accounting.RowCounts, url: str):
        self.connection = connection
        self.rows = {name: counts for name, counts in rows.items() if name not in BESIDE}
        self.url = url
        self.batches = self.value("SELECT count(*) FROM tasker_step_execution_batches")

    def value(self, query: str) -> Any:
        return self.connection.execute(query).fetchone()[0]

    def shape(self, table: str) -> dict[tuple, int]:
        """How many rows of each kind, per batch where the number of batches is chance."""
        rows = self.connection.execute(f"SELECT {SHAPES[table]} FROM {table}").fetchall()
        kinds: dict[tuple, int] = {}
        for row in rows:
            kinds[row] = kinds.get(row, 0) + 1
        return kinds


@pytest.fixture(scope="module")
def filled(one_cluster: None) -> Iterator[dict[str, Filled]]:
    build = procs.build_dir()
    template = templates.chain("chain4", LENGTH)
    with Server() as server, System(server, build) as system:
        templates.register(system.connection, template)
        ids = templates.submit(system.connection, "chain4", TASKS)
        # Credit for every step, so that no child has to wait for it: that would be one update more.
        _figures, product = accounting.account(
            system, lambda: loaded.run_submitted(system, ids[0], ids[-1], Workers(capacity=200))
        )
        floor = Floor(server, build, template)
        floor.submit(TASKS)
        before = accounting.row_counts(server, floor.database, floor.connection)
        floor.run_submitted(turn=20)
        own = accounting.difference(before, accounting.row_counts(server, floor.database))
        yield {
            "product": Filled(system.connection, product, server.url("product")),
            "floor": Filled(floor.connection, own, server.url("floor")),
        }


def test_each_table_gets_as_many_rows(filled: dict[str, Filled]) -> None:
    product, floor = filled["product"], filled["floor"]
    assert set(product.rows) == set(floor.rows)
    for table in product.rows:
        for kind in ("inserted", "updated", "deleted"):
            theirs, ours = product.rows[table][kind], floor.rows[table][kind]
            if table in BATCH_TABLES and kind == "updated":
                # A batch whose messages come in two turns is updated twice; the floor's come in one.
                assert ours == floor.batches and product.batches <= theirs <= 2 * product.batches, table
            elif table in BATCH_TABLES:
                assert theirs / product.batches == ours / floor.batches, f"{table} {kind} per batch"
            elif table == LEDGER and kind == "inserted":
                assert theirs - product.batches == ours - floor.batches == STEPS
            else:
                assert theirs == ours, f"{table} {kind}"


@pytest.mark.parametrize("table", SHAPES)
def test_the_rows_end_alike(filled: dict[str, Filled], table: str) -> None:
    product, floor = filled["product"].shape(table), filled["floor"].shape(table)
    assert set(product) == set(floor)
    if table not in (*BATCH_TABLES, LEDGER):
        assert product == floor


def test_the_ledger_keeps_messages_of_the_same_length(filled: dict[str, Filled]) -> None:
    query = f"SELECT avg(length(raw_message_json::text)) FROM {LEDGER} WHERE message_type = 'partial_result'"
    assert abs(filled["product"].value(query) - filled["floor"].value(query)) < 4


def test_the_floors_database_passes_every_check_of_the_product(filled: dict[str, Filled]) -> None:
    for side in filled.values():
        done = procs.run(
            [procs.program("tasker"), "db", "check"],
            env={"TASKER_DATABASE_URL": side.url, "PATH": "/usr/bin:/bin"},
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_floor_says_what_it_misses(filled: dict[str, Filled]) -> None:
    command = [procs.program("tasker-bench-floor"), "rows", filled["floor"].url, "--task", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "no pending task is named nothing" in done.stderr


def test_a_statement_that_changes_other_rows_than_it_should_is_an_error(filled: dict[str, Filled]) -> None:
    floor = filled["floor"]
    templates.submit(floor.connection, "chain4", 2)
    # Steps that are not as they were submitted: somebody else was at work.
    floor.connection.execute(
        "UPDATE tasker_workflow_steps SET state = 'cancelled', ready_key = NULL WHERE state = 'pending'"
    )
    command = [procs.program("tasker-bench-floor"), "rows", floor.url, "--epoch", "9", "--warm-up", "0"]
    done = subprocess.run(command, capture_output=True, text=True, input="go\n\n")
    assert done.returncode == 1
    assert "claim_steps changed 0 rows instead of" in done.stderr
