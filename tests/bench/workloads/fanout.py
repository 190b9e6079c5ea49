"""Fan-out and fan-in: one step, then W at once, then one that waits for all of them."""

from __future__ import annotations

import argparse

from tests.bench import figures, loaded, templates
from tests.bench.progress import say
from tests.bench.submitter import Submitter
from tests.bench.system import System
from tests.bench.workloads import base

WIDTHS = (10, 100, 1000, 10000 - 2)  # a template may have 10 000 steps
STEPS_OF_A_RUN = 12000
ALONE_SAMPLES = 3


def run(options: argparse.Namespace) -> base.Report:
    cases = {}
    widths = tuple(options.width or WIDTHS)
    with base.fresh_system(options) as system:
        for width in widths:
            templates.register(system.connection, templates.fan_out(name_of(width), width))
            runs = [one_run(system, options, width) for _ in range(options.runs)]
            say(f"1 → {width} → 1: {figures.summarise(runs)['steps_per_s']['median']:,.0f} steps/s")
            cases[f"1 → {width} → 1"] = figures.summarise(runs)
    return {"workload": "fanout", **base.settings(options), "cases": cases}


def name_of(width: int) -> str:
    return f"fanout{width}"


def one_run(system: System, options: argparse.Namespace, width: int) -> figures.Figures:
    tasks = options.tasks or max(1, STEPS_OF_A_RUN // (width + 2))
    workers = base.workers_of(options)
    run = loaded.run_tasks(system, name_of(width), tasks, workers)
    # Other parts of the same task are on their way all the time: "the next step" means nothing here.
    run = {name: value for name, value in run.items() if not name.startswith("next_step")}
    run["alone_ms"] = alone_ms(system, options, width)
    return run


def alone_ms(system: System, options: argparse.Namespace, width: int) -> float:
    """One such task on an otherwise idle system, from the submit call to its completion: median of a few."""
    workers = base.workers_of(options)
    system.start_workers(workers)
    system.wait_for_workers(workers.count)
    with Submitter(system.server, system.database) as submitter:
        times = sorted(submitter.run(name_of(width)) for _ in range(ALONE_SAMPLES))
    system.stop_workers()
    return times[len(times) // 2]


WORKLOADS = [
    base.Workload(
        "fanout",
        "1 → W → 1 for W = 10, 100, 1 000, 9 998: throughput, and one such task alone",
        run,
    )
]
