#!/usr/bin/python3
"""Benchmarks of the whole system on real parts: private PostgreSQL, orchestrator, workers. See --help."""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psycopg

import bench_env

HERE = Path(__file__).resolve().parent

WORKLOADS = {
    "chain4": "N tasks of 4 chained steps; every step's result is about 200 bytes (throughput)",
    "latency": "an idle system, one task at a time, from the submit call to the completion notification",
}


def chain_template(name: str, length: int) -> dict:
    steps = []
    for position in range(1, length + 1):
        steps.append(
            {
                "position": position,
                "name": f"step_{position}",
                "handler_class": "Bench::NoopHandler",
                "dependent_system": "bench",
                "retryable": True,
                "retry_limit": 3,
                "timeout_ms": 30000,
                "on_orphan": "retry",
                "claim_first": False,
                "parents": [position - 1] if position > 1 else [],
            }
        )
    return {"name": name, "steps": steps}


def register(connection, template: dict) -> None:
    configuration = {
        "name": template["name"],
        "namespace_name": "bench",
        "version": "1.0.0",
        "step_templates": [
            {"name": s["name"], "handler_class": s["handler_class"]} for s in template["steps"]
        ],
    }
    connection.execute(
        "SELECT * FROM tasker_register_template('bench', %s, '1.0.0', 'benchmark', %s::jsonb, %s, %s::jsonb)",
        (
            template["name"],
            json.dumps(configuration),
            f"{template['name']:0<64}"[:64],
            json.dumps(template["steps"]),
        ),
    )


def submit(connection, name: str, count: int, chunk: int = 500) -> list[int]:
    ids: list[int] = []
    request = {
        "namespace": "bench",
        "name": name,
        "version": "1.0.0",
        "context": {"order": 1, "note": "benchmark"},
    }
    while count > 0:
        part = min(chunk, count)
        rows = connection.execute(
            "SELECT task_id FROM tasker_create_tasks(%s::jsonb)", (json.dumps([request] * part),)
        ).fetchall()
        ids.extend(row[0] for row in rows)
        count -= part
    return ids


def open_tasks(connection, first: int, last: int) -> int:
    row = connection.execute(
        "SELECT count(*) FROM tasker_tasks"
        " WHERE task_id BETWEEN %s AND %s AND state IN ('pending', 'in_progress')",
        (first, last),
    ).fetchone()
    return row[0]


def wait_for_tasks(connection, env, first: int, last: int, limit_s: float) -> None:
    """Looks until none is open. The span is read from the database, so this loop's pace does not count."""
    deadline = time.monotonic() + limit_s
    while open_tasks(connection, first, last) > 0:
        env.check_workers()
        if time.monotonic() > deadline:
            raise SystemExit(f"the workload did not end within {limit_s:.0f} s")
        time.sleep(0.05)


def run_chain4(env, args) -> dict:
    with psycopg.connect(env.url, autocommit=True) as connection:
        register(connection, chain_template("chain4", 4))
        run_once(connection, env, args, 200)
        runs = [run_once(connection, env, args, args.tasks) for _ in range(args.runs)]
    return summary("chain4", runs, {"tasks": args.tasks, "workers": args.workers, "capacity": args.capacity})


def run_once(connection, env, args, tasks: int) -> dict:
    """All tasks are there before the first worker: the rate is the system's, not the submitter's."""
    ids = submit(connection, "chain4", tasks)
    env.start_workers(args.workers, args.capacity)
    before = env.counters(connection)
    wait_for_tasks(connection, env, ids[0], ids[-1], 300)
    result = measure(connection, env, before, ids[0], ids[-1])
    env.stop_workers()
    return result


def measure(connection, env, before: dict, first: int, last: int) -> dict:
    after = env.counters(connection)
    steps, seconds = connection.execute(
        "SELECT count(*), extract(epoch FROM max(s.processed_at) - min(s.last_attempted_at))::float8"
        " FROM tasker_workflow_steps s WHERE s.task_id BETWEEN %s AND %s",
        (first, last),
    ).fetchone()
    wrong = connection.execute(
        "SELECT count(*) FROM tasker_tasks WHERE task_id BETWEEN %s AND %s AND state <> 'complete'",
        (first, last),
    ).fetchone()[0]
    if wrong:
        raise SystemExit(f"{wrong} tasks of the workload did not complete")
    turns = connection.execute(
        "SELECT count(DISTINCT b.turn) FROM tasker_step_execution_batches b WHERE b.created_at >= %s",
        (before["at"],),
    ).fetchone()[0]
    result = {
        "steps_per_s": steps / seconds,
        "steps": steps,
        "seconds": seconds,
        "steps_per_turn": steps / max(turns, 1),
    }
    for name in ("orchestrator", "postgres", "workers"):
        result[f"{name}_cpu_ms_per_step"] = (after["cpu"][name] - before["cpu"][name]) * 1000 / steps
    result["commits_per_step"] = (after["commits"] - before["commits"]) / steps
    result["wal_bytes_per_step"] = (after["wal"] - before["wal"]) / steps
    return result


def run_latency(env, args) -> dict:
    env.start_workers(1, args.capacity)
    report = {"workload": "latency", "samples": args.samples, "cases": {}}
    with psycopg.connect(env.url, autocommit=True) as connection:
        connection.execute("LISTEN tasker_done")
        for length in (1, 3, 4):
            name = f"latency{length}"
            register(connection, chain_template(name, length))
            submit_and_wait(connection, name)  # the first one pays for caches
            samples = sorted(submit_and_wait(connection, name) for _ in range(args.samples))
            report["cases"][f"{length} step" + ("s" if length > 1 else "")] = percentiles(samples)
    return report


def submit_and_wait(connection, name: str) -> float:
    request = json.dumps([{"namespace": "bench", "name": name, "version": "1.0.0", "context": {}}])
    started = time.perf_counter()
    task_id = connection.execute("SELECT task_id FROM tasker_create_tasks(%s::jsonb)", (request,)).fetchone()[
        0
    ]
    for notification in connection.notifies():
        if notification.payload == str(task_id):
            return (time.perf_counter() - started) * 1000
    raise SystemExit("the connection to the database was lost")


def percentiles(samples: list[float]) -> dict:
    def at(share: float) -> float:
        return samples[min(len(samples) - 1, int(share * len(samples)))]

    return {"p50_ms": at(0.50), "p95_ms": at(0.95), "p99_ms": at(0.99), "max_ms": samples[-1]}


def summary(workload: str, runs: list[dict], settings: dict) -> dict:
    keys = [key for key in runs[0] if key not in ("steps", "seconds")]
    table = {}
    for key in keys:
        values = [run[key] for run in runs]
        table[key] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {"workload": workload, **settings, "runs": len(runs), "results": table}


def print_report(report: dict) -> None:
    print(f"\n{report['workload']}: {WORKLOADS[report['workload']]}")
    for name, case in report.get("cases", {}).items():
        print(
            f"  {name:10}"
            + "  ".join(f"{key.replace('_ms', '')} {value:7.2f} ms" for key, value in case.items())
        )
    for name, value in report.get("results", {}).items():
        print(
            f"  {name:28} median {value['median']:12.3f}  min {value['min']:12.3f}  max {value['max']:12.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bin/bench",
        description="Measures Tasker on this machine. PostgreSQL runs with fsync and synchronous_commit on.",
        epilog="Workloads: " + "; ".join(f"{name}: {text}" for name, text in WORKLOADS.items()),
    )
    parser.add_argument("workload", nargs="*", choices=[*WORKLOADS, []], help="default: all")
    parser.add_argument("--tasks", type=int, default=5000, help="tasks of one run (default 5000)")
    parser.add_argument("--runs", type=int, default=5, help="runs of one workload (default 5)")
    parser.add_argument("--samples", type=int, default=300, help="tasks of one latency case (default 300)")
    parser.add_argument("--workers", type=int, default=1, help="worker processes (default 1)")
    parser.add_argument("--capacity", type=int, default=100, help="capacity of each worker (default 100)")
    parser.add_argument("--worker", choices=["native", "python", "ruby"], default="native")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    parser.add_argument(
        "--build", default=os.environ.get("TASKER_BUILD_DIR", str(HERE.parent.parent / "build"))
    )
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    reports = []
    for workload in args.workload or list(WORKLOADS):
        with bench_env.Environment(args.build, args.worker) as env:
            if not reports and not args.json:
                print("\n".join(env.describe()))
            report = {"chain4": run_chain4, "latency": run_latency}[workload](env, args)
            reports.append(report)
            if not args.json:
                print_report(report)
    if args.json:
        print(json.dumps(reports, indent=2))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{error.cmd} failed: {error.stderr or error.stdout or error}") from error
