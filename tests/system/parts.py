"""The real parts of a system test: a database of its own, the orchestrator, workers. All ended by pid."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Sequence

import psycopg
import zmq

from tests.support import pg, procs
from tests.support.procs import PATIENCE, ROOT

TASKER = procs.program("tasker")
ORCHESTRATOR = procs.program("tasker-orchestrator")
TEMPLATES = ROOT / "config" / "tasks"
# Every test must pass with any number of lanes; without this variable, with the default.
LANES = os.environ.get("TASKER_TEST_LANES", "")


def wait_until(
    condition: Callable[[], Any], what: str, limit_s: float = 30, on_fail: Callable[[], str] = str
) -> Any:
    """The condition's first true value. After the limit the test fails and says what was missing."""
    try:
        return procs.wait_until(condition, limit_s, what, interval=0.01)
    except procs.Timeout as timeout:
        raise AssertionError(f"{timeout}\n{on_fail()}") from None


def make_folder(prefix: str) -> Path:
    """Short, because it holds ipc sockets; reachable for PostgreSQL's own user."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    folder.chmod(0o755)
    return folder


class Databases:
    """Databases on one server, copied from one that is migrated and holds the example templates."""

    def __init__(self, url: str, passing: bool = False) -> None:
        """`passing`: the whole server goes away, so that nothing has to be dropped one by one."""
        self.url = url
        self.passing = passing
        self.template = f"tasker_system_{os.getpid()}_{uuid.uuid4().hex[:12]}"
        self.made: set[str] = set()
        self.create(self.template, "template0")
        tasker(self.url_of(self.template), "migrate", "up")
        tasker(self.url_of(self.template), "template", "load", str(TEMPLATES))

    def url_of(self, name: str) -> str:
        return psycopg.conninfo.make_conninfo(self.url, dbname=name)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def create(self, name: str, origin: str) -> None:
        self.execute(f"CREATE DATABASE {name} TEMPLATE {origin}")
        self.made.add(name)

    def fresh(self, empty: bool = False) -> str:
        """The name of a new database, without any table when `empty`."""
        name = f"tasker_system_{os.getpid()}_{uuid.uuid4().hex[:12]}"
        self.create(name, "template0" if empty else self.template)
        return name

    def drop(self, name: str) -> None:
        if not self.passing:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.made.discard(name)

    def close(self) -> None:
        for name in sorted(self.made):
            self.drop(name)


class OwnServer(pg.Cluster):
    """A server that a test may stop, since nobody else uses it."""

    def __enter__(self) -> OwnServer:
        super().__enter__()
        try:
            self.databases = Databases(self.url(), passing=True)
        except BaseException:
            self.remove()
            raise
        return self

    def crash(self) -> None:
        self.stop(signal.SIGQUIT)


def tasker(
    url: Optional[str], *arguments: str, code: int = 0, cwd: Path = Path("/")
) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a directory without a `.tasker/`, and checks its exit code."""
    variables = {**os.environ, **({"TASKER_DATABASE_URL": url} if url else {})}
    done = procs.run([TASKER, *arguments], check=False, env=variables, cwd=cwd)
    said = f"{done.stdout}\n{done.stderr}"
    assert (
        done.returncode == code
    ), f"tasker {' '.join(arguments)} exited with {done.returncode}, not {code}:\n{said}"
    return done


class Process(procs.Process):
    """One child of a test; standard output and standard error are in one log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        variables: dict[str, str],
        cwd: Path = ROOT,
        death_signal: str = "KILL",
    ) -> None:
        self.name = name
        log = folder / f"{name}.{uuid.uuid4().hex[:6]}.log"
        super().__init__(command, log, variables, cwd, death_signal)

    def tail(self, lines: int = 40) -> str:
        text = self.output().splitlines()[-lines:]
        return "\n".join([f"---- {self.name}: {self.describe()}", *text])

    def wait_for_log(self, pattern: str, limit_s: float = 20) -> None:
        what = f"{self.name} says /{pattern}/"
        wait_until(lambda: re.search(pattern, self.output()), what, limit_s, self.tail)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tcp_endpoints() -> dict[str, str]:
    return {part: f"tcp://127.0.0.1:{free_port()}" for part in ("steps", "results", "command")}


class System:
    """One database and what serves it. Settings are those of the orchestrator's configuration file."""

    def __init__(
        self,
        databases: Databases,
        transport: str = "ipc",
        settings: Optional[dict[str, Any]] = None,
        empty: bool = False,
    ) -> None:
        self.databases = databases
        self.database = databases.fresh(empty)
        self.url = databases.url_of(self.database)
        self.folder = make_folder("tasker-st.")
        self.endpoints = tcp_endpoints()
        if transport == "ipc":
            self.endpoints = {part: f"ipc://{self.folder}/{part}" for part in self.endpoints}
        self.effects_path = self.folder / "effects.jsonl"
        self.effects_path.touch()
        self.config = self.folder / "orchestrator.yaml"
        self.config.write_text(json.dumps(settings or {}))  # JSON is YAML
        self.processes: list[Process] = []
        self.orchestrator: Optional[Process] = None
        self.connection = psycopg.connect(self.url, autocommit=True)
        self.context = zmq.Context()

    # ------------------------------------------------------------------ parts

    def variables(self, **extra: str) -> dict[str, str]:
        return {
            "TASKER_DATABASE_URL": self.url,
            "TASKER_STEPS_ENDPOINT": self.endpoints["steps"],
            "TASKER_RESULTS_ENDPOINT": self.endpoints["results"],
            "TASKER_COMMAND_ENDPOINT": self.endpoints["command"],
            "TASKER_EFFECTS_LOG": str(self.effects_path),
            "PYTHONPATH": str(ROOT / "workers" / "python"),
            **({"TASKER_LANES": LANES} if LANES else {}),
            **extra,
        }

    def start(self, name: str, command: Sequence[str], **extra: str) -> Process:
        process = Process(name, command, self.folder, self.variables(**extra))
        self.processes.append(process)
        return process

    def start_orchestrator(self, ready: bool = True, **extra: str) -> Process:
        process = self.start("orchestrator", [ORCHESTRATOR, "--config", str(self.config)], **extra)
        self.orchestrator = process
        if ready:
            self.wait_for_orchestrator()
        return process

    def wait_for_orchestrator(self, limit_s: float = 30) -> None:
        process = self.orchestrator

        def ready() -> bool:
            assert process is not None and process.running(), self.logs()
            return "tasker-orchestrator ready" in process.output()

        wait_until(ready, "the orchestrator is ready", limit_s, self.logs)

    def python_worker(self, name: str, imports: Sequence[Path], *options: str, wait: bool = True) -> Process:
        command = [
            "/usr/bin/python3",
            "-m",
            "tasker_worker",
            "--worker-id",
            name,
            "--templates",
            str(TEMPLATES),
        ]
        for path in imports:
            command += ["--import", str(path)]
        return self.worker(name, [*command, "--namespace", "*", *options], wait)

    def ruby_worker(self, name: str, requires: Sequence[Path], *options: str, wait: bool = True) -> Process:
        command = [
            str(ROOT / "workers/ruby/exe/tasker-worker"),
            "--worker-id",
            name,
            "--templates",
            str(TEMPLATES),
        ]
        for path in requires:
            command += ["--require", str(path)]
        return self.worker(name, [*command, "--namespace", "*", *options], wait)

    def worker(self, name: str, command: Sequence[str], wait: bool) -> Process:
        process = self.start(name, command)
        if wait:
            self.wait_for_worker(name, process)
        return process

    def wait_for_worker(self, name: str, process: Process, limit_s: float = 30) -> None:
        def ready() -> bool:
            assert process.running(), process.tail()
            return any(w["worker_id"] == name and w["state"] == "ready" for w in self.health()["workers"])

        wait_until(ready, f"worker {name} is ready", limit_s, self.logs)

    # ------------------------------------------------------------------ questions

    def command(self, request: bytes, limit_s: float = 10) -> dict[str, Any]:
        """The answer to one request on the command endpoint."""
        with self.context.socket(zmq.REQ) as requester:
            requester.setsockopt(zmq.LINGER, 0)
            requester.connect(self.endpoints["command"])
            requester.send(request)
            assert requester.poll(int(limit_s * PATIENCE * 1000)), f"no answer to {request!r}\n{self.logs()}"
            answer: dict[str, Any] = json.loads(requester.recv())
            return answer

    def health(self) -> dict[str, Any]:
        return self.command(b'{"command": "health_check", "level": "detailed"}')

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        cursor = self.connection.execute(query.encode(), parameters)
        assert cursor.description is not None
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]

    def value(self, query: str, *parameters: Any) -> Any:
        row = self.connection.execute(query.encode(), parameters).fetchone()
        return row[0] if row else None

    def reconnect(self) -> None:
        self.connection.close()
        self.connection = psycopg.connect(self.url, autocommit=True)

    def steps(self, task_id: int) -> dict[str, dict[str, Any]]:
        rows = self.rows("SELECT * FROM tasker_workflow_steps WHERE task_id = %s ORDER BY 1", task_id)
        return {row["name"]: row for row in rows}

    def task_state(self, task_id: int) -> str:
        return str(self.value("SELECT state FROM tasker_tasks WHERE task_id = %s", task_id))

    def open_tasks(self) -> int:
        return int(self.value("SELECT count(*) FROM tasker_tasks WHERE state IN ('pending', 'in_progress')"))

    def effects(self) -> list[dict[str, Any]]:
        # A worker may be in the middle of writing the last line.
        lines = self.effects_path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    # ------------------------------------------------------------------ actions

    def submit(self, name: str, context: Any, *options: str) -> int:
        done = tasker(self.url, "task", "submit", name, "--context", json.dumps(context), *options, "--json")
        return int(json.loads(done.stdout)["task_id"])

    def submit_many(self, namespace: str, name: str, contexts: Sequence[Any]) -> list[int]:
        """In one transaction, through the function that every client uses."""
        requests = [
            {"namespace": namespace, "name": name, "version": "1.0.0", "context": c} for c in contexts
        ]
        rows = self.rows("SELECT task_id, problem FROM tasker_create_tasks(%s::jsonb)", json.dumps(requests))
        assert all(row["problem"] is None for row in rows), rows
        return [row["task_id"] for row in rows]

    def load_template(self, template: dict[str, Any]) -> None:
        path = self.folder / f"{template['name']}.yaml"
        path.write_text(json.dumps(template))
        tasker(self.url, "template", "load", str(path))

    def wait_for_end(self, limit_s: float = 60) -> None:
        wait_until(lambda: self.open_tasks() == 0, "every task has ended", limit_s, self.describe)

    def wait_for_task(self, task_id: int, state: str, limit_s: float = 30) -> None:
        def ended() -> bool:
            return self.task_state(task_id) not in ("pending", "in_progress")

        wait_until(ended, f"task {task_id} has ended", limit_s, self.describe)
        assert self.task_state(task_id) == state, self.describe()

    def wait_for_verdicts(self, limit_s: float = 30) -> None:
        pending = "SELECT count(*) FROM tasker_step_execution_batches WHERE reconciliation_status = 'pending'"
        wait_until(lambda: self.value(pending) == 0, "every batch is reconciled", limit_s, self.describe)

    # ------------------------------------------------------------------ when it goes wrong, and the end

    def logs(self) -> str:
        return "\n".join(process.tail() for process in self.processes)

    def describe(self) -> str:
        steps = "SELECT task_id, name, state, attempts, ready_key, error FROM tasker_workflow_steps"
        open_steps = self.rows(steps + " WHERE state NOT IN ('complete') ORDER BY workflow_step_id LIMIT 20")
        batches = self.rows(
            "SELECT batch_id, state, session, reconciliation_status, metadata"
            " FROM tasker_step_execution_batches"
            " WHERE reconciliation_status <> 'consistent' ORDER BY 1 LIMIT 20"
        )
        lines = [str(row) for row in [*open_steps, *batches]]
        return "\n".join(["open steps and batches:", *lines, self.logs()])

    def close(self) -> None:
        for process in reversed(self.processes):
            if process.running():
                process.kill()
        self.connection.close()
        self.context.destroy(linger=0)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.databases.drop(self.database)

    def workers(self) -> Iterator[Process]:
        return (
            process for process in self.processes if process is not self.orchestrator and process.running()
        )


SystemFactory = Callable[..., System]
