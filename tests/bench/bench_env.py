"""What a benchmark runs on: a private PostgreSQL, the orchestrator and its workers, all ended by pid."""

import os
import platform
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PG_BIN = Path("/usr/lib/postgresql/15/bin")
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "max_connections": "50",
}
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids) -> float:
    """User and system time of these processes and of their ended children, in seconds."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15])
    return total / TICKS


def descendants(pid: int) -> list[int]:
    found = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found.extend(descendants(int(child)))
    except OSError:
        pass
    return found


class Environment:
    def __init__(self, build: str, worker: str):
        self.build = Path(build)
        self.worker = worker
        self.workers: list[subprocess.Popen] = []
        self.orchestrator: subprocess.Popen | None = None
        self.postgres_pid = 0
        self.folder = Path()

    def __enter__(self):
        for program in ("tasker", "tasker-orchestrator", "tasker-bench-worker"):
            if not (self.build / "bin" / program).exists():
                raise SystemExit(f"{self.build}/bin/{program} is missing: run bin/setup first")
        self.folder = Path(tempfile.mkdtemp(prefix="tasker-bench."))
        self.folder.chmod(0o755)
        try:
            self.start_postgres()
            self.start_orchestrator()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop_workers()
        if self.orchestrator:
            end(self.orchestrator)
        if self.postgres_pid:
            self.as_postgres(
                [str(PG_BIN / "pg_ctl"), "-D", str(self.folder / "pg"), "-m", "fast", "-w", "stop"]
            )
        shutil.rmtree(self.folder, ignore_errors=True)

    def as_postgres(self, command: list[str]) -> None:
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")

    def start_postgres(self) -> None:
        if os.geteuid() == 0:
            os.chown(self.folder, pwd.getpwnam("postgres").pw_uid, -1)
        data = self.folder / "pg"
        self.as_postgres(
            [str(PG_BIN / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8"]
        )
        settings = " ".join(f"-c {name}='{value}'" for name, value in POSTGRES_SETTINGS.items())
        self.as_postgres(
            [str(PG_BIN / "pg_ctl"), "-D", str(data), "-l", str(self.folder / "pg.log"), "-w", "start"]
            + ["-o", f"-k {self.folder} -p 5432 {settings}"]
        )
        self.postgres_pid = int((data / "postmaster.pid").read_text().split()[0])
        self.url = f"postgresql://postgres@/postgres?host={self.folder}"
        self.variables = {
            **os.environ,
            "TASKER_DATABASE_URL": self.url,
            "TASKER_STEPS_ENDPOINT": f"ipc://{self.folder}/steps",
            "TASKER_RESULTS_ENDPOINT": f"ipc://{self.folder}/results",
            "TASKER_COMMAND_ENDPOINT": f"ipc://{self.folder}/command",
        }
        migrate = [str(self.build / "bin" / "tasker"), "migrate", "up"]
        subprocess.run(migrate, check=True, capture_output=True, text=True, env=self.variables)

    def start_orchestrator(self) -> None:
        log = open(self.folder / "orchestrator.log", "w")
        self.orchestrator = subprocess.Popen(
            [str(self.build / "bin" / "tasker-orchestrator")],
            env=self.variables,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        line = self.orchestrator.stdout.readline()
        if "ready" not in line:
            raise SystemExit(
                "the orchestrator did not start:\n" + (self.folder / "orchestrator.log").read_text()
            )

    def start_workers(self, count: int, capacity: int) -> None:
        endpoints = [self.variables["TASKER_STEPS_ENDPOINT"], self.variables["TASKER_RESULTS_ENDPOINT"]]
        commands = {
            "native": [str(self.build / "bin" / "tasker-bench-worker"), *endpoints, str(capacity)],
            "python": [
                "/usr/bin/python3",
                "-m",
                "tasker_worker",
                "--import",
                str(ROOT / "workers/python/samples/noop.py"),
            ],
            "ruby": [
                str(ROOT / "workers/ruby/exe/tasker-worker"),
                "--require",
                str(ROOT / "workers/ruby/samples/noop.rb"),
            ],
        }
        command = commands[self.worker]
        if self.worker != "native":
            command += [
                "--capacity",
                str(capacity),
                "--handlers",
                "Bench::NoopHandler",
                "--namespace",
                "bench",
            ]
            command += ["--templates", str(ROOT / "config/tasks"), "--log-level", "warn"]
        variables = {**self.variables, "PYTHONPATH": str(ROOT / "workers/python")}
        log = open(self.folder / "workers.log", "a")
        for _ in range(count):
            self.workers.append(subprocess.Popen(command, env=variables, stdout=log, stderr=log))

    def check_workers(self) -> None:
        for worker in self.workers:
            if worker.poll() is not None:
                log = (self.folder / "workers.log").read_text(errors="replace")[-2000:]
                raise SystemExit(f"a worker ended with exit code {worker.returncode}:\n{log}")

    def stop_workers(self) -> None:
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            end(worker)
        self.workers = []

    def counters(self, connection) -> dict:
        row = connection.execute(
            "SELECT clock_timestamp(),"
            " (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),"
            " pg_current_wal_lsn() - '0/0'::pg_lsn"
        ).fetchone()
        return {
            "at": row[0],
            "commits": row[1],
            "wal": int(row[2]),
            "cpu": {
                "orchestrator": cpu_seconds([self.orchestrator.pid]),
                "postgres": cpu_seconds(descendants(self.postgres_pid)),
                "workers": cpu_seconds([worker.pid for worker in self.workers]),
            },
        }

    def describe(self) -> list[str]:
        model = next(
            (
                line.split(":")[1].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if "model name" in line
            ),
            platform.machine(),
        )
        commit = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        )
        version = subprocess.run(
            [str(PG_BIN / "postgres"), "--version"], capture_output=True, text=True
        ).stdout.strip()
        return [
            f"machine: {os.cpu_count()} × {model}, {platform.system()} {platform.release()}",
            f"commit:  {commit.stdout.strip() or 'unknown'}",
            f"server:  {version}; "
            + ", ".join(f"{name}={value}" for name, value in POSTGRES_SETTINGS.items() if value),
            f"python:  {sys.version.split()[0]}; worker: {self.worker}",
        ]


def end(process: subprocess.Popen, limit_s: float = 10) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout:
        process.stdout.close()
