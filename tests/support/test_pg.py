"""Servers of tests are copies of one initdb, and nothing is left of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.support import pg


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TASKER_PG_BIN", raising=False)
    with pg.QuickFolder() as folder:
        yield folder


def made(quick: pg.QuickFolder) -> list[str]:
    assert quick.folder is not None
    return os.listdir(quick.folder / "made")


def test_the_second_server_needs_no_initdb(quick: pg.QuickFolder):
    with pg.Cluster():
        pass
    assert quick.folder is not None and len(made(quick)) == 1
    (quick.folder / "real").unlink()
    with pg.Cluster() as second, psycopg.connect(second.url(), autocommit=True) as connection:
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        connection.execute("CREATE DATABASE its_own")
    with pg.Cluster() as third, psycopg.connect(third.url()) as connection:
        names = connection.execute("SELECT datname FROM pg_database WHERE datname = 'its_own'").fetchall()
        assert names == [], "each has data of its own"


def test_several_at_once_make_one(quick: pg.QuickFolder):
    clusters = [pg.Cluster() for _ in range(3)]
    assert quick.folder is not None
    try:
        running = []
        for cluster in clusters:
            cluster.folder.chmod(0o711)
            pg.give(cluster.folder, cluster.user)
            command = [str(quick.folder / "initdb"), "-D", str(cluster.folder / "data"), "-A", "trust"]
            running.append(subprocess.Popen(command, user=cluster.user, cwd="/", stdout=subprocess.DEVNULL))
        assert [process.wait(60) for process in running] == [0, 0, 0]
        assert all((cluster.folder / "data/PG_VERSION").exists() for cluster in clusters)
        assert len(made(quick)) == 1
    finally:
        for cluster in clusters:
            cluster.remove()


def test_other_arguments_are_another_server(quick: pg.QuickFolder):
    with pg.Cluster():
        pass
    assert quick.folder is not None
    done = subprocess.run([str(quick.folder / "initdb"), "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and "initdb (PostgreSQL)" in done.stdout
    assert len(made(quick)) == 1


def test_an_initdb_that_fails_fails(quick: pg.QuickFolder, tmp_path: Path):
    assert quick.folder is not None
    command = [str(quick.folder / "initdb"), "-D", str(tmp_path / "data"), "--locale=no-such-locale"]
    done = subprocess.run(command, user=pg.SERVER_USER, cwd="/", capture_output=True, text=True)
    assert done.returncode != 0 and "locale" in done.stderr
    assert not (tmp_path / "data").exists() and made(quick) == []


def test_nothing_is_left(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TASKER_PG_BIN", raising=False)
    with pg.QuickFolder() as quick:
        folder = quick.folder
        assert folder is not None and os.environ["TASKER_PG_BIN"] == str(folder)
    assert "TASKER_PG_BIN" not in os.environ and not folder.exists()


def test_a_folder_that_is_chosen_already_stays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TASKER_PG_BIN", "/chosen")
    with pg.QuickFolder():
        assert os.environ["TASKER_PG_BIN"] == "/chosen"
    assert os.environ["TASKER_PG_BIN"] == "/chosen"
