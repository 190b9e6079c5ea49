"""A constant rate for minutes: does memory, or what vacuum leaves behind, grow without bound?"""

from __future__ import annotations

import argparse
import time

from tests.bench import bounds, figures, templates
from tests.bench.feeder import Feeder
from tests.bench.processes import memory_mb
from tests.bench.progress import say
from tests.bench.system import System
from tests.bench.workloads import base

RATE = 2000.0
SAMPLES = 36  # … but not more often than each half second, and at least every ten seconds
DRAIN_LIMIT_S = 60.0
# Only what the workload fills; definitions stay as they are.
TABLES = (
    "SELECT relname, pg_table_size(relid), pg_indexes_size(relid), n_live_tup, n_dead_tup,"
    " n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE n_tup_ins > 0"
)


class Watch:
    """Takes a sample after the other, each about the time since the one before."""

    def __init__(self, system: System, feeder: Feeder):
        self.system = system
        self.feeder = feeder
        self.started = self.last = time.monotonic()
        self.first_open = 0
        self.ended: set[int] = set()
        self.samples: list[bounds.Sample] = []
        self.figures: list[figures.Figures] = []

    def sample(self) -> None:
        self.feeder.check()
        self.system.check_workers()
        now = time.monotonic()
        times = self._newly_ended()
        tables = self.system.connection.execute(TABLES).fetchall()
        memory = {
            "orchestrator": memory_mb(self.system.orchestrator.pid, "VmRSS"),
            "lane backend": memory_mb(self.system.lane_backend(), "RssAnon"),
        }
        rate = len(times) * 4 / (now - self.last)
        self.samples.append(
            bounds.Sample(
                at_s=now - self.started,
                steps_per_s=rate,
                memory_mb=memory,
                live={row[0]: row[3] for row in tables},
                dead={row[0]: row[4] for row in tables},
                updates={row[0]: row[5] for row in tables},
            )
        )
        self.figures.append(
            {
                "steps_per_s": rate,
                **figures.percentiles(times, "task"),
                "orchestrator_resident_mb": memory["orchestrator"],
                "lane_backend_anonymous_mb": memory["lane backend"],
                "tables_mb": sum(row[1] for row in tables) / 1e6,
                "indexes_mb": sum(row[2] for row in tables) / 1e6,
                "dead_rows": sum(row[4] for row in tables),
            }
        )
        self.last = now

    def _newly_ended(self) -> list[float]:
        """Submit → complete, in milliseconds, of the tasks that have completed since the sample before."""
        rows = self.system.connection.execute(
            "SELECT task_id, extract(epoch FROM completed_at - created_at)::float8 * 1000 FROM tasker_tasks"
            " WHERE task_id >= %s ORDER BY task_id",
            (self.first_open,),
        ).fetchall()
        new = [(task_id, took) for task_id, took in rows if took is not None and task_id not in self.ended]
        waiting = [task_id for task_id, took in rows if took is None]
        self.first_open = waiting[0] if waiting else rows[-1][0] + 1 if rows else self.first_open
        self.ended = {
            task_id for task_id in self.ended.union(i for i, _ in new) if task_id >= self.first_open
        }
        return [took for _task_id, took in new]


def run(options: argparse.Namespace) -> base.Report:
    rate = options.rate or RATE
    seconds = options.minutes * 60
    pause = min(10.0, max(0.5, seconds / SAMPLES))
    with base.fresh_system(options) as system:
        templates.register(system.connection, templates.chain("chain4", 4))
        workers = base.workers_of(options)
        system.start_workers(workers)
        system.wait_for_workers(workers.count)
        with Feeder(system.server, system.database, "chain4", rate / 4) as feeder:
            watch = Watch(system, feeder)
            while time.monotonic() - watch.started < seconds:
                time.sleep(pause)
                watch.sample()
                last = watch.figures[-1]
                say(
                    f"{watch.samples[-1].at_s:5.0f} of {seconds:.0f} s: {last['steps_per_s']:,.0f} steps/s,"
                    f" {last['orchestrator_resident_mb']:.0f} MB, {last['dead_rows']:,.0f} dead rows"
                )
        system.wait_for_tasks(*feeder.span(), DRAIN_LIMIT_S)
        system.stop_workers()
    return report(options, rate, watch)


def report(options: argparse.Namespace, rate: float, watch: Watch) -> base.Report:
    found = bounds.complaints(watch.samples, rate)
    first, last = (
        [watch.figures[watch.samples.index(sample)] for sample in part]
        for part in bounds.thirds(watch.samples)
    )
    verdict = [f"grows without bound: {text}" for text in found] or ["Nothing grew without bound."]
    done = {"workload": "soak", **base.settings(options), "rate": rate, "minutes": options.minutes}
    done["runs"] = 1
    return {
        **done,
        "cases": {"first third": figures.summarise(first), "last third": figures.summarise(last)},
        "held": not found,
        "notes": verdict,
    }


WORKLOADS = [
    base.Workload(
        "soak",
        "a constant rate for minutes: memory, dead rows, table and index sizes; fails if unbounded",
        run,
    )
]
