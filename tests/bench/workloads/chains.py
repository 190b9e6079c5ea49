"""Throughput over chains: N tasks of L steps, each waiting for the one before."""

from __future__ import annotations

import argparse

from tests.bench import accounting, figures, loaded, templates
from tests.bench.floor_runs import Floor
from tests.bench.progress import say
from tests.bench.system import System
from tests.bench.workloads import base

WARM_UP_STEPS = 800
ACCOUNTED_STEPS = 2000


def run_chain(options: argparse.Namespace, name: str, length: int, default_tasks: int) -> base.Report:
    tasks = options.tasks or default_tasks
    template = templates.chain(name, length)
    with_floor = options.runs >= 3 if options.with_floor is None else options.with_floor
    with base.fresh_system(options) as system:
        templates.register(system.connection, template)
        floor = Floor(system.server, options.build, template) if with_floor else None
        workers = base.workers_of(options)
        say(f"{name}: warming up")
        loaded.run_tasks(system, name, max(2, min(tasks, WARM_UP_STEPS // length)), workers)
        runs = []
        for number in range(1, options.runs + 1):
            run = loaded.run_tasks(system, name, tasks, workers)
            if floor:
                run.update(beside_floor(run, floor, tasks, options.batch_size or 10))
            loaded.report_run(number, options.runs, run)
            runs.append(run)
        counted = count_rows(system, name, max(1, min(tasks, ACCOUNTED_STEPS // length)), options)
    results = figures.summarise(runs)
    results.update(figures.summarise([counted]))
    return {"workload": name, **base.settings(options, tasks=tasks), "results": results}


def beside_floor(run: figures.Figures, floor: Floor, tasks: int, batch_size: int) -> figures.Figures:
    """A run of the floor in turns as long as this run's, and how the two compare."""
    turn = max(1, round(run["steps_per_turn"]))
    lower = floor.run(tasks, turn, batch_size)
    return {
        "floor_steps_per_s": lower["steps_per_s"],
        "floor_wal_bytes_per_step": lower["wal_bytes_per_step"],
        "floor_postgres_cpu_ms_per_step": lower["postgres_cpu_ms_per_step"],
        "product_to_floor": run["steps_per_s"] / lower["steps_per_s"],
        "postgres_cpu_to_floor": run["postgres_cpu_ms_per_step"] / lower["postgres_cpu_ms_per_step"],
        "wal_to_floor": run["wal_bytes_per_step"] / lower["wal_bytes_per_step"],
    }


def count_rows(system: System, name: str, tasks: int, options: argparse.Namespace) -> figures.Figures:
    """Rows and round trips, in a run of its own that is not timed."""
    ids = templates.submit(system.connection, name, tasks)
    counted, _rows = accounting.account(
        system, lambda: loaded.run_submitted(system, ids[0], ids[-1], base.workers_of(options))
    )
    return counted


WORKLOADS = [
    base.Workload(
        "chain4",
        "N tasks of 4 chained steps with results of about 200 bytes: throughput",
        lambda options: run_chain(options, "chain4", 4, 5000),
    ),
    base.Workload(
        "chain40",
        "the same with 40 chained steps: long tasks, few of them",
        lambda options: run_chain(options, "chain40", 40, 500),
    ),
    base.Workload(
        "single",
        "tasks of one step: the dearest kind of step, since its task begins and ends with it",
        lambda options: run_chain(options, "single", 1, 15000),
    ),
]
