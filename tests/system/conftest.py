"""Fixtures: one server for the run, a fresh database per test, and the checks every test ends with."""

from __future__ import annotations

import os
from typing import Any, Callable, Iterator, Optional

import pytest

from tests.support import pg

# What a developer has set must not decide what is tested.
for name in [name for name in os.environ if name.startswith("TASKER_")]:
    if not name.startswith(("TASKER_TEST_", "TASKER_BUILD_", "TASKER_PG_")):
        del os.environ[name]

from parts import Databases, OwnServer, System, SystemFactory, tasker  # noqa: E402

passed_key = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome: Any = yield
    if call.when == "call":
        item.stash[passed_key] = outcome.get_result().passed


@pytest.fixture(scope="session")
def databases(pg_server: pg.Server) -> Iterator[Databases]:
    made = Databases(pg_server.url)
    yield made
    made.close()


@pytest.fixture
def own_server() -> Iterator[OwnServer]:
    with OwnServer() as server:
        yield server


def finish(system: System) -> None:
    """Everything ends in order when asked to, and what it leaves in the database is right."""
    for worker in system.workers():
        assert worker.stop() == 0, worker.tail()
    if system.orchestrator and system.orchestrator.running():
        assert system.orchestrator.stop() == 0, system.orchestrator.tail()
    tasker(system.url, "db", "check")


def make_and_check(databases: Databases, passed: Callable[[], bool]) -> Iterator[SystemFactory]:
    systems: list[System] = []

    def make(
        transport: str = "ipc",
        settings: Optional[dict[str, Any]] = None,
        start: bool = True,
        empty: bool = False,
        on: Optional[OwnServer] = None,
    ) -> System:
        system = System(on.databases if on else databases, transport, settings, empty)
        systems.append(system)
        if start:
            system.start_orchestrator()
        return system

    try:
        yield make
        if passed():
            for system in systems:
                finish(system)
    finally:
        for system in systems:
            system.close()


@pytest.fixture
def make_system(databases: Databases, request: pytest.FixtureRequest) -> Iterator[SystemFactory]:
    """make_system(transport="ipc", settings=None): a system on a fresh database, checked at the end."""
    yield from make_and_check(databases, lambda: request.node.stash.get(passed_key, False))


@pytest.fixture(scope="module")
def make_shared_system(databases: Databases, request: pytest.FixtureRequest) -> Iterator[SystemFactory]:
    """The same for all tests of a module."""
    yield from make_and_check(databases, lambda: not request.session.testsfailed)
