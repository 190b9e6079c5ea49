"""What all workloads share: how they are described, and what they give back."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.bench.server import Server
from tests.bench.system import System, Workers

# {"workload", settings…, "runs", and "results" (figures) or "cases" (name → figures)}; a figure is
# {"median", "min", "max"}.
Report = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    name: str
    line: str
    run: Callable[[argparse.Namespace], Report]


def workers_of(options: argparse.Namespace) -> Workers:
    return Workers(kind=options.worker, count=options.workers, capacity=options.capacity)


@contextmanager
def fresh_system(options: argparse.Namespace) -> Iterator[System]:
    """A server and the product on it, both gone afterwards."""
    with Server() as server, System(server, options.build, batch_size=options.batch_size) as system:
        yield system


def settings(options: argparse.Namespace, **more: Any) -> dict[str, Any]:
    return {
        **more,
        "worker": options.worker,
        "workers": options.workers,
        "capacity": options.capacity,
        "batch_size": options.batch_size or 10,
        "runs": options.runs,
    }
