"""One task at a time on an idle system, and what the orchestrator costs while nothing happens."""

from __future__ import annotations

import argparse
import time

from tests.bench import figures, measures, templates
from tests.bench.processes import cpu_seconds, memory_mb
from tests.bench.progress import say
from tests.bench.submitter import Submitter
from tests.bench.system import System
from tests.bench.workloads import base

LENGTHS = (1, 3, 10)
IDLE_S = 5.0


def run(options: argparse.Namespace) -> base.Report:
    cases: dict[str, list[figures.Figures]] = {}
    with base.fresh_system(options) as system:
        workers = base.workers_of(options)
        system.start_workers(workers)
        system.wait_for_workers(workers.count)
        with Submitter(system.server, system.database) as submitter:
            for length in LENGTHS:
                templates.register(system.connection, templates.chain(f"latency{length}", length))
                for _ in range(10):  # the first ones pay for caches
                    submitter.run(f"latency{length}")
            for number in range(1, options.runs + 1):
                # Every length in every run, so that none has the quieter minute for itself.
                for length in LENGTHS:
                    name = f"{length} step" + ("s" if length > 1 else "")
                    times = [submitter.run(f"latency{length}") for _ in range(options.samples)]
                    cases.setdefault(name, []).append(_case(times))
                say(f"run {number} of {options.runs}: p50 of one step {cases['1 step'][-1]['p50_ms']:.2f} ms")
        cases["idle"] = [idle(system)]
        system.stop_workers()
    return {
        "workload": "latency",
        **base.settings(options, samples=options.samples),
        "cases": {name: figures.summarise(runs) for name, runs in cases.items()},
    }


def _case(times: list[float]) -> figures.Figures:
    found = figures.percentiles(times, "x")
    return {**{name.removeprefix("x_"): value for name, value in found.items()}, "max_ms": max(times)}


def idle(system: System) -> figures.Figures:
    """The orchestrator's share of a processor and its memory while nothing is to be done."""
    before = measures.take_counters(system)
    started = time.monotonic()
    time.sleep(IDLE_S)
    spent = cpu_seconds([system.orchestrator.pid]) - before.orchestrator
    return {
        "orchestrator_cpu_percent": spent / (time.monotonic() - started) * 100,
        "orchestrator_resident_mb": memory_mb(system.orchestrator.pid, "VmRSS"),
    }


WORKLOADS = [
    base.Workload(
        "latency",
        "an idle system, one task at a time: 1, 3 and 10 chained steps; and the cost of idling",
        run,
    )
]
