"""The floor alone: the rows of chain4 by plain SQL, in turns of 10 and 100, on one and two connections."""

from __future__ import annotations

import argparse

from tests.bench import figures, templates
from tests.bench.floor_runs import Floor
from tests.bench.progress import say
from tests.bench.server import Server
from tests.bench.workloads import base

TURNS = (10, 100)
CONNECTIONS = (1, 2)


def run(options: argparse.Namespace) -> base.Report:
    tasks = options.tasks or 4000
    turns = tuple(options.turn or TURNS)
    runs: dict[str, list[figures.Figures]] = {}
    with Server() as server:
        floor = Floor(server, options.build, templates.chain("chain4", 4))
        floor.run(max(2, tasks // 20), turns[0], options.batch_size or 10)
        for number in range(1, options.runs + 1):
            for turn in turns:
                for connections in CONNECTIONS:
                    name = f"{turn} per turn, {connections} connection" + ("s" if connections > 1 else "")
                    found = floor.run(tasks, turn, options.batch_size or 10, connections)
                    runs.setdefault(name, []).append(found)
            rates = ", ".join(f"{found[-1]['steps_per_s']:,.0f}" for found in runs.values())
            say(f"run {number} of {options.runs}: {rates} steps/s")
    report = {"workload": "floor", **base.settings(options, tasks=tasks)}
    for setting in ("worker", "workers", "capacity"):
        del report[setting]
    return {**report, "cases": {name: figures.summarise(found) for name, found in runs.items()}}


WORKLOADS = [
    base.Workload(
        "floor", "the same rows as chain4 by plain SQL without orchestrator, and what the machine costs", run
    )
]
