"""Installations in several schemas of one database, and schemas that are none."""

from __future__ import annotations

import psycopg

from parts import ROOT, SystemFactory, tasker
from workers import NOOP, PYTHON_PATTERNS


def in_schema(url: str, schema: str) -> str:
    return psycopg.conninfo.make_conninfo(url, options=f"-csearch_path={schema}")


def test_two_schemas_of_one_database_are_two_installations(make_system: SystemFactory) -> None:
    red = make_system(start=False, empty=True)
    blue = make_system(start=False, empty=True)
    red.connection.execute(b"CREATE SCHEMA red; CREATE SCHEMA blue")
    whole = red.url
    red.url, blue.url = in_schema(whole, "red"), in_schema(whole, "blue")
    for system in (red, blue):
        system.reconnect()
        tasker(system.url, "migrate", "up")
        tasker(system.url, "template", "load", str(ROOT / "config" / "tasks"))
        system.start_orchestrator()
        system.python_worker("python", PYTHON_PATTERNS, "--handlers", NOOP)
    for system in (red, blue):
        system.wait_for_task(system.submit("bench/chain4", {}), "complete")
        assert system.value("SELECT count(*) FROM tasker_tasks") == 1
    # One that dies is replaced; the other goes on serving.
    assert red.orchestrator and blue.orchestrator
    red.orchestrator.kill()
    red.start_orchestrator()
    assert blue.orchestrator.running()
    for system in (red, blue):
        system.wait_for_task(system.submit("bench/chain4", {}), "complete")
        system.wait_for_verdicts()


def test_a_schema_of_the_roles_name_does_not_hide_the_installation(make_system: SystemFactory) -> None:
    system = make_system()
    assert system.orchestrator
    system.python_worker("python", PYTHON_PATTERNS, "--handlers", NOOP)
    system.connection.execute(b"DO $$ BEGIN EXECUTE format('CREATE SCHEMA %I', current_user); END $$")
    tasker(system.url, "migrate", "up")
    assert system.value("SELECT count(*) FROM pg_class WHERE relnamespace = current_user::regnamespace") == 0
    system.wait_for_task(system.submit("bench/single", {}), "complete")
    assert system.orchestrator.stop() == 0
    system.start_orchestrator()
    system.wait_for_task(system.submit("bench/single", {}), "complete")
