"""`bin/bench all`: the workloads and sizes that make the README's table."""

from __future__ import annotations

import argparse
import copy
from typing import Any

# Each with what it is run with besides the command line's own --build and --runs.
PLAN: list[tuple[str, dict[str, Any]]] = [
    ("floor", {}),
    ("chain4", {}),
    ("chain4", {"workers": 2}),
    ("chain4", {"workers": 8, "capacity": 25}),
    ("chain4", {"worker": "python"}),
    ("chain4", {"worker": "ruby"}),
    ("chain40", {}),
    ("single", {}),
    ("fanout", {}),
    ("order_fulfillment", {}),
    ("latency", {}),
    ("batch_size", {"runs": 3}),
    ("load", {}),
    ("sessions", {"runs": 3}),
    ("backlog", {}),
    ("soak", {}),
]


def plan(options: argparse.Namespace) -> list[tuple[str, argparse.Namespace]]:
    """The workloads in order, with their options; --runs below a workload's own wins."""
    planned = []
    for name, changes in PLAN:
        own = copy.copy(options)
        for option, value in changes.items():
            setattr(own, option, min(value, options.runs) if option == "runs" else value)
        planned.append((name, own))
    return planned
