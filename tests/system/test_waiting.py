"""`--wait`, `task wait`, `submit`: what somebody who waits hears, also when the database goes away."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
from parts import TASKER, System, SystemFactory, tasker, wait_until
from workers import ECHO, PYTHON_PATTERNS, SLEEP, chain

from tests.support import procs


def waiter(system: System, folder: Path, *arguments: str) -> procs.Process:
    command = [TASKER, *arguments, "--database", system.url]
    return procs.Process(command, folder / "waiter.log")


def found_waiting(system: System, process: procs.Process) -> list[int]:
    """Both connections of the waiter, once it listens and has looked at the tasks."""
    with psycopg.connect(system.url, autocommit=True) as connection:

        def pids() -> list[int]:
            rows = connection.execute(
                "SELECT pid, query FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'tasker command line' AND state = 'idle'"
            ).fetchall()
            looked = any("tasker_workflow_steps" in query or "explain" in query for _, query in rows)
            return [pid for pid, _ in rows] if looked and len(rows) == 2 else []

        found: list[int] = wait_until(pids, "the waiter listens", on_fail=process.output)
        return found


def cut_off(connection: psycopg.Connection, pids: list[int]) -> None:
    for pid in pids:
        connection.execute("SELECT pg_terminate_backend(%s)", [pid])


def test_waiting_goes_on_when_the_connection_is_lost(make_system: SystemFactory, tmp_path: Path) -> None:
    system = make_system()
    system.load_template(chain("naps", ECHO, 1))
    task = system.submit("tests/naps", {})
    process = waiter(system, tmp_path, "task", "wait", str(task))
    try:
        with psycopg.connect(system.url, autocommit=True) as connection:
            cut_off(connection, found_waiting(system, process))
        process.wait_for_output("the database answers again")
        system.python_worker("echo", PYTHON_PATTERNS, "--handlers", ECHO)
        assert process.wait(30) == 0, process.output()
        assert "complete" in process.output()
    finally:
        process.kill()


def test_a_waiter_that_gives_up_says_that_the_task_goes_on(
    make_system: SystemFactory, tmp_path: Path
) -> None:
    system = make_system()
    system.load_template(chain("naps", ECHO, 1))
    task = system.submit("tests/naps", {})
    process = waiter(system, tmp_path, "task", "wait", str(task), "--timeout", "4")
    try:
        with psycopg.connect(system.url) as connection:
            name = connection.info.dbname
        somewhere_else = psycopg.conninfo.make_conninfo(system.url, dbname="postgres")
        with psycopg.connect(somewhere_else, autocommit=True) as other:
            allow = f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS '
            waiting = found_waiting(system, process)
            # Nobody can connect any more, as while a server starts.
            other.execute(f"{allow} false".encode())
            try:
                cut_off(other, waiting)
                assert process.wait(60) == 3, process.output()
            finally:
                other.execute(f"{allow} true".encode())
        assert "the tasks go on" in process.output()
        assert f"tasker task wait {task}" in process.output()
        assert "repeat" not in process.output()
    finally:
        process.kill()


def test_who_waits_for_nobody_is_told_why(make_system: SystemFactory, tmp_path: Path) -> None:
    system = make_system()
    system.load_template(chain("naps", SLEEP, 1, handler_config={"sleep_ms": 1}))
    process = waiter(system, tmp_path, "task", "submit", "tests/naps", "--wait", "--json")
    try:
        process.wait_for_output(f"no worker serves {SLEEP} in namespace tests")
        system.python_worker("sleep", PYTHON_PATTERNS, "--handlers", SLEEP)
        assert process.wait(30) == 0, process.output()
    finally:
        process.kill()


def test_submitting_says_who_is_missing(make_system: SystemFactory) -> None:
    system = make_system()
    system.load_template(chain("naps", SLEEP, 1, handler_config={"sleep_ms": 1}))
    done = tasker(system.url, "task", "submit", "tests/naps", "--json")
    assert json.loads(done.stdout)["task_id"] > 0
    assert f"no worker serves {SLEEP} (namespace tests) right now" in done.stderr
    system.python_worker("sleep", PYTHON_PATTERNS, "--handlers", SLEEP)
    wait_until(
        lambda: tasker(system.url, "task", "submit", "tests/naps", "--json").stderr == "",
        "nothing is missing once a worker serves the handler",
    )
