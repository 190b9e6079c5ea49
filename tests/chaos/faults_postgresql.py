"""Faults of PostgreSQL and of those who use it."""

from __future__ import annotations

import time

import psycopg

from tests.chaos.database import Away
from tests.chaos.fault_registry import Parameters, fault
from tests.chaos.world import World

# Workers follow a lower epoch once the higher one has been silent for long enough to make new sockets.
FOLLOW_S = 10.0


@fault(3, lambda rng: {"pause": round(rng.choice([0.0, rng.uniform(0, 2), rng.uniform(4, 8)]), 2)})
def stop_postgresql(world: World, parameters: Parameters) -> float:
    """Immediate stop, as in a power cut, and start again after the pause."""
    world.stop_server(parameters["pause"])
    return float(parameters["pause"]) + 2.0


@fault(1.5, lambda rng: {"after": [round(rng.uniform(0.02, 0.4), 3) for _ in range(rng.randint(1, 3))]})
def stop_postgresql_in_recovery(world: World, parameters: Parameters) -> float:
    """Stopped again while it recovers from the stop before."""
    world.stop_server(0.0)
    at = 0.3
    for pause in parameters["after"]:
        at += pause
        world.timeline.after(at, lambda: world.stop_server(0.0))
        at += 0.3
    return at + 2.0


@fault(3, lambda rng: {"share": round(rng.uniform(0.2, 1.0), 2)})
def terminate_backends(world: World, parameters: Parameters) -> float:
    """pg_terminate_backend for a random share of all connections but the one that asks."""
    try:
        world.database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = 'chaos' AND pid <> pg_backend_pid() AND random() < %s",
            parameters["share"],
        )
    except Away:
        pass
    return 1.0


FALL = """
    UPDATE tasker_orchestrators SET epoch = greatest(1, epoch - %s) WHERE epoch > 1
    RETURNING epoch"""


@fault(1, lambda rng: {"by": rng.randint(1, 6), "pause": round(rng.uniform(0, 3), 2)})
def falling_epoch(world: World, parameters: Parameters) -> float:
    """Both orchestrators die and their epoch is set back, as in a restored database. Workers go on."""
    for slot in world.orchestrators:
        slot.kill_and_wait()
        slot.away_until = time.monotonic() + parameters["pause"]
    try:
        fallen = world.database.rows(FALL, parameters["by"])
    except Away:
        return 0.0
    world.proofs["the epoch fell"] += bool(fallen)
    return float(parameters["pause"]) + FOLLOW_S


@fault(1, lambda rng: {"lock": rng.random() < 0.5, "seconds": round(rng.uniform(1, 3), 2)})
def idle_in_transaction(world: World, parameters: Parameters) -> float:
    """A session that forgot to commit: it holds a snapshot, and sometimes the row of a task."""
    try:
        session = psycopg.connect(world.url, connect_timeout=5, application_name="chaos idle")
        session.execute("SELECT count(*) FROM tasker_workflow_steps")
        if parameters["lock"]:
            session.execute(
                "SELECT 1 FROM tasker_tasks WHERE state IN ('pending', 'in_progress')"
                " ORDER BY task_id LIMIT 1 FOR UPDATE SKIP LOCKED"
            )
    except psycopg.Error:
        return 0.0
    world.timeline.after(parameters["seconds"], session.close)
    world.idle_sessions.append(session)
    return float(parameters["seconds"])
