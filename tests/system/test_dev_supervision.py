"""What `tasker dev` does when something that it runs dies or changes, and with settings of the project."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
from pathlib import Path
from typing import Iterator

import pytest

from parts import PATIENCE, ROOT, TASKER, TEMPLATES, Process, free_port, make_folder, wait_until
from tests.support import procs

PYTHON_WORKER = (
    f"PYTHONPATH={shlex.quote(str(ROOT / 'workers/python'))} exec /usr/bin/python3 -m tasker_worker"
    f" --import {shlex.quote(str(ROOT / 'workers/python/examples/patterns.py'))}"
    f" --templates {shlex.quote(str(TEMPLATES))}"
)


class Project:
    def __init__(self) -> None:
        self.folder = make_folder("tasker-st-watch.")
        self.processes: list[Process] = []

    def start(self, *arguments: str, ready: str = "Stop with Ctrl-C", **variables: str) -> Process:
        process = Process(
            "dev", [TASKER, "dev", *arguments], self.folder, variables, self.folder, death_signal="TERM"
        )
        self.processes.append(process)
        if ready:
            process.wait_for_output(ready, 60)
        return process

    def tasker(self, *arguments: str, cwd: Path | None = None) -> tuple[int, str]:
        done = procs.run([TASKER, *arguments], cwd=cwd or self.folder, check=False)
        return done.returncode, done.stdout + done.stderr

    def is_healthy(self) -> None:
        """Waits until `tasker health` agrees; on a busy machine it once did not when dev was ready."""
        wait_until(
            lambda: self.tasker("health")[0] == 0, "health is good", 10, lambda: self.tasker("health")[1]
        )

    def orchestrator(self) -> int:
        return int(json.loads((self.folder / ".tasker/dev.json").read_text())["orchestrator_pid"])

    def server(self) -> int:
        return int((self.folder / ".tasker/postgres/postmaster.pid").read_text().split()[0])

    def write(self, name: str, text: str) -> None:
        """At once, so that nobody sees half of it."""
        (self.folder / f"{name}.new").write_text(text)
        (self.folder / f"{name}.new").rename(self.folder / name)


@pytest.fixture
def project() -> Iterator[Project]:
    made = Project()
    yield made
    for process in reversed(made.processes):
        if process.running():
            process.stop(60)
    shutil.rmtree(made.folder, ignore_errors=True)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


def count(process: Process, text: str) -> int:
    return process.output().count(text)


def test_an_orchestrator_that_is_killed_is_started_again(project: Project) -> None:
    dev = project.start()
    first, server = project.orchestrator(), project.server()
    os.kill(first, signal.SIGKILL)
    dev.wait_for_output("the orchestrator serves again", 60)
    assert "the orchestrator was killed by signal 9" in dev.output()
    assert project.orchestrator() != first
    assert alive(project.orchestrator()) and project.server() == server
    project.is_healthy()
    assert dev.stop(60) == 0


def test_an_orchestrator_that_keeps_dying_ends_the_dev_with_its_last_lines(project: Project) -> None:
    orchestrator = project.folder / "orchestrator"
    # It lives once, and says why it does not live again.
    orchestrator.write_text(
        "#!/bin/sh\n"
        "if [ -e lived ]; then echo 'no more of this' >&2; exit 7; fi\n"
        "touch lived; echo 'tasker-orchestrator ready'; exec sleep 600\n"
    )
    orchestrator.chmod(0o755)
    dev = project.start("--orchestrator", "./orchestrator")
    server = project.server()
    os.kill(project.orchestrator(), signal.SIGKILL)
    assert dev.wait(60 * PATIENCE) == 1
    last = dev.output().split("soon after its start")[-1]
    assert "no more of this" in last
    assert not alive(server)


def test_the_death_of_the_server_is_told_and_ends_all(project: Project) -> None:
    dev = project.start()
    orchestrator = project.orchestrator()
    os.kill(project.server(), signal.SIGKILL)
    assert dev.wait(60 * PATIENCE) == 1
    assert "the private PostgreSQL was killed by signal 9" in dev.output()
    assert "postgres.log ends with" in dev.output()
    assert not alive(orchestrator)
    project.start()


def test_workers_run_beside_it_and_end_with_it(project: Project) -> None:
    shutil.copytree(TEMPLATES, project.folder / "config" / "tasks")
    dev = project.start("--worker", PYTHON_WORKER, "--worker", "echo one $TASKER_STEPS_ENDPOINT; sleep 600")
    dev.wait_for_output("welcomed", 60)
    code, shown = project.tasker("task", "submit", "patterns/diamond", "--context", '{"value": 6}', "--wait")
    assert code == 0, shown + dev.tail()
    lines = dev.output().splitlines()
    assert any(line.startswith("worker-1     | ") and "welcomed" in line for line in lines), dev.tail()
    assert any(line.startswith("worker-2     | one ipc:///") for line in lines)
    assert any(line.startswith("orchestrator | ") for line in lines)
    assert "\033[" not in dev.output(), "no colours but on a terminal"
    assert dev.stop(60) == 0
    assert project.tasker("dev", "--env")[0] == 4


def test_a_worker_that_ends_is_started_again_later_and_later(project: Project) -> None:
    dev = project.start("--worker", "echo ends; exit 3")
    wait_until(lambda: count(dev, "worker-1 exited with code 3") >= 3, "three ends", on_fail=dev.tail)
    said = [line for line in dev.output().splitlines() if "starting it again in" in line]
    assert [line.rsplit(" in ", 1)[1] for line in said[:3]] == ["0.25 s", "0.5 s", "1 s"]
    assert dev.stop(60) == 0


def test_what_a_worker_has_started_goes_with_it(project: Project) -> None:
    # The shell itself ends at the first signal; what runs below it takes its time.
    slow = 'trap "echo drained >>drained; exit 0" TERM; echo $$ >$0; while :; do sleep 0.1; done'
    dev = project.start("--worker", f"sh -c '{slow}' inner & sh -c '{slow}' outer; true")
    wait_until(
        lambda: all((project.folder / name).exists() for name in ("inner", "outer")),
        "it runs",
        on_fail=dev.tail,
    )
    pids = [int(wait_until((project.folder / name).read_text, "its number")) for name in ("inner", "outer")]
    assert dev.stop(60) == 0
    assert not any(alive(pid) for pid in pids)
    assert (project.folder / "drained").read_text() == "drained\ndrained\n", "they were asked, not killed"


def test_what_a_dead_worker_has_left_ends_before_the_next(project: Project) -> None:
    leaves = "rm -f written; sh -c 'echo $$ >>left; touch written; exec sleep 600' &"
    dev = project.start("--worker", f"{leaves} until [ -e written ]; do sleep 0.01; done; kill -9 $$")
    wait_until(lambda: count(dev, "worker-1 was killed by signal 9") >= 2, "two ends", on_fail=dev.tail)
    first = int((project.folder / "left").read_text().split()[0])
    assert not alive(first)


def test_reload_restarts_workers_when_a_source_changes(project: Project) -> None:
    (project.folder / "handlers.py").write_text("1\n")
    (project.folder / ".git").mkdir()
    dev = project.start("--reload", "--worker", "echo runs $(cat handlers.py); exec sleep 600")
    wait_until(lambda: count(dev, "runs 1") == 1, "the first run", on_fail=dev.tail)
    # What workers write, caches and hidden folders are no sources.
    for name in (".git/index.py", "results.out", "worker.log"):
        (project.folder / name).write_text("x")
    project.write("handlers.py", "22\n")
    wait_until(lambda: count(dev, "runs 22") == 1, "the second run", on_fail=dev.tail)
    (project.folder / "more").mkdir()
    project.write("more/new.rb", "x")
    wait_until(lambda: count(dev, "runs 22") == 2, "a run after a new file", on_fail=dev.tail)
    changed = [line for line in dev.output().splitlines() if "restarting the workers" in line]
    assert [Path(line.split(" changed;")[0]).name for line in changed] == ["handlers.py", "new.rb"]
    assert dev.stop(60) == 0


def test_reload_ends_the_wait_of_a_worker_that_failed(project: Project) -> None:
    project.write("handlers.py", "exit 1\n")
    dev = project.start("--reload", "--worker", "sh handlers.py")
    wait_until(lambda: count(dev, "starting it again in 4 s") == 1, "a long pause", on_fail=dev.tail)
    project.write("handlers.py", "echo mended; exec sleep 600\n")
    wait_until(lambda: count(dev, "| mended") == 1, "it runs", on_fail=dev.tail)


def test_a_worker_that_ignores_the_end_is_killed_by_a_second_signal(project: Project) -> None:
    dev = project.start("--worker", "trap '' TERM; echo stubborn; while :; do sleep 1; done")
    wait_until(lambda: count(dev, "| stubborn") == 1, "it runs", on_fail=dev.tail)
    dev.signal(signal.SIGINT)
    dev.wait_for_output("stopping", 20)
    dev.signal(signal.SIGINT)
    dev.wait_for_output("killing worker-1", 20)
    assert dev.wait(60 * PATIENCE) == 0


def test_settings_of_the_project_are_used(project: Project) -> None:
    config = project.folder / "config"
    config.mkdir()
    port = free_port()
    (config / "orchestrator.yaml").write_text("log: { format: json }\ndatabase: { lanes: 3 }\n")
    (config / "zeromq.yaml").write_text(f"step_execution: {{ step_publisher: 'tcp://127.0.0.1:{port}' }}\n")
    dev = project.start()
    assert "settings      config/orchestrator.yaml" in dev.output()
    endpoints = json.loads((project.folder / ".tasker/dev.json").read_text())["endpoints"]
    assert endpoints["steps"] == f"tcp://127.0.0.1:{port}"
    assert endpoints["results"].startswith("ipc://"), "what nobody chose stays its own"
    project.is_healthy()
    assert any(line.startswith("{") for line in dev.output().splitlines()), "the form of its log"


def test_settings_that_are_not_usable_start_nothing(project: Project) -> None:
    (project.folder / "config").mkdir()
    (project.folder / "config/orchestrator.yaml").write_text("lgo: {}\n")
    code, said = project.tasker("dev")
    assert code == 2 and "lgo" in said


@pytest.mark.parametrize("how", ["option", "settings"])
def test_named_templates_must_exist(project: Project, how: str) -> None:
    if how == "settings":
        (project.folder / "config").mkdir()
        (project.folder / "config/orchestrator.yaml").write_text("templates_dir: nope\n")
    code, said = project.tasker("dev", *(["--templates", "nope"] if how == "option" else []))
    assert code == 2
    assert "there is no directory nope" in said
    assert not (project.folder / ".tasker").exists()


def test_below_a_running_one_it_says_so(project: Project) -> None:
    dev = project.start()
    below = project.folder / "some" / "where"
    below.mkdir(parents=True)
    code, said = project.tasker("dev", cwd=below)
    assert code == 1
    assert f"already runs above, in {project.folder}/.tasker (pid {dev.pid})" in said
    assert "--dir .tasker" in said
    assert not (below / ".tasker").exists()


def test_reload_without_a_worker_or_templates_is_refused(project: Project) -> None:
    code, said = project.tasker("dev", "--reload")
    assert code == 2 and "--worker" in said and "config/tasks" in said


def test_reload_says_nothing_of_the_signal_that_it_sends(project: Project) -> None:
    project.write("handlers.py", "1")
    dev = project.start("--reload", "--worker", "echo runs $(cat handlers.py); exec sleep 600")
    wait_until(lambda: count(dev, "runs 1") == 1, "the first run", on_fail=dev.tail)
    project.write("handlers.py", "22")
    wait_until(lambda: count(dev, "runs 22") == 1, "the second run", on_fail=dev.tail)
    assert "killed by signal" not in dev.output(), dev.tail()


def test_reload_loads_a_changed_template_and_keeps_the_old_one_when_it_is_bad(project: Project) -> None:
    template = "name: one\nnamespace_name: hello\nversion: 1.0.0\nstep_templates: [{{name: greet, {}: {}}}]\n"
    good = template.format("handler_class", "Greet")
    (project.folder / "config/tasks").mkdir(parents=True)
    project.write("config/tasks/one.yaml", good)
    dev = project.start("--reload", "--worker", "echo runs; exec sleep 600")
    wait_until(lambda: count(dev, "| runs") == 1, "the worker runs", on_fail=dev.tail)
    project.write("config/tasks/one.yaml", good.replace("Greet", "GreetAgain"))
    wait_until(lambda: count(dev, "one.yaml changed; 1 template") == 1, "it is loaded", on_fail=dev.tail)
    code, shown = project.tasker("template", "show", "hello/one")
    assert code == 0 and "GreetAgain" in shown, shown
    project.write("config/tasks/one.yaml", template.format("handler_clas", "Greet"))
    wait_until(lambda: count(dev, "one.yaml changed, and is not loaded") == 1, "refused", on_fail=dev.tail)
    wait_until(lambda: count(dev, "handler_clas") >= 1, "the fault is named", on_fail=dev.tail)
    assert "GreetAgain" in project.tasker("template", "show", "hello/one")[1]
    project.write("config/tasks/one.yaml", good)
    wait_until(lambda: count(dev, "one.yaml changed; 1 template") == 2, "mended", on_fail=dev.tail)
    assert count(dev, "| runs") == 1, "the worker needs no restart"
    assert dev.stop(60) == 0
