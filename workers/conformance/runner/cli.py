"""The command line of `workers/conformance/run`."""

import os
import shutil
import signal
import sys
from typing import Any, Dict, List, Sequence, Tuple

from . import report, rules
from .engine import Engine, Result
from .rulebook import CAPABILITIES, OPTIONS, RULES, Rule
from .trial import Setup

assert rules.__all__, "importing the rules enters them into RULES"

CONFORMS, VIOLATES, USAGE = 0, 1, 2
INTERRUPTED = 130
JOBS = 6

HELP = """\
Usage: workers/conformance/run [options] -- COMMAND…

Starts COMMAND, a worker, once for each rule of the wire protocol (protocol/SPEC.md), plays the orchestrator
for it, hostile where the rule wants that, and says for each rule what it saw. COMMAND must be the worker
itself, or replace itself by it (exec): signals go to the process that is started.

The worker serves the handler class Conformance::Handler; for Ruby and Python it is here (handlers.rb,
handlers.py), for another language README.md says what it does. Options are added behind COMMAND.

  workers/conformance/run -- workers/ruby/exe/tasker-worker \\
      --require workers/conformance/handlers.rb --templates workers/conformance/templates
  workers/conformance/run --only resend_same_bytes -- ./my-worker
  workers/conformance/run --no-options --without claim_first -- ./my-worker --verbose

Options:
  --only RULE       run this rule (repeatable, or comma-separated)
  --list            list the rules and what each asks for
  --without NAME    the worker lacks this; rules that need it are skipped, and counted as skipped (repeatable)
  --no-options      the same as --without for each of: {options}
  --json            one JSON document instead of lines
  --jobs N          rules that run at the same time (default {jobs})
  --patience N      multiplies every limit, for slow machines (default 1, or TASKER_TEST_PATIENCE)
  --tcp             tcp on loopback instead of ipc
  --help            this text

What a worker may lack (--without):
{capabilities}

A line per rule: ok, FAILED or skipped; its name; the section of SPEC.md; what was seen. The last line is
"N passed, N failed", with the number of skipped rules if there are any.
Exit codes: 0 the worker conforms   1 it does not   2 wrong usage of this program
"""


class UsageError(Exception):
    """A wrong command line; the text says what is wrong."""


def main(argv: List[str]) -> int:
    """Runs the command line; returns the exit code."""
    try:
        options, command = _parse(argv)
        if options.get("help"):
            print(_help(), end="")
            return CONFORMS
        chosen = _chosen(options["only"])
        if options.get("list"):
            print("\n".join(report.listing(chosen)))
            return CONFORMS
        if not command:
            raise UsageError("no COMMAND; write it behind --")
        if shutil.which(command[0]) is None:
            raise UsageError(f"{command[0]} is no program that can be started")
        setup = Setup(
            tuple(command), frozenset(options["without"]), bool(options.get("tcp")), options["patience"]
        )
    except UsageError as error:
        print(f"workers/conformance/run: {error} (see --help)", file=sys.stderr)
        return USAGE
    return _run(Engine(setup, options["jobs"]), chosen, command, bool(options.get("json")))


def _run(engine: Engine, chosen: List[Rule], command: List[str], as_json: bool) -> int:
    def show(result: Result) -> None:
        if not as_json:
            print(report.line(result), flush=True)

    def on_signal(*_: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        engine.stop()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    try:
        results = engine.run(chosen, show)
        if as_json:
            print(report.as_json(command, results), flush=True)
        else:
            print("\n".join([*report.details(results), report.summary(results)]), flush=True)
    except KeyboardInterrupt:
        print("workers/conformance/run: ended by a signal", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads any more; the interpreter must not complain about that once again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    return CONFORMS if report.conforms(results) else VIOLATES


def _help() -> str:
    return HELP.format(options=", ".join(OPTIONS), jobs=JOBS, capabilities="\n".join(report.capabilities()))


def _parse(argv: List[str]) -> Tuple[Dict[str, Any], List[str]]:
    """(options, COMMAND); everything behind the first -- is COMMAND."""
    end = argv.index("--") if "--" in argv else len(argv)
    given, command = argv[:end], argv[end + 1 :]
    patience = os.environ.get("TASKER_TEST_PATIENCE", "1")
    options: Dict[str, Any] = {"only": [], "without": [], "jobs": JOBS, "patience": _number("", patience)}
    words = iter(given)
    for word in words:
        name, equals, value = word.partition("=")
        if name in ("--help", "--list", "--json", "--tcp", "--no-options", "-h") and not equals:
            options["help" if name == "-h" else name[2:]] = True
        elif name in ("--only", "--without", "--jobs", "--patience"):
            _take(options, name, value if equals else next(words, ""))
        elif word.startswith("-"):
            raise UsageError(f"unknown option {word}")
        else:
            raise UsageError(f"{word}: COMMAND stands behind --")
    if options.get("no-options"):
        options["without"] += OPTIONS
    return options, command


def _take(options: Dict[str, Any], name: str, value: str) -> None:
    if value == "":
        raise UsageError(f"{name} needs a value")
    if name in ("--jobs", "--patience"):
        number = _number(name, value)
        options[name[2:]] = max(1, int(number)) if name == "--jobs" else number
        return
    known: Sequence[str] = list(RULES) if name == "--only" else list(CAPABILITIES)
    for part in value.split(","):
        if part not in known:
            where = "see --list" if name == "--only" else f"one of {', '.join(known)}"
            raise UsageError(f"{name} {part} is not known ({where})")
        options[name[2:]].append(part)


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0
    if not 0 < number < 1000:
        raise UsageError(f"{name or 'TASKER_TEST_PATIENCE'} {value}: a number above 0 is needed")
    return number


def _chosen(only: List[str]) -> List[Rule]:
    return [one for name, one in RULES.items() if not only or name in only]
