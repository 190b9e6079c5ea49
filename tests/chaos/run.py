"""One run: faults under load, healing, judgement. main() of bin/chaos is here."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
from tests.chaos import facts, recovery, report  # noqa: E402
from tests.chaos.checker import Footprint, Violation  # noqa: E402
from tests.chaos.database import Away  # noqa: E402
from tests.chaos.faults import FAULTS  # noqa: E402
from tests.chaos.load import Load  # noqa: E402
from tests.chaos.operators import Operators  # noqa: E402
from tests.chaos.options import EVERYTHING, OPERATOR, parse_options, replay_command  # noqa: E402
from tests.chaos.plan import Planned, make_plan  # noqa: E402
from tests.chaos.recovery import Disturbance  # noqa: E402
from tests.chaos.world import World  # noqa: E402
from tests.support import pg, procs  # noqa: E402

TICK_S = 0.02
START_LIMIT_S = 60.0
# After the last fault everything must have ended within this and a second per 50 open tasks.
HEAL_LIMIT_S = 90.0


class Run:
    """What happens in one run, second by second."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.seconds = options.minutes * 60
        self.wanted = set(options.only or EVERYTHING)
        self.plan = make_plan(options.seed, self.seconds, self.wanted & set(FAULTS))
        self.disturbances: list[Disturbance] = []
        self.begun: list[str] = []
        self.before: Footprint | None = None
        self.healing_s = 0.0
        self.journal: TextIO = open(folder / "faults.jsonl", "w")

    def __call__(self) -> list[Violation]:
        with World(self.folder, self.options.seed) as world:
            self.world = world
            world.handlers_crash = "handler_crash" in self.wanted
            self.load = Load(world, self.options.seed, self.options.tasks, self.seconds, self.wanted)
            self.operators = Operators(world, self.options.seed, 1.0)
            try:
                self.until_ready()
                self.under_faults()
                self.heal()
                violations = self.judge()
                world.stop()
                violations += [Violation("exit", text) for text in world.unexpected if "at rest" in text]
            except KeyboardInterrupt:
                self.say("stopping")
                world.heal()
                world.stop(5.0)
                raise
            finally:
                self.end_threads()
            if violations:
                self.keep_database()
            return violations

    def end_threads(self) -> None:
        self.load.end()
        self.operators.end()
        self.journal.close()

    # ------------------------------------------------------------------ the phases

    def until_ready(self) -> None:
        """All workers are ready and the first tasks have ended: from here on things can be compared."""
        self.say(f"starting in {self.folder}, PostgreSQL in {self.world.server.folder}")
        if "crash_point" in self.wanted and not self.world.crash_points:
            self.say("without crash points: tasker-orchestrator-crash is not built")
        names = {slot.name for slot in self.world.workers}
        deadline = time.monotonic() + START_LIMIT_S * procs.PATIENCE

        def ready() -> bool:
            slot = self.world.serving()
            health = self.world.health(slot, 0.5) if slot else None
            seen = {w["worker_id"] for w in health["workers"] if w["state"] == "ready"} if health else set()
            return seen == names

        while not ready():
            self.tick(0.2)
            if time.monotonic() > deadline:
                raise RuntimeError(f"the system did not start within {START_LIMIT_S:.0f} s\n{self.tails()}")
        self.load.start()
        if OPERATOR in self.wanted:
            self.operators.start()

    def under_faults(self) -> None:
        start = time.monotonic()
        waiting = list(self.plan)
        next_line = 0.0
        while (now := time.monotonic() - start) < self.seconds:
            if waiting and waiting[0].at <= now:
                self.begin(waiting.pop(0), now)
            if self.before is None and waiting and now > 1.5:
                self.before = self.footprint()
            if now >= next_line:
                next_line = now + 1.0
                self.say(f"{now:5.0f} s  {self.progress()}")
            self.tick(TICK_S)

    def begin(self, planned: Planned, now: float) -> None:
        begun = time.time()
        lasts = FAULTS[planned.fault].begin(self.world, planned.parameters)
        self.disturbances.append(Disturbance(planned.fault, begun, begun + lasts))
        self.begun.append(planned.fault)
        entry = {"at": round(now, 2), "clock": begun, "fault": planned.fault, **planned.parameters}
        print(json.dumps(entry), file=self.journal, flush=True)
        self.say(f"{now:5.0f} s  {planned.fault} {planned.parameters or ''}")

    def heal(self) -> None:
        """Ends the faults and waits until everything has ended, or the limit is over: I2 will tell."""
        start = time.monotonic()
        self.say("faults end, healing")
        self.operators.ending.set()
        self.world.heal()
        limit = HEAL_LIMIT_S * procs.PATIENCE + self.open_tasks() / 50
        next_line = 0.0
        while True:
            self.tick(TICK_S)
            passed = time.monotonic() - start
            if passed < next_line:
                continue
            next_line = passed + 1.0
            left = "tasks are being submitted" if self.load.is_alive() else self.what_is_left()
            self.say(f"healing {passed:4.0f} s  {self.progress()}{left and f' ({left})'}")
            if passed > limit or not left:
                self.healing_s = passed
                return

    def judge(self) -> list[Violation]:
        self.load.end()
        self.operators.end()
        self.steps = facts.read_steps(self.world.database)
        violations = facts.check_everything(self.world, self.load, self.steps, self.before)
        self.samples = facts.measure_recovery(self.world, self.steps, self.disturbances)
        bars = (recovery.ORCHESTRATOR_BAR_S, recovery.WORKER_BAR_S)
        for samples, bar in zip(self.samples, bars):
            slow = recovery.too_slow(samples, bar * procs.PATIENCE)
            violations += [Violation("I11", "recovery took too long", slow)] if slow else []
        problems = [*self.load.problems, *self.operators.problems]
        violations += [Violation("client", problem) for problem in problems]
        report.show(self)
        return violations

    # ------------------------------------------------------------------ small things

    def tick(self, seconds: float) -> None:
        self.world.tend()
        time.sleep(self.world.timeline.seconds_to_next(seconds))

    def footprint(self) -> Footprint | None:
        try:
            return facts.footprint(self.world)
        except Away:
            return None

    def open_tasks(self) -> int:
        try:
            return facts.busy_tasks(self.world.database)
        except Away:
            return self.options.tasks

    def what_is_left(self) -> str:
        """Empty when all has ended and is reconciled, all workers are back, and nothing is in flight."""
        try:
            if tasks := self.open_tasks():
                return f"{tasks} tasks are open"
            if batches := self.world.database.value(UNSETTLED):
                return f"{batches} batches are not settled"
        except Away:
            return "the database is away"
        slot = self.world.serving()
        health = self.world.health(slot, 1.0) if slot else None
        if health is None:
            return "no orchestrator answers"
        if credit := health["io"]["credit_in_flight"]:
            return f"{credit} credits are in flight"
        ready = {worker["worker_id"] for worker in health["workers"] if worker["state"] == "ready"}
        missing = {worker.name for worker in self.world.workers} - ready
        return f"{', '.join(sorted(missing))} not ready" if missing else ""

    def progress(self) -> str:
        try:
            rows = self.world.database.rows(
                "SELECT state, count(*) AS n FROM tasker_tasks GROUP BY state ORDER BY 1"
            )
        except Away:
            return "database away"
        states = ", ".join(f"{row['n']} {row['state']}" for row in rows)
        return f"{len(self.load.accepted)} accepted; {states}"

    def say(self, text: str) -> None:
        print(text, flush=True)

    def tails(self) -> str:
        lines = []
        for slot in self.world.slots:
            if slot.log.exists():
                tail = slot.log.read_text(errors="replace").splitlines()[-15:]
                lines += [f"--- {slot.name}", *tail]
        return "\n".join(lines)

    def keep_database(self) -> None:
        """A dump beside the logs. The server is still there: only orchestrators and workers have stopped."""
        with open(self.folder / "database.sql", "wb") as dump:
            subprocess.run(
                [pg.find_server() / "pg_dump", self.world.url],
                stdout=dump,
                stderr=subprocess.STDOUT,
                check=False,
            )


UNSETTLED = (
    "SELECT count(*) FROM tasker_step_execution_batches WHERE reconciliation_status = 'pending'"
    " OR state IN ('created', 'published', 'executing')"
)


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def main() -> int:
    options = parse_options(sys.argv[1:])
    print(f"seed {options.seed}; replay: {replay_command(options)}", flush=True)
    for name in [name for name in os.environ if name.startswith("TASKER_")]:
        if name not in ("TASKER_BUILD_DIR", "TASKER_PG_BIN", "TASKER_TEST_PATIENCE"):
            del os.environ[name]
    signal.signal(signal.SIGTERM, interrupt)
    # A shell that starts it in the background has SIGINT ignored, and Python then leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Short, because it holds ipc sockets.
    folder = Path(tempfile.mkdtemp(prefix="tchaos-", dir="/tmp"))
    folder.chmod(0o755)
    keep = options.keep
    try:
        run = Run(options, folder)
        violations = run()
        for violation in violations:
            print(f"\nVIOLATION {violation}")
        keep = keep or bool(violations)
        (folder / "violations.txt").write_text("\n\n".join(map(str, violations)))
        print(f"\n{len(violations)} violations; seed {options.seed}; replay: {replay_command(options)}")
        return 1 if violations else 0
    except KeyboardInterrupt:
        print("interrupted; everything is stopped", file=sys.stderr)
        return 130
    except Exception:
        keep = True
        import traceback

        traceback.print_exc()
        return 3
    finally:
        if keep:
            print(f"logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
