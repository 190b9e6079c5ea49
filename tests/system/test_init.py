"""`tasker init` makes a project that runs as its README says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from parts import ROOT, TASKER, Process, make_folder
from tests.support import procs

LANGUAGES = ["python", "ruby"]


@pytest.fixture
def folder() -> Iterator[Path]:
    made = make_folder("tasker-st-init.")
    yield made
    shutil.rmtree(made, ignore_errors=True)


def init(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = procs.run([TASKER, "init", *arguments], cwd=folder, check=False)
    return done


def files_of(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def blocks_of(page: Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.M | re.S)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_commands_of_its_readme_run(folder: Path, language: str) -> None:
    assert init(folder, "my project", f"--{language}").returncode == 0
    project = folder / "my project"
    variables = {**os.environ, "PATH": f"{Path(TASKER).parent}:{os.environ['PATH']}"}
    if Path(TASKER).resolve().parents[2] != ROOT:  # then init does not know the SDK
        variables["TASKER_SDK"] = str(ROOT / "workers" / language)
    test, dev, submit = blocks_of(project / "README.md")
    tested = procs.run(["sh", "-ec", test], cwd=project, env=variables, limit=60, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    running = Process("dev", ["sh", "-ec", f"exec {dev}"], folder, variables, project, death_signal="TERM")
    try:
        running.wait_for_output("welcomed", 90)
        done = procs.run(
            ["sh", "-ec", submit.strip() + " --json"], cwd=project, env=variables, limit=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr + running.tail()
        task = json.loads(done.stdout)
        shown = json.loads(
            procs.run([TASKER, "task", "show", str(task["task_id"]), "--json"], cwd=project).stdout
        )
        assert shown["steps"][-1]["results"] == {"text": "HELLO, ADA"}
    finally:
        assert running.stop(60) == 0, running.tail()


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_template_is_good(folder: Path, language: str) -> None:
    init(folder, f"--{language}")
    assert procs.run([TASKER, "template", "check", "config/tasks"], cwd=folder).returncode == 0


def test_python_is_the_default_and_the_answer_names_the_files(folder: Path) -> None:
    answer = json.loads(init(folder, "--json").stdout)
    assert answer["language"] == "python"
    assert sorted(answer["files"]) == sorted(files_of(folder))
    assert {"README.md", "handlers.py", "test_handlers.py", ".gitignore"} <= set(answer["files"])


@pytest.mark.parametrize("existing", ["README.md", "bin/worker", ".gitignore"])
def test_nothing_is_overwritten(folder: Path, existing: str) -> None:
    (folder / existing).parent.mkdir(exist_ok=True)
    (folder / existing).write_text("mine\n")
    done = init(folder)
    assert done.returncode == 2
    assert existing in done.stderr
    assert files_of(folder) == {existing: "mine\n"}


def test_a_link_is_not_written_through(folder: Path) -> None:
    (folder / "handlers.py").symlink_to(folder / "elsewhere")
    assert init(folder).returncode == 2
    assert not (folder / "elsewhere").exists()


def test_one_language_at_a_time(folder: Path) -> None:
    assert init(folder, "--python", "--ruby").returncode == 2
    assert files_of(folder) == {}
