"""Throughput against batch size: what putting several steps into one message is worth."""

from __future__ import annotations

import argparse
import copy

from tests.bench import figures, loaded, templates
from tests.bench.progress import say
from tests.bench.server import Server
from tests.bench.system import System
from tests.bench.workloads import base

SIZES = (1, 2, 5, 10, 20, 50, 100)


def run(options: argparse.Namespace) -> base.Report:
    tasks = options.tasks or 2500
    runs: dict[int, list[figures.Figures]] = {size: [] for size in SIZES}
    template = templates.chain("chain4", 4)
    with Server() as server:
        for number in range(1, options.runs + 1):
            # Each size in each run: a slow minute of the machine touches all of them.
            for size in SIZES:
                with System(server, options.build, f"batches_{number}_{size}", size) as system:
                    templates.register(system.connection, template)
                    loaded.run_tasks(system, "chain4", max(1, tasks // 10), base.workers_of(options))
                    runs[size].append(loaded.run_tasks(system, "chain4", tasks, base.workers_of(options)))
            say(
                f"run {number} of {options.runs}: {runs[SIZES[0]][-1]['steps_per_s']:,.0f} to "
                f"{runs[SIZES[-1]][-1]['steps_per_s']:,.0f} steps/s"
            )
    own = copy.copy(options)
    own.batch_size = None
    report: base.Report = {"workload": "batch_size", **base.settings(own, tasks=tasks)}
    del report["batch_size"]
    report["cases"] = {str(size): figures.summarise(found) for size, found in runs.items()}
    return report


WORKLOADS = [
    base.Workload("batch_size", "chain4 with 1 to 100 steps in a batch: throughput against batch size", run)
]
