"""Settings whose effect shows only between real processes; the others are in tests/unit/daemon."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional

import pytest
import zmq

from fake_worker import FakeWorker
from parts import ORCHESTRATOR, PATIENCE, TASKER, Process, System, SystemFactory, tasker, wait_until
from tests.support import procs
from workers import ECHO, NOOP, PYTHON_PATTERNS, chain

BAD_SETTINGS = 2
QUICK = {
    "timers": {
        "heartbeat_ms": 100,
        "suspect_after_ms": 300,
        "accept_timeout_ms": 300,
        "disconnect_grace_ms": 300,
        "start_window_ms": 300,
        "lease_ms": 500,
    }
}


def write_template(folder: Path, name: str, steps: int) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(chain(name, NOOP, steps)))
    return path


def revision(system: System, name: str) -> Optional[int]:
    newest: Optional[int] = system.value(
        "SELECT max(r.revision) FROM tasker_task_templates r JOIN tasker_named_tasks n USING (named_task_id)"
        " WHERE n.name = %s",
        name,
    )
    return newest


# ---------------------------------------------------------------------- templates_dir


def test_templates_dir_is_loaded_before_it_serves_and_unchanged_files_write_nothing(
    make_system: SystemFactory,
) -> None:
    system = make_system(start=False)
    folder = system.folder / "templates"
    write_template(folder, "mine", 1)
    settings = {"templates_dir": str(folder)}
    system.config.write_text(json.dumps(settings))
    orchestrator = system.start_orchestrator()
    # The ready line comes after it: a task can be submitted at once.
    assert revision(system, "mine") == 1
    assert "changed=1" in orchestrator.output()
    assert orchestrator.stop() == 0

    orchestrator = system.start_orchestrator()
    assert revision(system, "mine") == 1
    assert "changed=0" in orchestrator.output()
    assert orchestrator.stop() == 0

    write_template(folder, "mine", 2)
    system.start_orchestrator()
    assert revision(system, "mine") == 2
    system.python_worker("python", PYTHON_PATTERNS, "--handlers", NOOP)
    system.wait_for_task(system.submit("tests/mine", {}), "complete")
    system.wait_for_verdicts()


def test_a_bad_template_stops_the_start_naming_file_line_and_field(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    folder = system.folder / "templates"
    write_template(folder, "good", 1)
    bad = folder / "zbad.yaml"
    bad.write_text(
        "name: bad\nnamespace_name: tests\nversion: 1.0.0\nstep_templates:\n"
        "  - name: only\n    handler_class: X\n    timeout_seconds: soon\n"
    )
    process = system.start_orchestrator(ready=False, TASKER_TEMPLATES_DIR=str(folder))
    assert process.wait() == BAD_SETTINGS, process.tail()
    output = process.output()
    assert f"{bad}:7:" in output and "step_templates[0].timeout_seconds" in output, output
    assert revision(system, "good") is None, "all files or none"
    assert system.value("SELECT count(*) FROM tasker_orchestrators") == 0
    done = procs.run(
        [ORCHESTRATOR, "--check-config"], check=False, env=system.variables(TASKER_TEMPLATES_DIR=str(folder))
    )
    assert done.returncode == BAD_SETTINGS and f"{bad}:7:" in done.stderr


# ---------------------------------------------------------------------- looking at settings


def test_a_database_address_that_is_none_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    config = tmp_path / "orchestrator.yaml"
    config.write_text("database:\n  url: nonsense\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TASKER_")}
    in_variable = {**clean, "TASKER_DATABASE_URL": "postgresql://u:geheim@h:99999/x"}
    program = TASKER
    for command, env, named in (
        ([ORCHESTRATOR, "--config", config, "--check-config"], clean, f"{config}:2"),
        ([ORCHESTRATOR, "--config", config], clean, "database.url"),
        ([ORCHESTRATOR, "--check-config"], in_variable, "TASKER_DATABASE_URL"),
        ([program, "task", "list", "--database", "nonsense"], clean, "--database"),
        ([program, "dev", "--database", "nonsense"], clean, "--database"),
        ([program, "task", "list"], in_variable, "TASKER_DATABASE_URL"),
        ([program, "task", "list", "--config", config], clean, f"{config}:2"),
    ):
        done = procs.run([str(word) for word in command], check=False, env=env, cwd=tmp_path)
        assert done.returncode == BAD_SETTINGS and named in done.stderr, (command, done.stderr)
        assert "geheim" not in done.stderr


def test_the_settings_in_force_are_shown_with_where_they_came_from(tmp_path: Path) -> None:
    config = tmp_path / "orchestrator.yaml"
    config.write_text("log:\n  level: debug\n")
    env = {name: value for name, value in os.environ.items() if not name.startswith("TASKER_")}
    env["TASKER_DATABASE_URL"] = "postgresql://u:geheim@h/x"

    def shown(*command: object) -> str:
        return procs.run([str(word) for word in command], env=env, cwd=tmp_path).stdout

    program = TASKER
    for asked in (ORCHESTRATOR, program):
        text = shown(asked, "--config", config, "--show-config")
        assert "geheim" not in text
        lines = [" ".join(line.split()) for line in text.splitlines()]
        assert f"log.level: debug # {config}:2" in lines
        assert "timers.lease_ms: 8000 # default" in lines
        assert "database.url: postgresql://u:***@h/x # environment variable TASKER_DATABASE_URL" in lines
        answer = json.loads(shown(asked, "--config", config, "--show-config", "--json"))
        assert answer["settings"]["log.level"] == {
            "value": "debug",
            "from": "file",
            "file": str(config),
            "line": 2,
        }
        assert answer["files"] == [str(config)]
    option = shown(program, "--show-config", "--database", "postgresql://v@h/y")
    assert option.splitlines()[0] == "# commands use postgresql://v@h/y, from --database"


def test_a_standby_loads_its_templates_when_it_takes_over(make_system: SystemFactory) -> None:
    system = make_system()
    assert system.orchestrator
    folder = system.folder / "templates"
    write_template(folder, "later", 1)
    elsewhere = {part: f"ipc://{system.folder}/second-{part}" for part in system.endpoints}
    serving = system.orchestrator
    standby = system.start_orchestrator(
        ready=False,
        TASKER_TEMPLATES_DIR=str(folder),
        **{f"TASKER_{part.upper()}_ENDPOINT": endpoint for part, endpoint in elsewhere.items()},
    )
    standby.wait_for_log("tasker-orchestrator standby")
    assert revision(system, "later") is None
    # What it loads is what stands there when it takes over.
    write_template(folder, "later", 3)
    assert serving.stop() == 0
    system.endpoints = elsewhere
    system.wait_for_orchestrator()
    assert revision(system, "later") == 1
    assert (
        system.value(
            "SELECT count(*) FROM tasker_task_template_steps s JOIN tasker_task_templates r"
            " USING (task_template_id) JOIN tasker_named_tasks n USING (named_task_id)"
            " WHERE n.name = 'later'"
        )
        == 3
    )


# ---------------------------------------------------------------------- database.connect_timeout_ms


@contextmanager
def silent_server() -> Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    taken = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)

        def take() -> None:
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"postgresql://nobody@127.0.0.1:{listener.getsockname()[1]}/nothing?sslmode=disable"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for one in taken:
        one.close()


def seconds_to_give_up(url: str, config: Path) -> float:
    began = time.monotonic()
    tasker(url, "--config", str(config), "task", "list", code=3)
    return time.monotonic() - began


@pytest.mark.alone
def test_connect_timeout_limits_every_attempt_to_connect(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    with silent_server() as url:
        for limit_s in (2, 4):
            system.config.write_text(json.dumps({"database": {"connect_timeout_ms": limit_s * 1000}}))
            took = seconds_to_give_up(url, system.config)
            assert limit_s * 0.9 <= took < limit_s + 1.5 * PATIENCE, f"{took} s instead of {limit_s} s"
            # The URL's own word counts more.
            assert seconds_to_give_up(url + "&connect_timeout=3", system.config) >= 2.7

        began = time.monotonic()
        process = system.start_orchestrator(ready=False, TASKER_DATABASE_URL=url)
        process.wait_for_log("database not reachable, trying again")
        assert time.monotonic() - began >= 3.5, "it waited for the 4 s of its settings"
        assert process.stop() == 0, process.tail()


# ---------------------------------------------------------------------- delivery.prefetch


def test_prefetch_holds_for_a_session_that_names_none(make_system: SystemFactory) -> None:
    system = make_system(settings={"delivery": {"prefetch": 5}, "step_execution": {"batch_size": 3}})
    system.load_template(chain("one", NOOP, 1))
    with FakeWorker(system, [NOOP], capacity=2) as worker:
        system.submit_many("tests", "one", [{}] * 30)
        wait_until(lambda: len(worker.held) >= 10, "its hands are full", on_fail=system.describe)
        assert len(worker.held) == 10, "capacity 2 times prefetch 5"
        finished: set[str] = set()
        most = 0

        def work() -> bool:
            nonlocal most
            for number in range(1, len(worker.batch_frames) + 1):
                batch = worker.batch(number)
                most = max(most, len(worker.held))
                if batch["batch_id"] in finished:
                    continue
                finished.add(batch["batch_id"])
                for sequence, step in enumerate(batch["steps"], 1):
                    worker.partial(batch, step, sequence)
                worker.completion(batch, len(batch["steps"]) + 1, ["completed"] * len(batch["steps"]))
            return system.open_tasks() == 0

        wait_until(work, "all tasks have ended", on_fail=system.describe)
        assert most <= 10
        system.wait_for_verdicts()


# ---------------------------------------------------------------------- step_execution.result_timeout_ms


def test_result_timeout_ends_a_batch_that_the_plain_worker_keeps(make_system: SystemFactory) -> None:
    """The steps themselves would have 10 minutes each."""
    settings = {**QUICK, "step_execution": {"result_timeout_ms": 2000}}
    system = make_system(settings=settings)
    system.load_template(chain("kept", ECHO, 1, timeout_seconds=600, default_retryable=False))
    with system.context.socket(zmq.SUB) as steps:
        steps.connect(system.endpoints["steps"])
        steps.subscribe(b"steps ")
        task_id = system.submit("tests/kept", {})
        assert steps.poll(int(30_000 * PATIENCE)), "no batch came\n" + system.describe()
        system.wait_for_task(task_id, "error")
        # Since before it was sent: how soon we receive it is no part of the time.
        since = "SELECT extract(epoch FROM clock_timestamp() - created_at)::float8"
        took = float(system.value(since + " FROM tasker_step_execution_batches"))
        assert 2.0 <= took < 10 * PATIENCE, f"timed out after {took} s"
    assert system.steps(task_id)["s1"]["error"]["error_type"], system.describe()


# ---------------------------------------------------------------------- the endpoints of workers


def test_workers_connect_where_the_settings_say(make_system: SystemFactory) -> None:
    """The orchestrator and the worker read the same zeromq.yaml, and no variable."""
    system = make_system(start=False)
    bound = {part: f"ipc://{system.folder}/named-{part}" for part in system.endpoints}
    (system.folder / "zeromq.yaml").write_text(
        json.dumps(
            {
                "step_execution": {
                    "step_publisher": bound["steps"],
                    "result_subscriber": bound["results"],
                    "command": bound["command"],
                    "handler_step_subscriber": [f"ipc://{system.folder}/nobody", bound["steps"]],
                    "handler_result_publisher": [f"ipc://{system.folder}/nobody", bound["results"]],
                }
            }
        )
    )
    none = {f"TASKER_{part.upper()}_ENDPOINT": "" for part in bound}
    system.start_orchestrator(**none)
    system.endpoints = bound
    command = ["/usr/bin/python3", "-m", "tasker_worker", "--worker-id", "python", "--namespace", "*"]
    for path in PYTHON_PATTERNS:
        command += ["--import", str(path)]
    command += ["--config", str(system.folder / "zeromq.yaml"), "--handlers", NOOP]
    system.wait_for_worker("python", system.start("python", command, **none))


# ---------------------------------------------------------------------- log.*


def test_the_log_is_as_detailed_and_of_the_form_that_the_settings_say(make_system: SystemFactory) -> None:
    system = make_system(start=False, settings={"log": {"format": "json", "level": "error"}})
    orchestrator = system.start_orchestrator()
    assert [line for line in orchestrator.output().splitlines() if line.startswith("{")] == []
    assert orchestrator.stop() == 0
    system.config.write_text(json.dumps({"log": {"format": "json", "level": "info"}}))
    orchestrator = system.start_orchestrator()
    lines = [json.loads(line) for line in orchestrator.output().splitlines() if line.startswith("{")]
    assert any(line.get("message", line.get("msg")) == "ready" for line in lines), lines


# ---------------------------------------------------------------------- reserved


def test_a_reserved_setting_is_refused_by_name(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    process: Process = system.start_orchestrator(ready=False, TASKER_HTTP_BIND="127.0.0.1:8080")
    assert process.wait() == BAD_SETTINGS
    assert "http.bind is reserved until the HTTP interface exists" in process.output()
    reference = procs.run([ORCHESTRATOR, "--help-settings"], check=True).stdout
    assert "Reserved until the HTTP interface exists" in reference[reference.index("http.bind") :]
