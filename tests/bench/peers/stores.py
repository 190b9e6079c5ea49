"""The private stores of one run: PostgreSQL, Redis or Restate, reachable by nobody else, ended by pid."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

import psycopg

from tests.support import pg, procs

# As in Tasker's own benchmarks: durable commits, room for the data, no checkpoint within a short run.
POSTGRES_SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "max_connections": "100",
}
RESTATE_PORTS = {"RESTATE_INGRESS__BIND_ADDRESS": 8080, "RESTATE_ADMIN__BIND_ADDRESS": 9070}


class NotUp(Exception):
    """A store did not start; the text has its log."""


class Postgres:
    """One cluster for the session, a new database for each run."""

    def __init__(self) -> None:
        self.cluster = pg.Cluster(POSTGRES_SETTINGS)

    def __enter__(self) -> Postgres:
        self.cluster.__enter__()
        return self

    def __exit__(self, *exception) -> None:
        self.cluster.__exit__(*exception)

    def fresh(self) -> dict:
        with psycopg.connect(self.cluster.url(), autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS bench WITH (FORCE)")
            connection.execute("CREATE DATABASE bench")
            connection.execute("CHECKPOINT")
        # The socket's folder as an encoded host: the one spelling that every URL parser of Node accepts.
        host = urllib.parse.quote(str(self.cluster.folder / "socket"), safe="")
        return {"url": f"postgresql://postgres@{host}:5432/bench"}

    def pids(self) -> list[int]:
        assert self.cluster.process is not None
        return [self.cluster.process.pid]

    def wrap(self, command: list[str]) -> list[str]:
        return command


class Folder:
    """A store that is a process with its data in a folder of its own; each run gets a new one."""

    def __init__(self) -> None:
        self.folder = Path()
        self.process: procs.Process | None = None

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="tasker-peer-", dir="/tmp"))
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception) -> None:
        if self.process is not None and self.process.running():
            self.process.signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except procs.Timeout:
                self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        raise NotImplementedError

    def launch(self, command: list[str], env: dict[str, str] | None = None) -> None:
        """Starts the process and waits until it answers."""
        process = procs.Process(command, self.folder / "log", env=env, cwd=self.folder)
        self.process = process

        def up() -> bool:
            if not process.running():
                raise NotUp(f"{process.describe()} did not start:\n{process.output()}")
            return self.answers()

        try:
            procs.wait_until(up, 60, f"{process.describe()} answers")
        except procs.Timeout as timeout:
            raise NotUp(f"{timeout}:\n{process.output()}") from None

    def answers(self) -> bool:
        raise NotImplementedError

    def pids(self) -> list[int]:
        assert self.process is not None
        return [self.process.pid]

    def wrap(self, command: list[str]) -> list[str]:
        return command


class Redis(Folder):
    """redis-server with an append-only file on a unix socket. `fsync`: everysec (the usual) or always."""

    def __init__(self, fsync: str):
        super().__init__()
        self.fsync = fsync

    def start(self) -> None:
        command = [
            "redis-server",
            "--port",
            "0",
            "--unixsocket",
            str(self.path()),
            "--unixsocketperm",
            "700",
        ]
        command += ["--dir", str(self.folder), "--appendonly", "yes", "--appendfsync", self.fsync]
        # No snapshots besides: they would compete with the run for the disk.
        self.launch([*command, "--save", "", "--daemonize", "no"])

    def path(self) -> Path:
        """Where the server listens."""
        return self.folder / "redis.sock"

    def answers(self) -> bool:
        # Asked by hand: a process that is still dying must not be asked with a tool that may be missing.
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(str(self.path()))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def fresh(self) -> dict:
        return {"redis": str(self.path())}


class Restate(Folder):
    """restate-server in a network namespace of its own, where there is nothing but a loopback.

    Some of its ports bind all interfaces, and it would ask the network for newer versions.
    """

    def __init__(self, binary: Path, partitions: int):
        super().__init__()
        self.binary = binary
        self.partitions = partitions

    def start(self) -> None:
        env = {
            "RESTATE_BASE_DIR": str(self.folder / "data"),
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_DEFAULT_NUM_PARTITIONS": str(self.partitions),
            "RESTATE_BIND_ADDRESS": "127.0.0.1:5122",
            "RESTATE_LOG_FILTER": "error",
        }
        env |= {name: f"127.0.0.1:{port}" for name, port in RESTATE_PORTS.items()}
        # Without root, a namespace needs a user namespace around it.
        unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
        script = 'ip link set lo up && exec "$0" --node-name bench'
        self.launch([*unshare, "sh", "-c", script, str(self.binary)], env)

    def answers(self) -> bool:
        admin = RESTATE_PORTS["RESTATE_ADMIN__BIND_ADDRESS"]
        ingress = RESTATE_PORTS["RESTATE_INGRESS__BIND_ADDRESS"]
        paths = (f"{admin}/health", f"{ingress}/restate/health")
        urls = [f"http://127.0.0.1:{path}" for path in paths]
        look = "import sys, urllib.request as u; [u.urlopen(url, timeout=2).read() for url in sys.argv[1:]]"
        done = procs.run(self.wrap(["/usr/bin/python3", "-c", look, *urls]), check=False)
        return done.returncode == 0

    def wrap(self, command: list[str]) -> list[str]:
        """A command that runs in the server's network."""
        assert self.process is not None
        enter = ["nsenter", "--target", str(self.process.pid), "--net"]
        return [*enter, *([] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]), "--", *command]

    def fresh(self) -> dict:
        return {}
