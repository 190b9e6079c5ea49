"""What the database stands on: settings, encodings, read-only ones and silent servers, each used or named."""

from __future__ import annotations

import shutil
import signal
import socket
from pathlib import Path
from typing import Iterator

import psycopg
import pytest

from parts import Databases, System, SystemFactory, make_folder, tasker, wait_until
from tests.support import procs
from workers import NOOP, PYTHON_PATTERNS

FAILED = 1
SCHEMA = 3


def alter_database(system: System, setting: str) -> None:
    """Holds for every connection made from now on."""
    system.connection.execute(f"ALTER DATABASE {system.database} {setting}".encode())


# ---------------------------------------------------------------- settings


def test_settings_of_the_database_change_nothing(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    for setting in (
        "client_encoding = 'LATIN1'",
        "standard_conforming_strings = off",
        "quote_all_identifiers = on",
        "array_nulls = off",
        "transform_null_equals = on",
        "bytea_output = 'escape'",
        "DateStyle = 'SQL, DMY'",
        "IntervalStyle = 'iso_8601'",
        "TimeZone = 'Asia/Kolkata'",
        "extra_float_digits = -15",
        "default_transaction_isolation = 'serializable'",
        "statement_timeout = '10s'",
        "idle_session_timeout = '300ms'",
    ):
        alter_database(system, f"SET {setting}")
    system.start_orchestrator()
    system.python_worker("python", PYTHON_PATTERNS)
    words = {"value": 1, "n": "Zoë 日本 \\ ' \""}
    task = system.submit("patterns/diamond", words)
    system.wait_for_task(task, "complete")
    assert system.value("SELECT context FROM tasker_tasks WHERE task_id = %s", task) == words
    assert system.value("SELECT count(*) FROM tasker_rejected_messages") == 0
    assert system.orchestrator and "connection lost" not in system.orchestrator.output()


def test_the_encoding_of_the_environment_changes_nothing(
    make_system: SystemFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_system(start=False)
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    done = tasker(system.url, "task", "submit", "bench/single", "--context", '{"n": "Zoë"}')
    assert done.returncode == 0
    assert system.value("SELECT context->>'n' FROM tasker_tasks") == "Zoë"


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_of_another_encoding_is_refused(
    databases: Databases, make_system: SystemFactory, encoding: str
) -> None:
    system = make_system(start=False)
    name = f"{system.database}_{encoding.lower()}"
    databases.execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    databases.made.add(name)
    url = databases.url_of(name)
    said = tasker(url, "migrate", "up", code=FAILED).stderr
    assert encoding in said and "UTF8" in said
    process = system.start_orchestrator(ready=False, TASKER_DATABASE_URL=url)
    assert process.wait() == SCHEMA, process.tail()
    assert encoding in process.output() and "UTF8" in process.output()
    databases.drop(name)


# ---------------------------------------------------------------- read-only


def test_a_read_only_database_is_waited_for_by_name(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    alter_database(system, "SET default_transaction_read_only = on")
    process = system.start_orchestrator(ready=False)
    process.wait_for_log("is read-only: default_transaction_read_only is on .*database")
    assert process.running()
    assert "connection lost" not in process.output() and "not reachable" not in process.output()
    said = tasker(system.url, "task", "submit", "bench/single", code=FAILED).stderr
    assert "read-only" in said and "default_transaction_read_only" in said
    # What only reads works on.
    tasker(system.url, "task", "list")
    alter_database(system, "RESET default_transaction_read_only")
    system.wait_for_orchestrator()
    assert process.output().count("is read-only") < 20, "it waits longer and longer"


# ---------------------------------------------------------------- faults that are no lost connection


def test_a_statement_at_fault_is_named_and_does_not_spin(make_system: SystemFactory) -> None:
    system = make_system()
    assert system.orchestrator
    system.python_worker("python", PYTHON_PATTERNS, "--handlers", NOOP)
    system.connection.execute(
        b"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        b" $$ BEGIN RAISE EXCEPTION 'no such thing' USING ERRCODE = '42P01'; END $$;"
        b" CREATE TRIGGER refuse BEFORE UPDATE ON tasker_tasks FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    task = system.submit("bench/single", {})
    log = system.orchestrator.output
    refusals = "steps of a handler cannot be claimed"
    wait_until(lambda: log().count(refusals) >= 3, "it has tried again", on_fail=system.logs)
    assert "no such thing" in log() and "SQLSTATE 42P01" in log()
    assert "connection lost" not in log()
    # The pauses grow from a quarter of a second, so three tries are soon followed by few more.
    assert log().count(refusals) <= 8
    system.connection.execute(b"DROP TRIGGER refuse ON tasker_tasks")
    system.wait_for_task(task, "complete")


# ---------------------------------------------------------------- a server that is silent


@pytest.fixture
def silent_server() -> Iterator[tuple[Path, socket.socket]]:
    """A folder with a socket where the kernel accepts and nobody answers."""
    folder = make_folder("tasker-silent.")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / ".s.PGSQL.5432"))
        server.listen(8)
        server.settimeout(30 * procs.PATIENCE)
        yield folder, server
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_it_can_be_stopped_while_it_connects(
    make_system: SystemFactory, silent_server: tuple[Path, socket.socket], how: signal.Signals
) -> None:
    folder, server = silent_server
    system = make_system(start=False)
    url = psycopg.conninfo.make_conninfo(system.url, host=str(folder), port=5432, connect_timeout=300)
    process = system.start_orchestrator(ready=False, TASKER_DATABASE_URL=url)
    accepted, _ = server.accept()
    with accepted:
        process.signal(how)
        assert process.wait(10) == 0, process.tail()
