"""bin/bench: measures the workloads asked for, prints them, and writes them to a file."""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench import environment, floor_runs, options as command_line, report
from tests.bench.progress import say
from tests.bench.system import check_programs
from tests.bench.workloads import LINES, WORKLOADS, everything


def measure(options: argparse.Namespace) -> tuple[list[dict[str, Any]], bool]:
    """All reports, and whether all held what they watch."""
    around = environment.describe()
    planned = (
        everything.plan(options)
        if options.workload == ["all"]
        else [(name, options) for name in options.workload or ["chain4", "latency"]]
    )
    if {"floor", "all"} & set(options.workload):
        around.update(floor_runs.machine(options.build))
    if not options.json:
        print("\n".join(report.environment_lines(around)), flush=True)
    reports = []
    for place, (name, own_options) in enumerate(planned, 1):
        say(f"{name} ({place} of {len(planned)})")
        started = time.monotonic()
        done = WORKLOADS[name].run(own_options)
        done["environment"] = around
        done["took_s"] = round(time.monotonic() - started, 1)
        reports.append(done)
        if options.out:
            write(options.out, reports)  # after each: what was measured is kept when a later one fails
        if not options.json:
            print(report.text(done, LINES[name]), flush=True)
    return reports, all(done.get("held", True) for done in reports)


def write(file: Path, reports: list[dict[str, Any]]) -> None:
    try:
        file.write_text(json.dumps(reports, indent=2) + "\n")
    except OSError as error:
        raise SystemExit(
            f"bin/bench: cannot write {file}: {error.strerror}; name another file with --out"
        ) from None


def read(file: Path) -> list[dict[str, Any]]:
    try:
        reports = json.loads(file.read_text())
    except OSError as error:
        raise SystemExit(f"bin/bench: cannot read {file}: {error.strerror}") from None
    except ValueError as error:
        raise SystemExit(f"bin/bench: {file} is not a results file of --out or --json: {error}") from None
    if not isinstance(reports, list) or not all(isinstance(r, dict) and "workload" in r for r in reports):
        raise SystemExit(f"bin/bench: {file} is JSON, but not a results file of --out or --json")
    return reports


def main(arguments: list[str] | None = None) -> int:
    options = command_line.parse(LINES, arguments)
    if options.report:
        print(report.markdown(read(options.report), LINES), end="")
        return 0
    if options.plots:
        from tests.bench import plots  # matplotlib is needed for this alone

        for picture in plots.draw(read(options.plots), options.plot_folder):
            print(picture)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A thousand sessions are thousands of sockets, in the orchestrator as in the process that simulates them.
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    options.build = options.build.resolve()
    check_programs(options.build)
    if options.out:
        write(options.out, [])  # a file that cannot be written is found out before the measuring
    reports, held = measure(options)
    if options.json:
        print(json.dumps(reports, indent=2))
    return 0 if held else 1
