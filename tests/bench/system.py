"""The product under measurement: an orchestrator on a database of the benchmark's server, and workers."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import zmq

from tests.bench import figures, templates
from tests.bench.server import Server
from tests.support import procs

ROOT = procs.ROOT
PROGRAMS = ("tasker", "tasker-orchestrator", "tasker-bench-worker", "tasker-bench-floor")
READY_LIMIT_S = 60.0
LANE = "tasker-orchestrator lane"


@dataclass(frozen=True)
class Workers:
    """How many worker processes of which kind, and what each is told to serve."""

    kind: str = "native"  # native | python | ruby
    count: int = 1
    capacity: int = 100
    handlers: str = templates.NOOP
    namespace: str = templates.NAMESPACE
    code: Path | None = None  # the handlers' file; none: the no-op sample
    sessions: int = 1  # native only: sessions in one process


def check_programs(build: Path) -> None:
    for program in PROGRAMS:
        if not (build / "bin" / program).exists():
            raise SystemExit(
                f"{build}/bin/{program} is missing: run bin/setup, or name the folder with --build"
            )


class System:
    """Context manager: everything it started has ended when it is left."""

    def __init__(self, server: Server, build: Path, database: str = "product", batch_size: int | None = None):
        self.server = server
        self.build = build
        self.database = database
        self.batch_size = batch_size
        self.folder = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))
        self.processes = procs.Processes(self.folder)
        self.workers: list[procs.Process] = []
        self._latency_files: list[Path] = []
        self._sessions_before: set[str] = set()
        self._context = zmq.Context()

    def __enter__(self) -> System:
        try:
            self.server.create_database(self.database)
            procs.run([self.program("tasker"), "migrate", "up"], env=self.environment())
            self.connection = self.server.connect(self.database)
            self.start_orchestrator()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.processes.end_all()
        self._context.destroy(0)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ------------------------------------------------------------------ the orchestrator

    def program(self, name: str) -> str:
        return str(self.build / "bin" / name)

    def endpoint(self, name: str) -> str:
        return f"ipc://{self.folder}/{name}"

    def environment(self) -> dict[str, str]:
        """Ours without what would lead to somebody's own database or orchestrator."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TASKER_")}
        return {
            **kept,
            "TASKER_DATABASE_URL": self.server.url(self.database),
            "TASKER_STEPS_ENDPOINT": self.endpoint("steps"),
            "TASKER_RESULTS_ENDPOINT": self.endpoint("results"),
            "TASKER_COMMAND_ENDPOINT": self.endpoint("command"),
            "PYTHONPATH": str(ROOT / "workers/python"),
        }

    def start_orchestrator(self) -> None:
        command = [self.program("tasker-orchestrator")]
        if self.batch_size is not None:
            (self.folder / "orchestrator.yaml").write_text("log: { level: info }\n")
            (self.folder / "zeromq.yaml").write_text(f"step_execution:\n  batch_size: {self.batch_size}\n")
            command += ["--config", str(self.folder / "orchestrator.yaml")]
        self.orchestrator = self.processes.start(
            "orchestrator", command, env=self.environment(), cwd=self.folder
        )
        self.orchestrator.wait_for_output("ready", READY_LIMIT_S)

    def stop_orchestrator(self) -> None:
        self.orchestrator.stop()

    def lane_backend(self) -> int:
        """The process of PostgreSQL that runs the orchestrator's turns."""
        row = self.connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()",
            (LANE,),
        ).fetchone()
        return row[0] if row else 0

    # ------------------------------------------------------------------ workers

    def start_workers(self, workers: Workers) -> None:
        if not self.workers:
            # Sessions that were just ended may still be listed as ready: their goodbye is on its way.
            self._sessions_before = self.ready_sessions()
        for _ in range(workers.count):
            name = f"worker-{len(self.processes.started)}"
            command = self._native(workers, name) if workers.kind == "native" else self._sdk(workers)
            self.workers.append(self.processes.start(name, command, env=self.environment(), cwd=ROOT))

    def _native(self, workers: Workers, name: str) -> list[str]:
        latencies = self.folder / f"{name}.json"
        self._latency_files.append(latencies)
        command = [self.program("tasker-bench-worker"), self.endpoint("steps"), self.endpoint("results")]
        command += [str(workers.capacity), workers.handlers, workers.namespace]
        return command + ["--sessions", str(workers.sessions), "--latencies", str(latencies)]

    def _sdk(self, workers: Workers) -> list[str]:
        folder = ROOT / "workers" / workers.kind
        if workers.kind == "python":
            command = ["/usr/bin/python3", "-m", "tasker_worker", "--import"]
            command.append(str(workers.code or folder / "samples/noop.py"))
        else:
            command = [str(folder / "exe/tasker-worker"), "--require"]
            command.append(str(workers.code or folder / "samples/noop.rb"))
        command += ["--capacity", str(workers.capacity), "--handlers", workers.handlers]
        command += ["--namespace", workers.namespace, "--templates", str(ROOT / "config/tasks")]
        return command + ["--log-level", "warn"]

    def wait_for_workers(self, sessions: int) -> None:
        """Until that many sessions of the workers that run now are ready."""
        deadline = time.monotonic() + READY_LIMIT_S
        while True:
            self.check_workers()
            ready = len(self.ready_sessions() - self._sessions_before)
            if ready >= sessions:
                return
            if time.monotonic() > deadline:
                limit = f"{READY_LIMIT_S:.0f} s"
                raise SystemExit(f"only {ready} of {sessions} sessions were ready within {limit}")
            time.sleep(0.05)

    def ready_sessions(self) -> set[str]:
        """The sessions that may be given work, as the orchestrator itself says at its command endpoint."""
        with self._context.socket(zmq.REQ) as requester:
            requester.setsockopt(zmq.LINGER, 0)
            requester.connect(self.endpoint("command"))
            requester.send(b'{"command": "health_check", "level": "detailed"}')
            if not requester.poll(int(READY_LIMIT_S * 1000)):
                raise SystemExit(f"the orchestrator does not answer: {self.orchestrator.output()[-2000:]}")
            answer = json.loads(requester.recv())
        return {worker["session"] for worker in answer["workers"] if worker["state"] == "ready"}

    def check_workers(self) -> None:
        for process in [*self.workers, self.orchestrator]:
            if not process.running():
                raise SystemExit(f"{process.describe()}; its last output:\n{process.output()[-2000:]}")

    def stop_workers(self) -> figures.Figures:
        """Ends them; returns percentiles of "result sent → next step received" where workers keep them."""
        for process in self.workers:
            process.signal(15)
        for process in self.workers:
            process.stop()
        self.workers = []
        written = [file for file in self._latency_files if file.exists()]
        histograms = [json.loads(file.read_text())["next_step_us"] for file in written]
        self._latency_files = []
        return figures.bucket_percentiles(figures.merge_buckets(histograms), "next_step")

    # ------------------------------------------------------------------ the database

    def value(self, query: str, parameters: tuple = ()):
        row = self.connection.execute(query.encode(), parameters).fetchone()
        assert row is not None
        return row[0]

    def wait_for_tasks(self, first: int, last: int, limit_s: float) -> None:
        """Until none of these tasks is open. Spans come from the database, so this pace does not count."""
        deadline = time.monotonic() + limit_s
        # The last ones to end are most often the youngest: they are looked at first.
        query = (
            "SELECT task_id FROM tasker_tasks WHERE task_id BETWEEN %s AND %s"
            " AND state IN ('pending', 'in_progress') ORDER BY task_id DESC LIMIT 1"
        )
        while self.connection.execute(query, (first, last)).fetchone() is not None:
            self.check_workers()
            if time.monotonic() > deadline:
                raise SystemExit(f"tasks {first} to {last} did not all end within {limit_s:.0f} s")
            time.sleep(0.05)
