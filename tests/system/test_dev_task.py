"""`tasker dev` as a newcomer uses it: a worker in a second terminal, a task in a third, Ctrl-C, and again."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest

from parts import ROOT, TASKER, TEMPLATES, Process, make_folder, wait_until
from tests.support import procs
from workers import PYTHON_PATTERNS


class Project:
    """A folder with config/tasks, in which `tasker dev` is started."""

    def __init__(self) -> None:
        self.folder = make_folder("tasker-st-dev.")
        (self.folder / "config").mkdir()
        shutil.copytree(TEMPLATES, self.folder / "config" / "tasks")
        self.processes: list[Process] = []

    def start(self, name: str, command: list[str], variables: dict[str, str]) -> Process:
        process = Process(name, command, self.folder, variables, cwd=self.folder, death_signal="TERM")
        self.processes.append(process)
        return process

    def dev(self) -> Process:
        process = self.start("dev", [TASKER, "dev"], {})
        process.wait_for_output("Stop with Ctrl-C", 60)
        return process

    def tasker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = procs.run([TASKER, *arguments], cwd=self.folder)
        return done

    def show(self, task_id: int) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.tasker("task", "show", str(task_id), "--json").stdout)
        return shown

    def close(self) -> None:
        for process in reversed(self.processes):
            if process.running():
                process.stop(60)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def project() -> Iterator[Project]:
    made = Project()
    yield made
    made.close()


def test_a_task_runs_under_dev_and_its_results_outlive_a_restart(project: Project) -> None:
    first = project.dev()
    exports = shlex.split(project.tasker("dev", "--env").stdout)
    variables = dict(word.split("=", 1) for word in exports if "=" in word)
    worker = project.start(
        "worker",
        ["/usr/bin/python3", "-m", "tasker_worker", "--import", str(PYTHON_PATTERNS[0])],
        {**variables, "PYTHONPATH": str(ROOT / "workers" / "python")},
    )
    submitted = project.tasker(
        "task",
        "submit",
        "patterns/linear_chain",
        "--context",
        '{"value": 6}',
        "--wait",
        "--timeout",
        "60",
        "--json",
    )
    task_id = json.loads(submitted.stdout)["task_id"]
    before = project.show(task_id)
    assert before["state"] == "complete"
    assert {step["name"]: step["results"] for step in before["steps"]}["minus_four"] == {"value": 66}
    first.signal(signal.SIGINT)
    assert first.wait(60) == 0, first.tail()

    second = project.dev()
    assert project.show(task_id) == before
    # The worker was not told anything: it finds the new orchestrator by itself and serves it.
    again = json.loads(
        project.tasker(
            "task", "submit", "patterns/linear_chain", "--context", '{"value": 1}', "--json"
        ).stdout
    )
    wait_until(
        lambda: project.show(again["task_id"])["state"] == "complete", "the second task", 60, worker.tail
    )
    project.tasker("db", "check")
    assert worker.stop() == 0, worker.tail()
    second.signal(signal.SIGINT)
    assert second.wait(60) == 0, second.tail()


def test_the_folder_holds_everything_and_nothing_runs_after_the_end(project: Project) -> None:
    dev = project.dev()
    state = json.loads((project.folder / ".tasker" / "dev.json").read_text())
    server = int((Path(state["data_dir"]) / "postmaster.pid").read_text().splitlines()[0])
    assert Path(state["data_dir"]).is_relative_to(project.folder)
    dev.signal(signal.SIGTERM)
    assert dev.wait(60) == 0, dev.tail()
    for pid in (server, state["orchestrator_pid"]):
        assert not Path(f"/proc/{pid}").exists(), f"process {pid} still runs"
