"""pytest fixtures for tests with real parts: a server, fresh databases, processes that are always ended."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import pg, procs


quick = pg.QuickFolder()


def pytest_configure() -> None:
    """All servers of this run, those of `tasker dev` too, are copies of one initdb."""
    quick.__enter__()


def pytest_unconfigure() -> None:
    quick.__exit__()


@pytest.fixture(scope="session")
def pg_server() -> Iterator[pg.Server]:
    """The server that bin/test shares among all suites, else a private one for this run of pytest."""
    shared = os.environ.get("TASKER_TEST_PG_URL")
    if shared:
        server = pg.Server(shared)
        yield server
        server.close()
        return
    with pg.Cluster() as cluster:
        yield pg.Server(cluster.url())


@pytest.fixture
def pg_cluster() -> Iterator[pg.Cluster]:
    """A server of this test's own, to be stopped and started by it."""
    with pg.Cluster() as cluster:
        yield cluster


@pytest.fixture
def database_url(pg_server: pg.Server) -> Iterator[str]:
    """A fresh, migrated database."""
    name = pg_server.create_database()
    yield pg_server.database_url(name)
    pg_server.drop_database(name)


@pytest.fixture
def empty_database_url(pg_server: pg.Server) -> Iterator[str]:
    """A fresh database without any table."""
    name = pg_server.create_database(migrated=False)
    yield pg_server.database_url(name)
    pg_server.drop_database(name)


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory whose path is short enough for unix sockets (pytest's tmp_path may not be)."""
    folder = Path(tempfile.mkdtemp(prefix="tt-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds what the test's processes said to the report of a failed test."""
    outcome = yield
    report = outcome.get_result()
    processes = getattr(item, "funcargs", {}).get("processes")
    if report.when == "call" and report.failed and processes is not None:
        report.sections.append(("processes", processes.report()))


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[procs.Processes]:
    """Starts processes that are ended with the test, whatever happens."""
    collection = procs.Processes(tmp_path)
    yield collection
    collection.end_all()
