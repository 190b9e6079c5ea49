"""How the orchestrator starts, and when and how it refuses to."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from parts import OwnServer, Process, System, SystemFactory, tasker, wait_until
from workers import NOOP, PYTHON_PATTERNS

BAD_SETTINGS = 2
SCHEMA = 3


def refused(system: System, code: int, *words: str, **extra: str) -> str:
    """Starts an orchestrator that must end by itself with this exit code and name these words."""
    process = system.start_orchestrator(ready=False, **extra)
    assert process.wait() == code, process.tail()
    said = process.output()
    missing = [word for word in words if word not in said]
    assert not missing, f"the message does not name {missing}:\n{said}"
    return said


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
@pytest.mark.parametrize("part", ["steps", "results", "command"])
def test_an_endpoint_in_use_is_refused_and_its_owner_goes_on(
    make_system: SystemFactory, transport: str, part: str
) -> None:
    first = make_system(transport)
    second = make_system(transport, start=False)
    own = second.endpoints[part]
    second.endpoints[part] = first.endpoints[part]
    refused(second, BAD_SETTINGS, first.endpoints[part], "in use", f"TASKER_{part.upper()}_ENDPOINT")

    first.python_worker("python", PYTHON_PATTERNS)
    first.wait_for_task(first.submit("bench/chain4", {}), "complete")
    first.wait_for_verdicts()
    # Nothing of the one that was refused stays in the way of a later start.
    second.endpoints[part] = own
    second.start_orchestrator()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_second_orchestrator_on_the_same_database_waits_as_its_standby(
    make_system: SystemFactory, how: signal.Signals
) -> None:
    system = make_system()
    assert system.orchestrator
    elsewhere = {
        f"TASKER_{part}_ENDPOINT": f"ipc://{system.folder}/second-{part}"
        for part in ("STEPS", "RESULTS", "COMMAND")
    }
    serving = system.orchestrator
    second = system.start_orchestrator(ready=False, **elsewhere)
    system.orchestrator = serving
    second.wait_for_log("tasker-orchestrator standby")
    assert f"pid {serving.pid}" in second.output(), "it names the one that serves"
    system.python_worker("python", PYTHON_PATTERNS, "--handlers", NOOP)
    system.wait_for_task(system.submit("bench/single", {}), "complete")
    second.signal(how)
    assert second.wait() == (0 if how is signal.SIGTERM else -signal.SIGKILL), second.tail()
    system.wait_for_task(system.submit("bench/single", {}), "complete")
    system.wait_for_verdicts()
    assert system.value("SELECT epoch FROM tasker_orchestrators") == 1


def test_a_stale_socket_file_of_a_killed_orchestrator_is_no_obstacle(make_system: SystemFactory) -> None:
    system = make_system()
    assert system.orchestrator
    system.orchestrator.kill()
    assert (system.folder / "steps").exists()
    system.start_orchestrator()
    assert system.health()["ok"] is True


def test_a_missing_schema_is_refused_with_the_command_that_helps(make_system: SystemFactory) -> None:
    system = make_system(start=False, empty=True)
    refused(system, SCHEMA, "tasker migrate up")
    assert system.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    tasker(system.url, "migrate", "up")
    system.start_orchestrator()


def test_an_older_schema_is_refused_with_the_command_that_helps(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    tasker(system.url, "migrate", "down", "--yes")
    refused(system, SCHEMA, "tasker migrate up")
    tasker(system.url, "migrate", "up")
    system.start_orchestrator()


def test_a_newer_schema_is_refused(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    system.connection.execute(
        "INSERT INTO tasker_schema_migrations (version, name, checksum) VALUES (999, 'from_the_future', 'x')"
    )
    said = refused(system, SCHEMA, "999")
    assert "newer" in said
    system.connection.execute("DELETE FROM tasker_schema_migrations WHERE version = 999")


BAD = {
    "out_of_range": ({"timers": {"heartbeat_ms": 1}}, ["timers.heartbeat_ms", "10"]),
    "wrong_type": ({"limits": {"depth": "deep"}}, ["limits.depth"]),
    "unknown_key": ({"timers": {"heartbaet_ms": 1000}}, ["heartbaet_ms"]),
    "contradiction": ({"timers": {"suspect_after_ms": 9000}}, ["suspect_after_ms", "lease_ms"]),
    "open_to_the_world": ({"step_execution": {"step_publisher": "tcp://0.0.0.0:5599"}}, ["allow_insecure"]),
}


@pytest.mark.parametrize("fault", BAD)
def test_settings_that_cannot_be_used_are_named(make_system: SystemFactory, fault: str) -> None:
    settings, words = BAD[fault]
    system = make_system(settings=settings, start=False)
    variables = {}
    if fault == "open_to_the_world":
        variables = {"TASKER_STEPS_ENDPOINT": "tcp://0.0.0.0:5599"}
    refused(system, BAD_SETTINGS, *words, **variables)
    assert system.value("SELECT count(*) FROM tasker_orchestrators") == 0


def test_without_a_database_it_says_what_to_set(make_system: SystemFactory) -> None:
    refused(make_system(start=False), BAD_SETTINGS, "TASKER_DATABASE_URL", TASKER_DATABASE_URL="")


def test_a_database_that_is_not_there_yet_is_waited_for(
    own_server: OwnServer, make_system: SystemFactory
) -> None:
    system = make_system(on=own_server, start=False)
    own_server.crash()
    process = system.start_orchestrator(ready=False)
    process.wait_for_log("database not reachable, trying again")
    assert process.running()
    own_server.start()
    system.reconnect()
    system.wait_for_orchestrator()
    assert system.value("SELECT state FROM tasker_orchestrators") in ("starting", "serving")


def test_it_can_be_stopped_while_it_waits_for_the_database(
    own_server: OwnServer, make_system: SystemFactory
) -> None:
    system = make_system(on=own_server, start=False)
    own_server.crash()
    process = system.start_orchestrator(ready=False)
    process.wait_for_log("database not reachable, trying again")
    assert process.stop(5) == 0, process.tail()
    own_server.start()
    system.reconnect()


def test_it_can_be_stopped_while_the_database_is_away(
    own_server: OwnServer, make_system: SystemFactory
) -> None:
    system = make_system(on=own_server)
    assert system.orchestrator
    own_server.crash()
    system.orchestrator.wait_for_log("database connection lost")
    assert system.orchestrator.stop(10) == 0, system.orchestrator.tail()
    own_server.start()
    system.reconnect()


def test_an_idle_orchestrator_does_not_poll(make_system: SystemFactory) -> None:
    """Meanwhile it says each second that it is there; its only turns are those of the regular scan."""
    system = make_system()
    seen = "SELECT extract(epoch FROM last_seen_at)::float8 FROM tasker_orchestrators WHERE state = 'serving'"
    first = wait_until(lambda: system.value(seen), "it serves", on_fail=system.logs)
    turns = system.health()["listener"]["turns"]
    wait_until(lambda: system.value(seen) > first + 1.9, "it has said so twice more", on_fail=system.logs)
    health = system.health()
    assert health["listener"]["turns"] - turns <= 2 * len(health["lanes"])


def test_health_of_the_command_line_follows_the_orchestrator(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    tasker(system.url, "health", code=1)
    process: Process = system.start_orchestrator()
    serving = "SELECT state FROM tasker_orchestrators"
    wait_until(lambda: system.value(serving) == "serving", "it says so in the database", on_fail=system.logs)
    report: dict[str, Any] = json.loads(tasker(system.url, "health", "--json").stdout)
    assert report
    assert process.stop() == 0
    assert system.value(serving) == "stopped"
    tasker(system.url, "health", code=1)
