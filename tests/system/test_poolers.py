"""PgBouncer between Tasker and its database: used where it keeps a connection's backend, else refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psycopg
import pytest

from parts import System, SystemFactory, make_folder, tasker, wait_until
from tests.support import procs
from workers import NOOP, PYTHON_PATTERNS

FAILED = 1
UNREACHABLE = 3  # of the command line


class Bouncer:
    """PgBouncer before the server of a database, on a unix socket."""

    def __init__(self, system: System, mode: str, **more: object) -> None:
        found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
        assert found, "pgbouncer is not installed; run bin/setup"
        server = psycopg.conninfo.conninfo_to_dict(system.url)
        self.folder = make_folder("tasker-pb.")
        user = "postgres" if os.geteuid() == 0 else None
        settings = {
            "listen_addr": "",
            "listen_port": 6432,
            "unix_socket_dir": self.folder,
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": 20,
            **more,
        }
        config = self.folder / "pgbouncer.ini"
        lines = [f"* = host={server['host']} port={server.get('port', 5432)} user={server['user']}"]
        lines = [
            "[databases]",
            *lines,
            "[pgbouncer]",
            *(f"{key} = {value}" for key, value in settings.items()),
        ]
        config.write_text("\n".join(lines) + "\n")
        if user:
            shutil.chown(self.folder, user)
        self.url = psycopg.conninfo.make_conninfo(system.url, host=str(self.folder), port=6432)
        self.process = procs.Process([found, str(config)], self.folder / "log", cwd=Path("/"), user=user)

    def __enter__(self) -> Bouncer:
        def answers() -> bool:
            assert self.process.running(), self.process.output()
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError:
                return False
            return True

        wait_until(answers, "PgBouncer answers", on_fail=self.process.output)
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.mark.parametrize("robin", [0, 1], ids=["last_first", "round_robin"])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_changes_the_backend_is_refused(
    make_system: SystemFactory, mode: str, robin: int
) -> None:
    system = make_system(start=False, empty=True)
    with Bouncer(system, mode, server_round_robin=robin) as pooler:
        # Some backends are idle in the pool already.
        others = [psycopg.connect(pooler.url) for _ in range(3 if mode == "transaction" else 0)]
        for other in others:
            other.execute("SELECT 1")
        for other in others:
            other.close()
        said = tasker(pooler.url, "migrate", "up", code=UNREACHABLE).stderr
        assert "changes its backend between transactions" in said and "pool_mode = session" in said
        process = system.start_orchestrator(ready=False, TASKER_DATABASE_URL=pooler.url)
        assert process.wait() == FAILED, process.tail()
        assert "pool_mode = session" in process.output()
    assert system.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    tasker(system.url, "migrate", "up")  # what every test ends with needs a schema


def test_a_pooler_that_keeps_the_backend_is_used(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    with Bouncer(system, "session") as pooler:
        system.start_orchestrator(TASKER_DATABASE_URL=pooler.url)
        system.python_worker("python", PYTHON_PATTERNS, "--handlers", NOOP)
        done = tasker(pooler.url, "task", "submit", "bench/chain4", "--wait", "--timeout", "60")
        assert done.returncode == 0
        system.wait_for_verdicts()
        for worker in system.workers():
            assert worker.stop() == 0, worker.tail()
        assert system.orchestrator and system.orchestrator.stop() == 0
