"""Does a step take longer when a million others wait? chain4 beside 0 … 1 000 000 open steps.

Two databases on one server, each with its orchestrator: one stays empty, one is filled further and further.
Runs alternate between them, so that what the machine does meanwhile touches both alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.bench import figures, loaded, templates
from tests.bench.progress import say
from tests.bench.server import Server
from tests.bench.system import System
from tests.bench.workloads import base

SIZES = (0, 10_000, 100_000, 1_000_000)
WIDE = templates.fan_out("backlog_wide", 9998, templates.UNSERVED)
UNSERVED = templates.chain("backlog_single", 1, templates.UNSERVED)
BEHIND = templates.chain("backlog_behind", 1)
TASKS = 2000
CONNECTIONS = 2
CHUNK = 2000


def run(options: argparse.Namespace) -> base.Report:
    sizes = sorted(set(options.size if options.size else SIZES))
    cases: dict[str, list[figures.Figures]] = {}
    variants: dict[str, Callable[[System, int], None]] = {"unserved": fill_unserved, "behind": fill_behind}
    with Server() as server, System(server, options.build, "nothing_waits") as reference:
        prepare(reference)
        for variant, fill in variants.items():
            with System(server, options.build, f"backlog_{variant}") as filled:
                prepare(filled)
                warm_up(options, reference, filled)
                for size in sizes:
                    name = f"{size} {variant}"
                    cases[name] = one_size(options, reference, filled, size, fill)
                    change = figures.summarise(cases[name])["change_percent"]
                    say(f"{name}: {change['median']:+.1f} % ({change['min']:+.1f} to {change['max']:+.1f})")
    return {
        "workload": "backlog",
        **base.settings(options, tasks=options.tasks or TASKS),
        "cases": {name: figures.summarise(runs) for name, runs in cases.items()},
        "notes": [
            "unserved: no worker has the handler; half are tasks of one step, half stand in tasks of 10 000. "
            "behind: ready for the very same handler at a lower priority. change_percent compares the time "
            "per step with a run of the empty database beside it; that of 0 is what chance alone does."
        ],
    }


def prepare(system: System) -> None:
    for template in (templates.chain("chain4", 4), WIDE, UNSERVED, BEHIND):
        templates.register(system.connection, template)


def warm_up(options: argparse.Namespace, *systems: System) -> None:
    for system in systems:
        loaded.run_tasks(system, "chain4", 200, base.workers_of(options))


def one_size(
    options: argparse.Namespace,
    reference: System,
    filled: System,
    size: int,
    fill: Callable[[System, int], None],
) -> list[figures.Figures]:
    runs = []
    for number in range(options.runs):
        fill(filled, size)  # a run may have taken some of them
        waiting = open_steps(filled)
        # What the other left behind for the next one (buffers, a checkpoint) falls on both.
        pair = (reference, filled) if number % 2 == 0 else (filled, reference)
        took = {system.database: one_run(options, system) for system in pair}
        runs.append(compared(took[filled.database], took[reference.database]))
        runs[-1]["open_steps"] = waiting
    return runs


def one_run(options: argparse.Namespace, system: System) -> figures.Figures:
    return loaded.run_tasks(system, "chain4", options.tasks or TASKS, base.workers_of(options))


def compared(beside: figures.Figures, alone: figures.Figures) -> figures.Figures:
    took, took_alone = 1e6 / beside["steps_per_s"], 1e6 / alone["steps_per_s"]
    found = {
        "us_per_step": took,
        "us_per_step_with_none": took_alone,
        "change_percent": figures.change_percent(took, took_alone),
    }
    # Where it comes from: work, or waiting.
    for name in ("steps_per_turn", "postgres_cpu_ms_per_step", "orchestrator_cpu_ms_per_step"):
        found[name] = beside[name]
        found[f"{name}_with_none"] = alone[name]
    return found


def open_steps(system: System) -> int:
    return system.value(
        "SELECT coalesce(sum(open_steps), 0)::bigint FROM tasker_tasks"
        " WHERE state IN ('pending', 'in_progress')"
    )


def fill_unserved(system: System, size: int) -> None:
    missing = size - open_steps(system)
    steps = len(WIDE["steps"])
    wide = max(0, missing) // 2 // steps
    create(system, "backlog_wide", wide, 2)
    create(system, "backlog_single", missing - wide * steps, CHUNK)


def fill_behind(system: System, size: int) -> None:
    create(system, "backlog_behind", size - open_steps(system), CHUNK)


def create(system: System, name: str, tasks: int, chunk: int) -> None:
    """On several connections at once; afterwards the tables are as after the autovacuum that follows."""
    if tasks <= 0:
        return

    def part(count: int) -> None:
        with system.server.connect(system.database) as connection:
            templates.submit(connection, name, count, chunk, priority=-1)

    shares = [tasks // CONNECTIONS + (place < tasks % CONNECTIONS) for place in range(CONNECTIONS)]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(part, shares))
    if tasks >= CHUNK:
        say(f"{tasks:,} tasks of {name} created")
        system.connection.execute("VACUUM (ANALYZE)")


WORKLOADS = [
    base.Workload(
        "backlog", "chain4 beside 0, 10 000, 100 000 and 1 000 000 open steps: change of time per step", run
    )
]
