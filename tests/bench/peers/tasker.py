"""Tasker itself as one of the contestants, through its own benchmark in a process of its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache

from tests.bench.peers.driver import Failed
from tests.support.procs import ROOT

BENCH = ROOT / "tests" / "bench" / "bench.py"
RUN_LIMIT_S = 300
WIDTH = 10
DURABLE = (
    "Task, steps, every result, attempt, message and state transition (the audit trail): yes, at commit. A"
    " crashed worker's running steps are taken back when it falls silent and run again elsewhere."
)


@dataclass(frozen=True)
class Contestant:
    name: str
    title: str
    worker: str
    tasks: dict[str, int]
    tuning: str
    options: tuple[str, ...] = ()  # for throughput; latency is always measured with the defaults
    store_text: str = "PostgreSQL 15; fsync and synchronous_commit on"
    durable: str = DURABLE

    def can(self, workload: str) -> bool:
        return workload != "fanout" or has_fanout()

    def run(self, workload: str, samples: int) -> dict:
        """One run, in the figures of driver.run()."""
        arguments = [workload, "--worker", self.worker, "--runs", "1", "--json"]
        if workload == "latency":
            return latency(bench([*arguments, "--samples", str(samples)]))
        arguments += ["--tasks", str(self.tasks[workload]), *self.options]
        return throughput(bench([*arguments, "--width", str(WIDTH)] if workload == "fanout" else arguments))


# As many steps in hand as pg-boss fetches at once, and all of them in a few messages.
TUNED = ("--capacity", "500", "--batch-size", "100")
TUNING = "One worker of capacity 500, batch_size 100; for latency its defaults"

CONTESTANTS = (
    Contestant(
        "tasker-defaults",
        "Tasker, native worker, all defaults",
        "native",
        {"chain4": 8000, "fanout": 2000},
        "Defaults: one worker of capacity 100, batch_size 10",
    ),
    Contestant(
        "tasker-native",
        "Tasker, native worker",
        "native",
        {"chain4": 8000, "fanout": 2000},
        TUNING,
        TUNED,
    ),
    Contestant(
        "tasker-python",
        "Tasker, Python worker",
        "python",
        {"chain4": 8000, "fanout": 2000},
        TUNING,
        TUNED,
    ),
)


@cache
def has_fanout() -> bool:
    """Whether this bench.py measures 1 → W → 1 for a W of our choice; its usage says so."""
    done = subprocess.run(["/usr/bin/python3", str(BENCH), "--help"], capture_output=True, text=True)
    return "--width" in done.stdout


def version() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"


def bench(arguments: list[str]) -> dict:
    """The report of the one workload asked for.

    It has a session of its own, so that Ctrl-C reaches it once, as our SIGTERM: it then ends what it started.
    """
    command = ["/usr/bin/python3", str(BENCH), *arguments]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command], stdout=output, stderr=errors, start_new_session=True
        )
        try:
            code = process.wait(RUN_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(command)} did not end within {RUN_LIMIT_S} s") from None
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        output.seek(0)
        errors.seek(0)
        if code != 0:
            raise Failed(f"{' '.join(command)} ended with {code}:\n{errors.read().strip()[-2000:]}")
        return json.load(output)[0]


def median(value) -> float:
    """A figure of one run, alone or as a summary."""
    return value["median"] if isinstance(value, dict) else value


def throughput(report: dict) -> dict:
    results = report.get("results") or report["cases"][f"1 → {WIDTH} → 1"]
    return {
        "steps_per_s": median(results["steps_per_s"]),
        # Milliseconds per step are seconds per 1 000 steps.
        "worker_cpu_s_per_1000": median(results["workers_cpu_ms_per_step"]),
        "store_cpu_s_per_1000": median(results["postgres_cpu_ms_per_step"]),
        "orchestrator_cpu_s_per_1000": median(results["orchestrator_cpu_ms_per_step"]),
    }


def latency(report: dict) -> dict:
    case = report["cases"]["1 step"]
    return {"p50_ms": median(case["p50_ms"]), "p99_ms": median(case["p99_ms"])}
