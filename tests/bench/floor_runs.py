"""The floor: what PostgreSQL needs for the same rows without an orchestrator (floor/, tasker-bench-floor)."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from tests.bench import figures, templates
from tests.bench.processes import cpu_seconds, descendants
from tests.bench.server import Server
from tests.support import procs

LIMIT_S = 600.0


class Floor:
    """A migrated database of its own on the benchmark's server, in which no orchestrator runs."""

    def __init__(self, server: Server, build: Path, template: templates.Template, database: str = "floor"):
        self.server = server
        self.build = build
        self.name = template["name"]
        self.database = database
        self.epoch = 0
        server.create_database(database)
        procs.run([build / "bin/tasker", "migrate", "up", "--database", server.url(database)])
        self.connection = server.connect(database)
        templates.register(self.connection, template)

    def run(
        self, tasks: int, turn: int, batch_size: int = 10, connections: int = 1, warm_up: int = 40
    ) -> figures.Figures:
        """Writes `tasks` tasks (after the warm-up's) in turns of `turn` steps on each connection."""
        self.submit(tasks + warm_up)
        return self.run_submitted(turn, batch_size, connections, warm_up)

    def submit(self, tasks: int) -> None:
        self.connection.execute("CHECKPOINT")
        templates.submit(self.connection, self.name, tasks)

    def run_submitted(
        self, turn: int, batch_size: int = 10, connections: int = 1, warm_up: int = 0
    ) -> figures.Figures:
        """As run(), of the tasks that are there."""
        self.epoch += 1
        command = [self.build / "bin/tasker-bench-floor", "rows", self.server.url(self.database)]
        command += ["--task", self.name, "--turn", str(turn), "--batch-size", str(batch_size)]
        command += ["--connections", str(connections), "--warm-up", str(warm_up), "--epoch", str(self.epoch)]
        return self._measure([str(part) for part in command])

    def _measure(self, command: list[str]) -> figures.Figures:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            if process.stdout.readline() == "ready\n":
                before = self._counters()
                process.stdin.write("go\n")
                process.stdin.flush()
                line = process.stdout.readline()
                after = self._counters()
            process.stdin.close()
            if process.wait(LIMIT_S) != 0:
                assert process.stderr is not None
                raise SystemExit(f"the floor failed: {process.stderr.read().strip()}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        done = json.loads(line)
        steps = done["steps"]
        cpu, wal, transactions = (now - then for now, then in zip(after, before))
        return {
            "steps_per_s": steps / done["seconds"],
            "steps": steps,
            "seconds": done["seconds"],
            "steps_per_turn": steps / done["turns"],
            "postgres_cpu_ms_per_step": cpu * 1000 / steps,
            "commits_per_step": transactions / steps,
            "wal_bytes_per_step": wal / steps,
        }

    def _counters(self) -> tuple[float, int, int]:
        row = self.connection.execute(
            "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint,"
            " pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
        ).fetchone()
        assert row is not None
        return cpu_seconds(descendants(self.server.pid)), row[0], row[1]


def machine(build: Path) -> dict[str, float]:
    """ZeroMQ round trips and fdatasync of this machine, medians in microseconds."""
    with tempfile.TemporaryDirectory(prefix="tb-", dir="/tmp") as folder:
        done = procs.run([build / "bin/tasker-bench-floor", "machine", "--folder", folder])
    return json.loads(done.stdout)
