"""Gathers from a system at rest what the checker looks at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.chaos import checker, effect_checks, effects, recovery
from tests.chaos.checker import Footprint, StepFacts, Violation
from tests.chaos.database import Database, Row
from tests.chaos.load import Load
from tests.chaos.recovery import Disturbance, Kill, Sample
from tests.chaos.slots import CRASH_WORDS
from tests.chaos.world import World

STEPS = """
    SELECT workflow_step_id, task_id, name, state, attempts, unstarted_attempts, on_orphan, claim_first,
    results, error ->> 'error_code' AS error_code
    FROM tasker_workflow_steps"""
HISTORY = """
    SELECT workflow_step_id, from_state, to_state, event, metadata, created_at
    FROM tasker_workflow_step_transitions ORDER BY workflow_step_id, sort_key"""
DELIVERIES = """
    SELECT s.workflow_step_id, s.attempt, s.granted_at, s.reported_at, s.final_status, s.metadata, b.session,
        b.batch_uuid, b.state, b.epoch, b.created_at
    FROM tasker_step_execution_batch_steps s JOIN tasker_step_execution_batches b USING (batch_id)
    ORDER BY s.workflow_step_id, s.attempt"""
REPORTS = """
    SELECT s.workflow_step_id, s.attempt, r.status,
        -- Only failures are looked into: an output may hold what cannot be read.
        CASE WHEN r.status = 'failed'
            THEN coalesce((r.raw_message_json -> 'error' ->> 'handler_stopped')::boolean, true)
            ELSE true END AS stopped
    FROM tasker_step_execution_batch_received_results r
    JOIN tasker_step_execution_batch_steps s ON s.batch_id = r.batch_id AND s.id = r.batch_step_id
    WHERE r.disposition = 'applied' AND r.message_type = 'partial_result'"""
# An epoch may fall, so the next one is another one.
NEXT_EPOCH = """
    SELECT extract(epoch FROM min(b.created_at)) - %s FROM tasker_step_execution_batches b
    WHERE b.created_at > to_timestamp(%s)
        AND b.epoch <> (SELECT epoch FROM tasker_step_execution_batches
                        WHERE created_at <= to_timestamp(%s)
                        ORDER BY created_at DESC, batch_id DESC LIMIT 1)"""
# A retry that is due within this is waited for, later ones (an operator's tenth retry) are not.
RETRY_SOON_S = 15.0
OPEN_TASKS = "SELECT task_id FROM tasker_tasks WHERE state IN ('pending', 'in_progress')"
OPEN_STEPS = """
    SELECT s.task_id, s.state, s.remaining_parents, s.next_attempt_at
    FROM tasker_workflow_steps s JOIN tasker_tasks t USING (task_id)
    WHERE t.state IN ('pending', 'in_progress')
        AND s.state IN ('pending', 'in_progress', 'waiting_for_retry')"""
SESSIONS = "SELECT session, worker_id, host, state, credit_limit FROM tasker_workers"
OPEN_BATCHES = """
    SELECT batch_id, batch_uuid, state, session, created_at FROM tasker_step_execution_batches
    WHERE state IN ('created', 'published', 'executing')"""


def read_steps(database: Database) -> dict[int, StepFacts]:
    steps = {row["workflow_step_id"]: StepFacts(row) for row in database.rows(STEPS)}
    for row in database.rows(HISTORY):
        steps[row["workflow_step_id"]].history.append(row)
    for row in database.rows(DELIVERIES):
        steps[row["workflow_step_id"]].deliveries.append(row)
    for row in database.rows(REPORTS):
        steps[row["workflow_step_id"]].reports.append(row)
    return steps


def measure_recovery(
    world: World, steps: dict[int, StepFacts], disturbances: list[Disturbance]
) -> tuple[list[Sample], list[Sample]]:
    """(of orchestrators, of workers)"""
    orchestrators: list[Sample] = []
    workers: list[Sample] = []
    for kill in world.kills:
        seconds = (
            _until_published(world.database, kill) if kill.orchestrator else until_elsewhere(steps, kill)
        )
        alone = seconds is not None and recovery.is_alone(kill, seconds, disturbances)
        (orchestrators if kill.orchestrator else workers).append(Sample(kill, seconds, alone))
    return orchestrators, workers


def _until_published(database: Database, kill: Kill) -> float | None:
    """From the kill to the first batch of the next epoch."""
    seconds = database.value(NEXT_EPOCH, kill.at, kill.at, kill.at)
    return None if seconds is None else float(seconds)


def until_elsewhere(steps: dict[int, StepFacts], kill: Kill) -> float | None:
    """From the kill until the last of the steps it held was claimed again, or was decided upon for good."""
    times = []
    for step_id, attempt in kill.in_hand:
        segments = steps[step_id].after_claim() if step_id in steps else {}
        decision = segments.get(attempt, [])[1:]
        if decision and decision[0]["to_state"] == "complete":
            continue  # its report was on the way already
        # What ended in error was decided upon then, whenever an operator takes it up again.
        in_error = bool(decision) and decision[0]["to_state"] == "error"
        transitions = decision if in_error else segments.get(attempt + 1, decision)
        if transitions:
            times.append(transitions[0]["created_at"].timestamp() - kill.at)
    late = [seconds for seconds in times if seconds > 0]
    return max(late) if late else None


def footprint(world: World) -> Footprint | None:
    """What the serving orchestrator holds now."""
    slot = world.serving()
    if slot is None or slot.pid is None:
        return None
    folder = Path("/proc") / str(slot.pid)
    try:
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        descriptors = len(list((folder / "fd").iterdir()))
    except OSError:
        return None
    connections = world.database.value(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        " AND application_name LIKE 'tasker%%' AND application_name <> 'tasker command line'"
    )
    memory = int(status["VmRSS"].split()[0]) / 1024
    return Footprint(memory, descriptors, int(status["Threads"]), int(connections))


def check_everything(
    world: World, load: Load, steps: dict[int, StepFacts], before: Footprint | None
) -> list[Violation]:
    """All violations, with what is known of them."""
    database = world.database
    now = float(database.value("SELECT extract(epoch FROM clock_timestamp())"))
    tasks = database.rows("SELECT task_id, state, initiator FROM tasker_tasks")
    ids = [row["task_id"] for row in tasks]
    log, bad = effects.parse(world.effects.read_text().splitlines())
    edges = [
        (row["from_step_id"], row["to_step_id"])
        for row in database.rows("SELECT from_step_id, to_step_id FROM tasker_workflow_step_edges")
    ]
    serving = world.serving()
    found = [
        *checker.accepted_exist(load.accepted, ids),
        *checker.keys_name_one_task(load.accepted),
        *checker.created_only_what_was_submitted(load.accepted, ids),
        *checker.all_ended(tasks, open_steps(database), now, lambda task_id: explain(world, task_id)),
        *checker.nothing_in_flight(world.health(serving) if serving else None, database.rows(OPEN_BATCHES)),
        *effect_checks.started_once(log),
        *effect_checks.started_what_was_claimed(steps, log),
        *effect_checks.unstarted_is_true(steps, log),
        *effect_checks.absence_is_true(steps, log),
        *effect_checks.no_second_start_by_itself(steps, log),
        *effect_checks.granted_before_start(steps, log),
        *effect_checks.complete_has_run(steps, log),
        *effect_checks.parents_first(steps, edges, log),
        *effect_checks.keys_are_stable(log),
        *checker.right_values(load.accepted, steps),
        *checker.too_large_ends_alone(load.accepted, steps, log),
        *checker.sessions_within_limits(database.rows(SESSIONS)),
        *checker.database_checks(database_check(world)),
    ]
    after = footprint(world)
    if before is not None and after is not None:
        found += checker.back_to_baseline(before, after)
    for slot in world.slots:
        text = slot.log.read_text(errors="replace") if slot.log.exists() else ""
        found += checker.crash_words(slot.name, text, CRASH_WORDS)
    found += [Violation("exit", text) for text in world.unexpected]
    found += [Violation("log", "a line of the side-effect log cannot be read", bad[:5])] if bad else []
    return found


def open_steps(database: Database) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in database.rows(OPEN_STEPS):
        found.setdefault(row["task_id"], []).append(row)
    return found


def busy_tasks(database: Database) -> int:
    """How many tasks are open and do not just wait for a retry that is due in more than RETRY_SOON_S."""
    now = float(database.value("SELECT extract(epoch FROM clock_timestamp())"))
    steps = open_steps(database)
    open_tasks = database.rows(OPEN_TASKS)
    return sum(
        not checker.waits_for_its_time(steps.get(row["task_id"], []), now + RETRY_SOON_S)
        for row in open_tasks
    )


def database_check(world: World) -> dict[str, Any]:
    done = world.tasker("db", "check", "--json", check=False, limit=120)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
        answer["checks"]
    except (ValueError, KeyError):
        raise RuntimeError(
            f"tasker db check exited with {done.returncode}: {done.stdout}{done.stderr}"
        ) from None
    return answer


def explain(world: World, task_id: int) -> str:
    """What the product itself says, or the rows where it cannot say."""
    done = world.tasker("task", "explain", str(task_id), check=False)
    if done.returncode == 0:
        return str(done.stdout).strip()
    rows = world.database.rows(
        "SELECT name, state, attempts, ready_key, next_attempt_at FROM tasker_workflow_steps"
        " WHERE task_id = %s AND state NOT IN ('complete', 'cancelled') ORDER BY workflow_step_id LIMIT 5",
        task_id,
    )
    return "; ".join(str(row) for row in rows)
