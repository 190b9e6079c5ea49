"""A `.tasker/` may have come with a clone or from another user; `tasker dev` believes nothing in it."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import stat
import string
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import psycopg
import pytest

from parts import TASKER, Process, make_folder, wait_until
from tests.support import procs

ONLY_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")
NOBODY = 65534


class Project:
    """A folder with a `.tasker/` that the test fills before, or between two starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dot = folder / ".tasker"
        self.processes: list[Process] = []

    def plant(self) -> Path:
        """A `.tasker/` as a clone brings it: ours, with the mark of a real one, its lock."""
        self.dot.mkdir()
        (self.dot / "lock").write_text("pid 1\n")
        return self.dot

    def start(self, *arguments: str, **variables: str) -> Process:
        process = Process(
            "dev", [TASKER, "dev", *arguments], self.folder, variables, self.folder, death_signal="TERM"
        )
        self.processes.append(process)
        process.wait_for_output("Stop with Ctrl-C", 60)
        return process

    def refused(self, *arguments: str) -> str:
        done = self.tasker("dev", *arguments)
        assert done.returncode == 1, done.stdout + done.stderr
        return str(done.stderr)

    def tasker(
        self, *arguments: str, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = procs.run(
            [TASKER, *arguments], cwd=cwd or self.folder, check=False, env={**os.environ, **variables}
        )
        return done

    def state(self) -> dict[str, str]:
        state: dict[str, str] = json.loads((self.dot / "dev.json").read_text())
        return state

    def places(self) -> dict[str, str]:
        places: dict[str, str] = json.loads((self.dot / "places.json").read_text())
        return places

    def close(self) -> None:
        for process in reversed(self.processes):
            if process.running():
                process.stop(60)


@pytest.fixture
def project() -> Iterator[Project]:
    folder = make_folder("tasker-st-hostile.")
    made = Project(folder)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def precious() -> Iterator[Path]:
    """A directory that must not be touched."""
    folder = make_folder("tasker-st-precious.")
    (folder / "thesis.txt").write_text("ten years of work")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def untouched(precious: Path) -> bool:
    names = [path.name for path in precious.iterdir()]
    return names == ["thesis.txt"] and (precious / "thesis.txt").read_text() == "ten years of work"


# Each is a run_dir that a record may name: anything, something of almost our pattern, the pattern elsewhere.
@pytest.mark.parametrize("name", ["", "tasker-run-ABCDEF", "pg/../."])
def test_a_recorded_run_directory_is_not_removed_unless_it_is_ours(
    project: Project, precious: Path, name: str
) -> None:
    victim = precious / name
    victim.mkdir(exist_ok=True, parents=True)
    (victim / "socket").touch()
    (project.plant() / "places.json").write_text(json.dumps({"run_dir": str(victim)}))
    dev = project.start()
    assert (victim / "socket").exists()
    assert (precious / "thesis.txt").exists()
    assert "left alone" in dev.output()


def random_name(pattern: str) -> Path:
    """In /tmp, with letters and digits instead of X; tests may run twice at once."""
    letters = string.ascii_letters + string.digits
    return Path("/tmp") / re.sub("X", lambda _: random.SystemRandom().choice(letters), pattern)


@pytest.mark.parametrize("pattern", ["tasker-dev-XXXXXX", "tasker-run-XXXXX", "tasker-run-XXXXX_"])
def test_only_the_name_of_a_directory_of_sockets_is_removed(project: Project, pattern: str) -> None:
    """The first is the name of data."""
    victim = random_name(pattern)
    victim.mkdir()
    (victim / "file").touch()
    try:
        (project.plant() / "places.json").write_text(json.dumps({"run_dir": str(victim)}))
        project.start()
        assert (victim / "file").exists()
    finally:
        shutil.rmtree(victim)


def test_a_link_with_that_name_is_not_followed(project: Project, precious: Path) -> None:
    victim = random_name("tasker-run-XXXXXX")
    victim.symlink_to(precious)
    try:
        (project.plant() / "places.json").write_text(json.dumps({"run_dir": str(victim)}))
        project.start()
        assert untouched(precious)
    finally:
        victim.unlink()


def test_a_directory_of_sockets_left_by_a_killed_one_is_removed(project: Project) -> None:
    left = random_name("tasker-run-XXXXXX")
    (left / "pg").mkdir(parents=True)
    (left / "steps.lock").touch()
    (project.plant() / "places.json").write_text(json.dumps({"run_dir": str(left)}))
    project.start()
    assert not left.exists()


@ONLY_ROOT
def test_a_directory_of_sockets_of_another_user_stays(project: Project) -> None:
    left = random_name("tasker-run-XXXXXX")
    left.mkdir()
    os.chown(left, NOBODY, NOBODY)
    try:
        (project.plant() / "places.json").write_text(json.dumps({"run_dir": str(left)}))
        project.start()
        assert left.exists()
    finally:
        left.rmdir()


@pytest.mark.parametrize("parent", ["", "/var/tmp/tasker-dev-../", "/var/tmp/tasker-dev-Ab12cd/../"])
def test_recorded_data_where_no_dev_puts_any_are_refused_by_name(
    project: Project, precious: Path, parent: str
) -> None:
    data = (parent or f"{precious}/") + "postgres"
    (precious / "postgres.new").mkdir()
    (project.plant() / "places.json").write_text(json.dumps({"data_dir": data}))
    told = project.refused()
    assert data in told and "places.json" in told
    assert (precious / "postgres.new").exists()


def test_an_unreadable_record_is_no_record(project: Project) -> None:
    for text in ['{"data_dir": 7, "run_dir": ["x"], "data_made": null}', "[]", "{", "\xff" * 100]:
        dot = project.dot if project.dot.exists() else project.plant()
        (dot / "places.json").write_text(text, encoding="latin-1")
        dev = project.start()
        assert dev.stop(60) == 0
        shutil.rmtree(dot)


Link = Callable[[Path, Path], None]


@pytest.mark.parametrize(
    "name", ["dev.json", "dev.json.new", "places.json", "places.json.new", ".gitignore", "run"]
)
def test_links_are_replaced_and_not_written_through(project: Project, precious: Path, name: str) -> None:
    dot = project.plant()
    (dot / name).symlink_to(precious / ("thesis.txt" if name != "run" else ""))
    dev = project.start()
    assert untouched(precious)
    assert dev.stop(60) == 0
    assert untouched(precious)


def test_a_link_to_nothing_makes_no_file(project: Project, precious: Path) -> None:
    dot = project.plant()
    for name in ("dev.json.new", "places.json.new", ".gitignore"):
        (dot / name).symlink_to(precious / f"made-by-{name}")
    project.start()
    assert untouched(precious)


@pytest.mark.parametrize("name", ["lock", "postgres.log"])
@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to, lambda path, _: os.mkfifo(path)])
def test_what_is_no_plain_file_of_its_own_is_refused_by_name(
    project: Project, precious: Path, name: str, make: Link
) -> None:
    dot = project.plant()
    (dot / name).unlink(missing_ok=True)
    make(dot / name, precious / "thesis.txt")
    told = project.refused()
    assert ".tasker" in told and name in told and "remove it" in told
    assert untouched(precious)


def test_a_link_instead_of_the_folder_is_refused_by_name(project: Project, precious: Path) -> None:
    project.dot.symlink_to(precious)
    assert ".tasker is a symbolic link" in project.refused()
    assert untouched(precious)


def test_a_link_instead_of_the_data_is_refused_and_its_server_lives(project: Project) -> None:
    """Starting on it would first stop the server that works there."""
    other = Project(make_folder("tasker-st-other."))
    try:
        other.start()
        (project.plant() / "postgres").symlink_to(other.dot / "postgres")
        assert ".tasker/postgres is a symbolic link" in project.refused()
        with psycopg.connect(other.state()["database_url"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        other.close()
        shutil.rmtree(other.folder, ignore_errors=True)


def test_a_folder_that_no_dev_has_made_is_refused(project: Project, precious: Path) -> None:
    mode = stat.S_IMODE(precious.stat().st_mode)
    assert "holds files" in project.refused("--dir", str(precious))
    assert untouched(precious)
    assert stat.S_IMODE(precious.stat().st_mode) == mode


def test_data_that_came_with_a_copy_need_a_word_of_their_owner(project: Project) -> None:
    dev = project.start()
    with psycopg.connect(project.state()["database_url"]) as connection:
        connection.execute("CREATE TABLE kept_by_test ()")
    assert dev.stop(60) == 0
    copied = Project(make_folder("tasker-st-copy."))
    try:
        procs.run(["cp", "-a", str(project.dot), str(copied.dot)])
        told = copied.refused()
        assert ".tasker/postgres was not made here" in told and "--adopt" in told
        assert copied.start("--adopt").stop(60) == 0
        copied.start()
        with psycopg.connect(copied.state()["database_url"]) as connection:
            connection.execute("SELECT FROM kept_by_test")
    finally:
        copied.close()
        shutil.rmtree(copied.folder, ignore_errors=True)


def test_a_moved_project_keeps_its_data(project: Project) -> None:
    assert project.start().stop(60) == 0
    moved = project.folder / "moved"
    moved.mkdir()
    project.dot.rename(moved / ".tasker")
    project.folder, project.dot = moved, moved / ".tasker"
    assert "creating" not in project.start().output()


@ONLY_ROOT
def test_a_folder_of_another_user_is_refused_and_not_found(project: Project) -> None:
    dot = project.plant()
    (dot / "dev.json").write_text(json.dumps({"database_url": "postgresql://evil@127.0.0.1:1/x"}))
    os.chown(dot, NOBODY, NOBODY)
    assert "belongs to another user (uid 65534)" in project.refused()
    below = project.folder / "below"
    below.mkdir()
    holder = Process("holder", ["flock", str(dot / "lock"), "sleep", "600"], project.folder, {})
    project.processes.append(holder)
    wait_until(
        lambda: procs.run(["flock", "-n", str(dot / "lock"), "true"], check=False).returncode == 1, "locked"
    )
    listed = project.tasker("worker", "list", cwd=below)
    assert listed.returncode == 3
    assert "belongs to another user" in listed.stderr
    assert "evil" not in listed.stderr
    assert project.tasker("dev", "--env", cwd=below).returncode == 4


@ONLY_ROOT
def test_files_of_another_user_in_it_are_not_believed(project: Project) -> None:
    dot = project.plant()
    (dot / "postgres.log").touch()
    os.chown(dot / "postgres.log", NOBODY, NOBODY)
    assert "postgres.log is not used as a log: it belongs to another user" in project.refused()


@ONLY_ROOT
def test_data_of_another_user_are_refused(project: Project) -> None:
    data = project.plant() / "postgres"
    data.mkdir(mode=0o700)
    (data / "PG_VERSION").write_text("15\n")
    assert ".tasker/postgres belongs to another user" in project.refused()


def test_a_pipe_in_a_folder_above_stops_no_command(project: Project) -> None:
    dot = project.plant()
    (dot / "lock").unlink()
    os.mkfifo(dot / "lock")
    listed = procs.run([TASKER, "worker", "list"], cwd=project.folder, check=False, limit=20)
    assert listed.returncode == 3


def test_a_state_of_another_shape_is_not_believed(project: Project) -> None:
    dot = project.plant()
    holder = Process("holder", ["flock", str(dot / "lock"), "sleep", "600"], project.folder, {})
    project.processes.append(holder)
    wait_until(
        lambda: procs.run(["flock", "-n", str(dot / "lock"), "true"], check=False).returncode == 1, "locked"
    )
    for text in ('{"pid": "x"}', '{"endpoints": 5}', "[1]", "{", ""):
        (dot / "dev.json").write_text(text)
        assert project.tasker("worker", "list").returncode == 3


def test_others_see_neither_folder_nor_logs_nor_locks(project: Project) -> None:
    before = os.umask(0)
    try:
        project.plant()
        project.start()
    finally:
        os.umask(before)
    mode = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [project.dot, *project.dot.iterdir()]}
    # As root the server's own user has to pass.
    passing = 0o711 if os.geteuid() == 0 else 0o700
    assert mode.pop(".tasker") == passing
    assert mode.pop("run") == passing
    assert mode.pop("postgres") == 0o700
    # A lock that others could open, they could hold.
    assert mode.pop("lock") == 0o600
    assert set(mode.values()) == {0o600}, mode
