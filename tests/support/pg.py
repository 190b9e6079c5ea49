"""A private PostgreSQL for tests: a cluster of its own on a unix socket, and fresh migrated databases in it.

As a program it runs a command with such a server: pg.py COMMAND … sets TASKER_TEST_PG_URL for it.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
from tests.support import procs  # noqa: E402

# Durability is what the tests do not need: their machine may crash, their database is gone then anyway.
FAST_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
    "max_connections": "200",
}
# PostgreSQL refuses to run as root.
SERVER_USER = "postgres" if os.geteuid() == 0 else None


def find_server() -> Path:
    """The folder of postgres and initdb: TASKER_PG_BIN, else the newest one installed."""
    chosen = os.environ.get("TASKER_PG_BIN")
    if chosen:
        return Path(chosen)
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if not folders:
        raise FileNotFoundError("PostgreSQL is not installed; run bin/setup")
    return max(folders, key=lambda path: float(path.parent.name))


def give(path: Path, user: str | None) -> None:
    """Lets the server's own user write there, where we are root."""
    if user is not None:
        owner = pwd.getpwnam(user)
        os.chown(path, owner.pw_uid, owner.pw_gid)


class QuickFolder:
    """A folder for TASKER_PG_BIN in which initdb is done once and then copied (see initdb_once).

    As a context manager it makes the folder, sets the variable for this process and its children, and takes
    both back. Where the variable is set already, by a person or by who started us, nothing happens.
    """

    def __enter__(self) -> QuickFolder:
        self.folder: Path | None = None
        if os.environ.get("TASKER_PG_BIN"):
            return self
        server = find_server()
        self.folder = Path(tempfile.mkdtemp(prefix="tasker-pgbin-", dir="/tmp"))
        self.folder.chmod(0o711)
        for program in server.iterdir():
            if program.name != "initdb":
                (self.folder / program.name).symlink_to(program)
        (self.folder / "real").symlink_to(server)
        shutil.copy(Path(__file__).with_name("initdb_once"), self.folder / "initdb")
        (self.folder / "initdb").chmod(0o755)
        (self.folder / "made").mkdir(mode=0o700)
        give(self.folder / "made", SERVER_USER)
        os.environ["TASKER_PG_BIN"] = str(self.folder)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.folder is not None:
            del os.environ["TASKER_PG_BIN"]
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


class Cluster:
    """One server. Use it as a context manager; stop() and start() restart it on the same data and socket."""

    def __init__(self, settings: dict[str, str] | None = None):
        self.folder = Path(tempfile.mkdtemp(prefix="tasker-test-", dir="/tmp"))
        self.settings = {**FAST_SETTINGS, "shared_buffers": "128MB", **(settings or {})}
        self.user = SERVER_USER
        self.server = find_server()
        self.process: procs.Process | None = None

    def __enter__(self) -> Cluster:
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_exception) -> None:
        self.remove()

    def _initialise(self) -> None:
        for name in ("data", "socket"):
            (self.folder / name).mkdir(mode=0o700)
        if self.user is not None:
            self.folder.chmod(0o711)
        for name in ("data", "socket"):
            give(self.folder / name, self.user)
        arguments: list[str | Path] = [
            self.server / "initdb",
            "-D",
            self.folder / "data",
            "-U",
            "postgres",
            "-A",
            "trust",
        ]
        arguments += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        made = procs.Process(arguments, self.folder / "initdb.log", cwd=Path("/"), user=self.user)
        if made.wait(120) != 0:
            raise RuntimeError(f"initdb failed:\n{made.output()}")

    def launch(self) -> procs.Process:
        """Starts the server and waits for nothing."""
        arguments: list[str | Path] = [self.server / "postgres", "-D", self.folder / "data"]
        arguments += ["-k", self.folder / "socket", "-h", ""]
        settings = {"port": "5432", "unix_socket_permissions": "0700", "timezone": "UTC", **self.settings}
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        self.process = procs.Process(
            arguments, self.folder / "server.log", cwd=Path("/"), user=self.user, death_signal="INT"
        )
        return self.process

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        process = self.launch()

        def answers() -> bool:
            if not process.running():
                raise RuntimeError(f"PostgreSQL did not start:\n{process.output()}")
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
            except psycopg.OperationalError:
                return False
            return True

        procs.wait_until(answers, 120, "PostgreSQL answers")

    def stop(self, how: int = signal.SIGINT, limit: float = 60.0) -> None:
        """Stops it: SIGINT fast (default), SIGQUIT immediate, as after a crash."""
        if self.process is not None and self.process.running():
            self.process.signal(how)
            self.process.wait(limit)

    def remove(self) -> None:
        try:
            self.stop()
        except procs.Timeout:
            if self.process is not None:
                self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        # With a user before the @, so that generic URL parsers keep the empty host.
        return f"postgresql://postgres@/{database}?host={self.folder / 'socket'}&port=5432"


class Server:
    """A server to make databases on: the shared one of bin/test (TASKER_TEST_PG_URL) or a Cluster."""

    def __init__(self, url: str):
        self.url = url
        self._template: str | None = None

    def database_url(self, name: str) -> str:
        return psycopg.conninfo.make_conninfo(self.url, dbname=name)

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)

    def _migrated_template(self) -> str:
        if self._template is None:
            name = f"tasker_py_template_{os.getpid()}_{secrets.token_hex(4)}"
            self._execute(f"CREATE DATABASE {name} TEMPLATE template0")
            procs.run([procs.program("tasker"), "migrate", "up", "--database", self.database_url(name)])
            self._template = name
        return self._template

    def create_database(self, migrated: bool = True) -> str:
        """The name of a fresh database; drop it with drop_database()."""
        name = f"tasker_py_{os.getpid()}_{secrets.token_hex(6)}"
        origin = self._migrated_template() if migrated else "template0"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {origin}")
        return name

    def drop_database(self, name: str) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def close(self) -> None:
        if self._template is not None:
            self.drop_database(self._template)
            self._template = None


def main() -> int:
    if len(sys.argv) < 2:
        print("usage: pg.py COMMAND [ARGUMENT …]", file=sys.stderr)
        return 2
    with Cluster() as cluster:
        environment = {**os.environ, "TASKER_TEST_PG_URL": cluster.url()}
        return subprocess.run(sys.argv[1:], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
