"""The command line of bin/chaos."""

from __future__ import annotations

import argparse
import random

from tests.chaos.faults import FAULTS, HANDLER_FAULTS

TASKS_PER_MINUTE = 900
OPERATOR = "operator"
EVERYTHING = [*FAULTS, *HANDLER_FAULTS, OPERATOR]

DESCRIPTION = """\
Runs the real system (private PostgreSQL, two orchestrators, workers in Ruby and Python, relays between them)
under faults that a seed decides, lets it heal, and checks that nothing was lost, doubled or left behind."""
EPILOG = f"""\
faults:
  {chr(10).join("  " + name for name in EVERYTHING).strip()}

exit codes:
  0 no violation   1 violations, shown with their evidence; logs and a dump of the database are kept
  2 bad option     3 the suite itself failed   130 Ctrl-C

examples:
  bin/chaos --minutes 20
  bin/chaos --seed 7 --minutes 2 --only kill_worker,drop_messages
tests/chaos/README.md says what each fault does and how to replay a run."""


def parse_options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/chaos",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="how long faults come (default 2)")
    parser.add_argument("--seed", help="any text; the same seed brings the same faults (default: a new one)")
    parser.add_argument(
        "--tasks", type=int, help=f"how many tasks in all (default {TASKS_PER_MINUTE} a minute)"
    )
    parser.add_argument("--only", type=lambda text: text.split(","), help="only these faults, FAULT,…")
    parser.add_argument("--keep", action="store_true", help="keep logs and side-effect log in any case")
    options = parser.parse_args(arguments)
    if options.minutes <= 0 or (options.tasks is not None and options.tasks < 1):
        parser.error("--minutes and --tasks must be positive")
    for name in options.only or []:
        if name not in EVERYTHING:
            parser.error(f"there is no fault {name}; see --help")
    if options.seed is None:
        options.seed = str(random.SystemRandom().randrange(10**6))
    if options.tasks is None:
        options.tasks = max(20, round(options.minutes * TASKS_PER_MINUTE))
    return options


def replay_command(options: argparse.Namespace) -> str:
    words = [
        "bin/chaos",
        "--seed",
        options.seed,
        "--minutes",
        f"{options.minutes:g}",
        "--tasks",
        str(options.tasks),
    ]
    return " ".join([*words, *(["--only", ",".join(options.only)] if options.only else [])])
