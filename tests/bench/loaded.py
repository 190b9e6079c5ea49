"""A run under load: all tasks are there before the first worker, so the rate is the system's own."""

from __future__ import annotations

import time
from dataclasses import replace

from tests.bench import figures, measures, templates
from tests.bench.processes import forget_peak
from tests.bench.progress import say
from tests.bench.system import System, Workers

RUN_LIMIT_S = 600.0


def run_tasks(system: System, name: str, tasks: int, workers: Workers) -> figures.Figures:
    """Submits `tasks` tasks, then starts the workers, and measures until the last task has ended."""
    system.connection.execute("CHECKPOINT")
    ids = templates.submit(system.connection, name, tasks)
    return run_submitted(system, ids[0], ids[-1], workers)


def run_submitted(
    system: System, first: int, last: int, *workers: Workers, allowed: tuple[str, ...] = ("complete",)
) -> figures.Figures:
    """As run_tasks(), of tasks that are there already, with workers of one kind or of several."""
    forget_peak(system.orchestrator.pid)
    before = measures.take_counters(system)
    for group in workers:
        system.start_workers(group)
    if any(group.kind != "native" for group in workers):
        before = replace(before, workers=_workers_cpu_at_first_claim(system, before))
    run = finish(system, before, first, last, allowed)
    run.update(system.stop_workers())
    return run


def run_at_once(system: System, name: str, tasks: int) -> figures.Figures:
    """All tasks appear in one moment to workers that run already; they go on running."""
    system.connection.execute("CHECKPOINT")
    forget_peak(system.orchestrator.pid)
    with system.connection.transaction():
        ids = templates.submit(system.connection, name, tasks)
        # Nobody sees the tasks yet: what their creation cost is not counted.
        before = measures.take_counters(system)
    return finish(system, before, ids[0], ids[-1])


def finish(
    system: System,
    before: measures.Counters,
    first: int,
    last: int,
    allowed: tuple[str, ...] = ("complete",),
) -> figures.Figures:
    """Waits for these tasks and returns everything that is measured under load."""
    system.wait_for_tasks(first, last, RUN_LIMIT_S)
    after = measures.take_counters(system)
    measures.check_outcome(system, first, last, allowed)
    run = measures.task_figures(system, first, last)
    steps = int(run["steps"])
    run["steps_per_turn"] = measures.steps_per_turn(system, steps, before.at)
    run.update(measures.per_step(before, after, steps))
    run.update(measures.memory(system))
    return run


def _workers_cpu_at_first_claim(system: System, before: measures.Counters) -> float:
    """An interpreter's start costs more than thousands of steps, and is not a step's cost."""
    deadline = time.monotonic() + RUN_LIMIT_S
    query = "SELECT EXISTS (SELECT FROM tasker_step_execution_batches WHERE created_at >= %s)"
    while not system.value(query, (before.at,)):
        system.check_workers()
        if time.monotonic() > deadline:
            raise SystemExit("no worker was given a step: look at its handlers and namespaces")
        time.sleep(0.02)
    return measures.take_counters(system).workers


def report_run(number: int, runs: int, run: figures.Figures) -> None:
    ratio = f", {run['product_to_floor']:.2f} of the floor" if "product_to_floor" in run else ""
    say(f"run {number} of {runs}: {run['steps_per_s']:,.0f} steps/s{ratio}".replace(",", " ", 1))
