"""What one run cost: counters before and after, divided by what was done in between."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from tests.bench import figures
from tests.bench.processes import cpu_seconds, descendants, memory_mb
from tests.bench.system import System


@dataclass(frozen=True)
class Counters:
    """`transactions` counts those that wrote (each has cost a flush of the log), by the ids they took."""

    at: datetime.datetime
    transactions: int
    wal_bytes: int
    orchestrator: float
    postgres: float
    workers: float


def take_counters(system: System) -> Counters:
    row = system.connection.execute(
        "SELECT clock_timestamp(), pg_snapshot_xmax(pg_current_snapshot())::text::bigint,"
        " (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"
    ).fetchone()
    assert row is not None
    return Counters(
        at=row[0],
        transactions=row[1],
        wal_bytes=row[2],
        orchestrator=cpu_seconds([system.orchestrator.pid]),
        postgres=cpu_seconds(descendants(system.server.pid)),
        workers=cpu_seconds(pid for process in system.workers for pid in descendants(process.pid)),
    )


def per_step(before: Counters, after: Counters, steps: int) -> figures.Figures:
    """CPU milliseconds per step are CPU seconds per 1 000 steps."""
    found = {
        f"{part}_cpu_ms_per_step": (getattr(after, part) - getattr(before, part)) * 1000 / steps
        for part in ("orchestrator", "postgres", "workers")
    }
    found["commits_per_step"] = (after.transactions - before.transactions) / steps
    found["wal_bytes_per_step"] = (after.wal_bytes - before.wal_bytes) / steps
    return found


def memory(system: System) -> figures.Figures:
    return {
        "orchestrator_peak_mb": memory_mb(system.orchestrator.pid, "VmHWM"),
        "lane_backend_anonymous_mb": memory_mb(system.lane_backend(), "RssAnon"),
    }


def task_figures(system: System, first: int, last: int) -> figures.Figures:
    """Rates over the span from the first claim to the last result, and submit → complete of each task."""
    row = system.connection.execute(
        "SELECT count(*), extract(epoch FROM max(s.processed_at) - min(s.last_attempted_at))::float8,"
        " count(DISTINCT s.task_id) FROM tasker_workflow_steps s WHERE s.task_id BETWEEN %s AND %s",
        (first, last),
    ).fetchone()
    assert row is not None
    steps, seconds, tasks = row
    durations = system.connection.execute(
        "SELECT extract(epoch FROM completed_at - created_at)::float8 * 1000 FROM tasker_tasks"
        " WHERE task_id BETWEEN %s AND %s",
        (first, last),
    ).fetchall()
    return {
        "steps_per_s": steps / seconds,
        "tasks_per_s": tasks / seconds,
        "steps": steps,
        "seconds": seconds,
        **figures.percentiles((duration[0] for duration in durations), "task"),
    }


def check_outcome(system: System, first: int, last: int, allowed: tuple[str, ...] = ("complete",)) -> None:
    """A figure of tasks that failed would be about something else."""
    wrong = system.connection.execute(
        "SELECT state, count(*) FROM tasker_tasks WHERE task_id BETWEEN %s AND %s AND state <> ALL (%s)"
        " GROUP BY state",
        (first, last, list(allowed)),
    ).fetchall()
    if wrong:
        found = ", ".join(f"{count} {state}" for state, count in wrong)
        raise SystemExit(f"the workload's tasks {first} to {last} ended otherwise than they should: {found}")


def steps_per_turn(system: System, steps: int, since: datetime.datetime) -> float:
    """Mean size of the turns that claimed something."""
    turns = system.value(
        "SELECT count(DISTINCT turn) FROM tasker_step_execution_batches WHERE created_at >= %s", (since,)
    )
    return steps / max(turns, 1)
