"""What registered sessions cost: a thousand of them, idle beside a normal worker, or doing the work."""

from __future__ import annotations

import argparse

from tests.bench import figures, loaded, templates
from tests.bench.progress import say
from tests.bench.system import System, Workers
from tests.bench.workloads import base
from tests.bench.workloads.latency import idle

# Work of this namespace does not exist, so its sessions wait.
IDLE_NAMESPACE = "bench_idle"


def run(options: argparse.Namespace) -> base.Report:
    tasks = options.tasks or 8000
    count = options.sessions
    work = base.workers_of(options)
    waiting = Workers(capacity=1, sessions=count, namespace=IDLE_NAMESPACE)
    working = Workers(capacity=1, sessions=count)
    situations: dict[str, list[tuple[Workers, int]]] = {
        "one worker alone": [(work, work.count)],
        f"beside {count} idle sessions": [(work, work.count), (waiting, count)],
        f"work spread over {count} sessions": [(working, count)],
    }
    cases: dict[str, list[figures.Figures]] = {}
    with base.fresh_system(options) as system:
        templates.register(system.connection, templates.chain("chain4", 4))
        loaded.run_tasks(system, "chain4", max(1, tasks // 10), work)
        for number in range(1, options.runs + 1):
            for name, groups in situations.items():
                cases.setdefault(name, []).append(one_run(system, tasks, groups))
            rates = ", ".join(f"{runs[-1]['steps_per_s']:,.0f}" for runs in cases.values())
            say(f"run {number} of {options.runs}: {rates} steps/s")
    return {
        "workload": "sessions",
        **base.settings(options, tasks=tasks, sessions=count),
        "cases": {name: figures.summarise(runs) for name, runs in cases.items()},
        "notes": [
            "All sessions of a case are in one process, each with its own two sockets and a capacity of 1; "
            "that process takes part of the machine, too (workers_cpu_ms_per_step)."
        ],
    }


def one_run(system: System, tasks: int, groups: list[tuple[Workers, int]]) -> figures.Figures:
    for workers, _sessions in groups:
        system.start_workers(workers)
    system.wait_for_workers(sum(sessions for _workers, sessions in groups))
    resting = idle(system)
    run = loaded.run_at_once(system, "chain4", tasks)
    run["idle_orchestrator_cpu_percent"] = resting["orchestrator_cpu_percent"]
    run.update(system.stop_workers())
    return run


WORKLOADS = [
    base.Workload("sessions", "chain4 with 1 000 registered sessions: idle beside a worker, and working", run)
]
