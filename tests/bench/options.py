"""The command line of bin/bench."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from tests.support import procs

WIDTH_MAX = 9998
KINDS = ["native", "python", "ruby"]
EXAMPLES = """\
examples:
  bin/bench chain4                                   throughput, 5 runs, beside the floor
  bin/bench chain4 --tasks 4000 --runs 1 --json      one quick run, for scripts
  bin/bench chain4 fanout --worker python --workers 2
  bin/bench latency --samples 300                    an idle system, one task at a time
  bin/bench floor --turn 10 --turn 100               the database's own speed for the same rows
  bin/bench soak --minutes 10 --rate 3000            does anything grow without bound?
  bin/bench all --out results.json                   every current figure, about 25 minutes
  bin/bench --report results.json > table.md         … as the table of tests/bench/README.md
  bin/bench --plots results.json                     … as pictures, into tests/bench/plots
"""


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return number


def positive_float(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


def not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0")
    return number


def parse(lines: Mapping[str, str], arguments: list[str] | None = None) -> argparse.Namespace:
    """`lines` names every workload and explains it in a line. Bad arguments end the program, code 2."""
    width = max(len(name) for name in lines) + 2
    described = "\n".join(f"  {name:<{width}}{line}" for name, line in lines.items())
    parser = argparse.ArgumentParser(
        prog="bin/bench",
        description="Measures Tasker on this machine: a private PostgreSQL (fsync and synchronous_commit\n"
        "on), the orchestrator and workers, started for the measurement and ended after it.\n\n"
        f"workloads:\n{described}\n  {'all':<{width}}all of these as the README's table shows them",
        usage="bin/bench [WORKLOAD ...] [OPTION ...]",
        epilog=f"{EXAMPLES}\nWhat each figure means: tests/bench/README.md. Progress goes to stderr.\n"
        "Exit codes: 0 measured, 1 a workload failed or did not hold what it watches, 2 bad usage.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "workload", nargs="*", metavar="WORKLOAD", help="what to measure, see above (chain4 and latency)"
    )
    _add_sizes(parser)
    _add_environment(parser)
    options = parser.parse_args(arguments)
    for name in options.workload:
        if name != "all" and name not in lines:
            parser.error(f"there is no workload {name!r}; there are: {', '.join([*lines, 'all'])}")
    if "all" in options.workload and len(options.workload) > 1:
        parser.error("`all` stands alone: it includes every other workload")
    if options.workload and (options.report or options.plots):
        parser.error("--report and --plots read a file of results; they measure nothing")
    if options.worker != "native" and {"sessions", "floor", "all"} & set(options.workload):
        parser.error(
            f"sessions and floor have no {options.worker} worker, and all has every kind: leave it out"
        )
    if max(options.width or [0]) > WIDTH_MAX:
        parser.error(f"--width is at most {WIDTH_MAX}: a template may have {WIDTH_MAX + 2} steps")
    return options


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    sizes = parser.add_argument_group("sizes")
    sizes.add_argument("--runs", type=positive, default=5, help="runs of each measurement (5)")
    sizes.add_argument("--tasks", type=positive, help="tasks of one run (each workload has its own default)")
    sizes.add_argument("--samples", type=positive, default=200, help="tasks of one run of latency (200)")
    sizes.add_argument("--worker", choices=KINDS, default="native", help="kind (native)")
    sizes.add_argument("--workers", type=positive, default=1, help="worker processes (1)")
    sizes.add_argument("--capacity", type=positive, default=100, help="steps at once of each worker (100)")
    sizes.add_argument(
        "--batch-size", type=positive, help="most steps in one batch (the product's default, 10)"
    )
    sizes.add_argument(
        "--with-floor",
        action=argparse.BooleanOptionalAction,
        help="chain workloads: a run of the floor after each run (default: from 3 runs on)",
    )
    sizes.add_argument("--width", type=positive, action="append", help="fanout: only this width (repeatable)")
    sizes.add_argument("--turn", type=positive, action="append", help="floor: steps per turn (10 and 100)")
    sizes.add_argument(
        "--size", type=not_negative, action="append", help="backlog: open steps (10000 … 1000000)"
    )
    sizes.add_argument("--sessions", type=positive, default=1000, help="sessions: idle sessions (1000)")
    sizes.add_argument("--minutes", type=positive_float, default=3.0, help="soak: how long (3)")
    sizes.add_argument("--rate", type=positive_float, help="soak, load: steps per second offered")
    sizes.add_argument("--seconds", type=positive_float, default=8.0, help="load: how long at each rate (8)")


def _add_environment(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("output and environment")
    output.add_argument("--json", action="store_true", help="one JSON document on stdout instead of tables")
    output.add_argument("--out", type=Path, help="also write the JSON document to this file")
    output.add_argument("--report", type=Path, help="print a results file as Markdown tables, and stop")
    output.add_argument("--plots", type=Path, help="draw the pictures of a results file, and stop")
    output.add_argument("--plot-folder", type=Path, default=Path(__file__).parent / "plots", help="where to")
    default = Path(os.environ.get("TASKER_BUILD_DIR", procs.ROOT / "build"))
    output.add_argument("--build", type=Path, default=default, help="build folder (TASKER_BUILD_DIR, build/)")
