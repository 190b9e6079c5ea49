"""order_fulfillment with the real handlers: Ruby validates and ships, Python reserves and charges."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tests.bench import figures, loaded
from tests.bench.system import ROOT, System, Workers
from tests.bench.workloads import base
from tests.support import procs

ORDERS = ROOT / "examples/orders.json"
TEMPLATE = ROOT / "config/tasks/order_fulfillment.yaml"
RUBY = ROOT / "workers/ruby/examples/order_fulfillment.rb"
PYTHON = ROOT / "workers/python/examples/order_fulfillment.py"
NAMESPACE = "fulfillment"


def _handlers(*names: str) -> str:
    return ",".join(f"OrderFulfillment::StepHandlers::{name}Handler" for name in names)


def groups(options: argparse.Namespace) -> tuple[Workers, Workers]:
    """As many workers of each language as --workers says."""

    def group(kind: str, code: Path, handlers: str) -> Workers:
        return Workers(kind, options.workers, options.capacity, handlers, NAMESPACE, code)

    return (
        group("ruby", RUBY, _handlers("ValidateOrder", "ShipOrder")),
        group("python", PYTHON, _handlers("ReserveInventory", "ProcessPayment")),
    )


def run(options: argparse.Namespace) -> base.Report:
    tasks = options.tasks or 1000
    with base.fresh_system(options) as system:
        procs.run([system.program("tasker"), "template", "load", TEMPLATE], env=system.environment())
        runs = []
        for number in range(1, options.runs + 1):
            runs.append(one_run(system, options, tasks))
            loaded.report_run(number, options.runs, runs[-1])
    report = {
        "workload": "order_fulfillment",
        **base.settings(options, tasks=tasks),
        "results": figures.summarise(runs),
        "notes": [
            "The orders of examples/orders.json in turns: some are refused by their first step, some cards "
            "fail once and are tried again after 0.2 s."
        ],
    }
    report["worker"] = "ruby and python"
    return report


def one_run(system: System, options: argparse.Namespace, tasks: int) -> figures.Figures:
    orders = json.loads(ORDERS.read_text())
    request = {"namespace": NAMESPACE, "name": "order_fulfillment", "version": "1.0.0"}
    requests = [{**request, "context": orders[place % len(orders)]} for place in range(tasks)]
    system.connection.execute("CHECKPOINT")
    rows = system.connection.execute(
        "SELECT task_id FROM tasker_create_tasks(%s::jsonb)", (json.dumps(requests),)
    ).fetchall()
    ids = [row[0] for row in rows]
    # An order that its first step refuses ends in error, as it should.
    found = loaded.run_submitted(system, ids[0], ids[-1], *groups(options), allowed=("complete", "error"))
    found["tasks_complete_share"] = (
        system.value(
            "SELECT count(*) FROM tasker_tasks WHERE state = 'complete' AND task_id BETWEEN %s AND %s",
            (ids[0], ids[-1]),
        )
        / tasks
    )
    return found


WORKLOADS = [
    base.Workload(
        "order_fulfillment",
        "the shipped example, its handlers in Ruby and in Python, both in every task",
        run,
    )
]
