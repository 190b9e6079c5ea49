"""PostgreSQL dies, is away, or ends connections: the work waits, nothing is lost, and it goes on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import psycopg.sql
import pytest

from checks import assert_all_consistent, assert_first_attempts, assert_started_once
from fault_tools import SANITIZER_KIB, OddWorker, assert_all_credit_is_back, one_step, resident_kib, short
from parts import OwnServer, System, SystemFactory, wait_until
from workers import NOOP, PYTHON_PATTERNS, RUBY_PATTERNS, SLEEP, chain

TASKS = 150
STEPS = 3
DONE = "SELECT count(*) FROM tasker_workflow_steps WHERE state = 'complete'"


def put_under_load(system: System, sleep_ms: int = 20) -> None:
    system.load_template(chain("naps", SLEEP, STEPS, handler_config={"sleep_ms": sleep_ms}))
    ruby = system.ruby_worker("ruby", RUBY_PATTERNS, "--handlers", SLEEP, wait=False)
    system.python_worker("python", PYTHON_PATTERNS, "--handlers", SLEEP)
    system.wait_for_worker("ruby", ruby)
    system.submit_many("tests", "naps", [{}] * TASKS)
    wait_until(lambda: system.value(DONE) > TASKS // 4, "work goes on", on_fail=system.describe)


def assert_all_ended_well(system: System) -> None:
    system.wait_for_end()
    assert system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == TASKS
    assert_started_once(system)
    assert_first_attempts(system)
    assert_all_consistent(system)
    assert_all_credit_is_back(system)
    assert system.orchestrator and system.orchestrator.running()


def test_it_dies_again_during_the_recovery(own_server: OwnServer, make_system: SystemFactory) -> None:
    """Twice the orchestrator has just come back, and once it is in the middle of trying."""
    system = make_system(on=own_server)
    assert system.orchestrator
    put_under_load(system)
    for times in (1, 2):
        own_server.crash()
        lost = system.orchestrator.output
        wait_until(lambda: lost().count("database connection lost") >= times, "the loss is seen")
        own_server.start()
        wait_until(lambda: lost().count("database connection is back") >= times, "it is back", 30)
    own_server.crash()
    own_server.start()
    own_server.crash()
    own_server.start()
    system.reconnect()
    assert_all_ended_well(system)


def test_it_dies_during_the_orchestrators_own_start(
    own_server: OwnServer, make_system: SystemFactory
) -> None:
    """There are open batches to be read back when it goes, at several moments of the start."""
    system = make_system(on=own_server)
    assert system.orchestrator
    put_under_load(system)
    for moment in ("tasker", "epoch=", None):
        system.orchestrator.kill()
        process = system.start_orchestrator(ready=False)
        if moment:
            wait_until(lambda: moment in process.output() or not process.running(), "it has begun")
        own_server.crash()
        own_server.start()
        system.reconnect()
        system.wait_for_orchestrator()
    assert_all_ended_well(system)


def test_a_longer_absence_drops_what_does_not_fit_and_memory_stays_bounded(
    own_server: OwnServer, make_system: SystemFactory
) -> None:
    """A tiny queue to the database: reports beyond it are dropped unacknowledged and sent again."""
    settings = {**short(lease_ms=60000), "step_execution": {"result_queue_hwm": 5}}
    system = make_system(on=own_server, settings=settings)
    assert system.orchestrator
    steps = 100
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP], capacity=200) as worker:
        system.submit_many("tests", "one", [{}] * steps)

        def all_here() -> bool:
            return sum(len(worker.batch(n + 1)["steps"]) for n in range(len(worker.batch_frames))) == steps

        wait_until(all_here, "all steps are out", on_fail=system.describe)
        own_server.crash()
        # What is said first makes the lane find out that its connection is gone.
        batches = [worker.batch(n + 1) for n in range(len(worker.batch_frames))]
        frames = reports_of(worker, batches)
        worker.send(next(iter(frames.values())))
        system.orchestrator.wait_for_log("database connection lost")
        before = resident_kib(system.orchestrator.pid)
        for _ in range(60):
            for frame in frames.values():
                worker.send(frame)
        received = len(frames) * 60
        wait_until(lambda: system.health()["io"]["reports_received"] >= received, "all are read", 60)
        health = system.health()
        grown = resident_kib(system.orchestrator.pid) - before
        print(f"{received} reports of 20 KiB while it was away: {grown} KiB more, {health['io']}")
        assert health["io"]["reports_dropped"] > received - 50 and worker.acked == []
        assert grown < 32 * 1024 + SANITIZER_KIB, "memory must not grow with what is sent again"
        own_server.start()
        system.reconnect()

        def again_until_all_are_acked() -> bool:
            for key in frames.keys() - set(worker.acked):
                worker.send(frames[key])
            return frames.keys() <= set(worker.acked)

        wait_until(again_until_all_are_acked, "every report is acked", 60, system.describe)
        system.wait_for_end()
    assert system.value(DONE) == steps
    applied = (
        "SELECT count(*) FROM tasker_step_execution_batch_received_results WHERE disposition = 'applied'"
    )
    assert system.value(applied) == steps
    system.wait_for_verdicts()
    assert_first_attempts(system)
    assert_all_credit_is_back(system)


def reports_of(worker: OddWorker, batches: list[dict[str, Any]]) -> dict[tuple[str, int], bytes]:
    """Every report that these batches need, as frames by batch and sequence; none is sent."""
    worker.muted = True
    frames = {}
    for batch in batches:
        name, count = batch["batch_id"], len(batch["steps"])
        for sequence, step in enumerate(batch["steps"], 1):
            frames[name, sequence] = worker.partial(batch, step, sequence, output={"big": "x" * 20_000})
        frames[name, count + 1] = worker.completion(batch, count + 1, ["completed"] * count)
    worker.muted = False
    return frames


@pytest.mark.parametrize("whose", ["lane", "caretaker", "wake"])
def test_a_terminated_backend_costs_nothing_but_a_moment(make_system: SystemFactory, whose: str) -> None:
    system = make_system()
    put_under_load(system)
    ended = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE %s"
    )
    for wave in range(1, 4):
        name = f"tasker-orchestrator%{whose}%"
        wait_until(lambda: system.value(ended, name), f"the {whose} has a connection", on_fail=system.logs)
        more = system.value(DONE) + 20
        wait_until(
            lambda: system.value(DONE) >= min(more, TASKS * STEPS), "work goes on", on_fail=system.describe
        )
    assert_all_ended_well(system)


def test_a_statement_time_out_of_the_database_does_not_lose_anything(make_system: SystemFactory) -> None:
    """Set by an administrator for everybody, so short that a turn now and then exceeds it."""
    system = make_system(start=False)
    system.connection.execute(f"ALTER DATABASE {system.database} SET statement_timeout = '60ms'".encode())
    system.start_orchestrator()
    put_under_load(system)
    assert_all_ended_well(system)


def test_a_submitter_that_hangs_at_its_commit_only_delays(
    own_server: OwnServer, make_system: SystemFactory
) -> None:
    """One transaction that notifies commits at a time: to wait for another one is no locked task."""
    system = make_system(on=own_server, settings=short(resend_ms=200), start=False)
    system.load_template(one_step("one", NOOP))
    with psycopg.connect(system.url, autocommit=True) as console:
        # Only who asks for it waits for a standby, and there is none.
        console.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET synchronous_commit = local").format(
                psycopg.sql.Identifier(console.info.dbname)
            )
        )
        console.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        console.execute("SELECT pg_reload_conf()")
    system.start_orchestrator()
    with OddWorker(system, [NOOP]) as worker, psycopg.connect(system.url, autocommit=True) as submitter:
        task = system.submit("tests/one", {})
        batch = worker.batch()
        submitter.execute("CREATE TABLE somebodys (id int)")
        submitter.execute("SET synchronous_commit = on")
        hanging = "WITH theirs AS (INSERT INTO somebodys VALUES (1)) SELECT pg_notify('tasker_wake', 'scan')"
        with ThreadPoolExecutor(1) as pool:
            commit = pool.submit(submitter.execute, hanging)
            try:
                waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
                wait_until(lambda: system.value(waits), "it waits for the standby")
                worker.finish(batch)
                # Longer than lock_timeout, in one go: who gives up and begins again never gets there.
                patient = (
                    "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'object'"
                    " AND clock_timestamp() - waitstart > interval '600 ms'"
                )
                wait_until(lambda: system.value(patient), "the turn waits for it", on_fail=system.describe)
            finally:
                submitter.cancel()
            commit.result()
        system.wait_for_task(task, "complete")
    assert system.health()["listener"]["messages_deferred"] == 0
    assert_first_attempts(system)
    assert_all_consistent(system)
