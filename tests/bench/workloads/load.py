"""Latency against load: chain4 tasks offered at constant rates."""

from __future__ import annotations

import argparse
import time

from tests.bench import figures, measures, templates
from tests.bench.feeder import Feeder
from tests.bench.progress import say
from tests.bench.system import System
from tests.bench.workloads import base

RATES = (100, 500, 1000, 2000, 4000, 6000, 8000, 12000)
DRAIN_LIMIT_S = 120.0
# Above this share of unmet demand the system is saturated: higher rates would only measure the queue.
HELD_SHARE = 0.95


def run(options: argparse.Namespace) -> base.Report:
    rates = (options.rate,) if options.rate else RATES
    cases: dict[str, list[figures.Figures]] = {}
    with base.fresh_system(options) as system:
        workers = base.workers_of(options)
        system.start_workers(workers)
        system.wait_for_workers(workers.count)
        templates.register(system.connection, templates.chain("chain4", 4))
        offer(system, 200, 1.0)
        for rate in rates:
            found = [offer(system, rate, options.seconds)]
            cases[f"{rate:g}"] = found
            say(
                f"{rate:g} steps/s offered: {found[0]['steps_per_s']:,.0f} done, "
                f"task p50 {found[0]['task_p50_ms']:.1f} ms, p99 {found[0]['task_p99_ms']:.1f} ms"
            )
            if found[0]["steps_per_s"] < HELD_SHARE * rate:
                break
        system.stop_workers()
    return {
        "workload": "load",
        **base.settings(options, seconds=options.seconds),
        "cases": {name: figures.summarise(runs) for name, runs in cases.items()},
        "notes": [
            "Cases are steps per second offered; the last one is more than the system holds, if any is."
        ],
    }


def offer(system: System, rate: float, seconds: float) -> figures.Figures:
    """Offers that many steps per second for so long, and waits until all are done."""
    before = measures.take_counters(system)
    with Feeder(system.server, system.database, "chain4", rate / 4) as feeder:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.1)
            feeder.check()
        feeder.stop()
    first, last = feeder.span()
    system.wait_for_tasks(first, last, DRAIN_LIMIT_S)
    after = measures.take_counters(system)
    measures.check_outcome(system, first, last)
    run = measures.task_figures(system, first, last)
    run["steps_per_turn"] = measures.steps_per_turn(system, int(run["steps"]), before.at)
    run.update(measures.per_step(before, after, int(run["steps"])))
    return run


WORKLOADS = [
    base.Workload("load", "chain4 offered at constant rates up to saturation: latency against load", run)
]
