"""What bin/test runs once everything is built; `bin/test --help` explains it."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
from tests.support import fuzz_suite, pg, selection, suites  # noqa: E402
from tests.support.procs import ROOT  # noqa: E402

TSAN_SUPPRESSIONS = ROOT / "tests/support/tsan.supp"
LSAN_SUPPRESSIONS = ROOT / "tests/support/lsan.supp"
# Its tests wait more than they compute, and none disturbs another: one process for each processor.
SHARED = {"system"}
SHARES = int(os.environ.get("TASKER_TEST_SHARES", str(min(4, os.cpu_count() or 1))))


@dataclass(frozen=True)
class Stage:
    name: str
    needs_server: bool
    run: Callable[[Runner], suites.Outcome]
    folder: Path | None = None  # a Python suite: skipped while it holds no tests
    in_plain_run: bool = True  # whether bin/test without arguments runs it


class Runner:
    """Runs stages one after the other, with one PostgreSQL for all of them."""

    def __init__(self, build: Path, fuzz_build: Path, reports: Path):
        self.build = build
        self.fuzz_build = fuzz_build
        self.reports = reports
        self.environment = suites.clean_environment()
        self.environment["TASKER_BUILD_DIR"] = str(build)
        self.environment["TASKER_BIN_DIR"] = str(build / "bin")
        self.total = suites.Outcome()

    def job(self, name: str, folder: Path = ROOT) -> suites.Job:
        return suites.Job(name, [], folder, self.reports, self.environment)

    def run(self, stage: Stage) -> None:
        outcome, seconds = suites.timed(lambda: stage.run(self))
        self.total.add(outcome)
        skipped = f", {outcome.skipped} skipped" if outcome.skipped else ""
        counts = f"{outcome.passed:5} passed, {outcome.failed} failed{skipped}"
        print(f"== {stage.name:<12} {counts}, {seconds:.1f} s", flush=True)
        for name, text in outcome.failures:
            print(f"-- FAILED {name}\n{text.rstrip()}\n", flush=True)


def _ctest(label: str) -> Callable[[Runner], suites.Outcome]:
    return lambda runner: suites.run_ctest(runner.job(label), runner.build, label)


def _program(name: str, wanted: str) -> Callable[[Runner], suites.Outcome]:
    return lambda runner: suites.run_program(runner.job(name), runner.build, wanted)


def _pytest(name: str, folder: Path, targets: list[str]) -> Callable[[Runner], suites.Outcome]:
    shares = SHARES if name in SHARED else 1
    return lambda runner: suites.run_pytest(runner.job(name, folder), targets, shares)


def _fuzz(runner: Runner) -> suites.Outcome:
    seconds = int(os.environ.get("TASKER_FUZZ_SECONDS", "15"))
    seed = int(os.environ.get("TASKER_FUZZ_SEED", "20260301"))
    return fuzz_suite.run_all(runner.job("fuzz"), runner.fuzz_build, seconds, seed)


CONFORMANCE = ROOT / "tests/conformance"
SYSTEM = ROOT / "tests/system"
CHAOS = ROOT / "tests/chaos"
BENCH = ROOT / "tests/bench"
PYTHON_WORKER = ROOT / "workers/python"
RUBY_WORKER = ROOT / "workers/ruby"
SUPPORT = ROOT / "tests/support"
STAGES = [
    Stage("support", False, _pytest("support", ROOT, ["tests/support"]), SUPPORT),
    Stage("unit", False, _ctest("unit")),
    Stage("store", True, _ctest("store")),
    Stage("conformance", False, _pytest("conformance", ROOT, ["tests/conformance"]), CONFORMANCE),
    Stage("python", False, _pytest("python", PYTHON_WORKER, []), PYTHON_WORKER),
    Stage("ruby", False, lambda runner: suites.run_rspec(runner.job("ruby", RUBY_WORKER))),
    Stage("system", True, _pytest("system", ROOT, ["tests/system"]), SYSTEM),
    Stage("chaos", False, _pytest("chaos", ROOT, ["tests/chaos"]), CHAOS),
    Stage("bench", False, _pytest("bench", ROOT, ["tests/bench"]), BENCH),
    Stage("fuzz", False, _fuzz, in_plain_run=False),
]
# What exercises the C++ programs. The fuzz targets have sanitizers of their own (address and undefined).
SANITIZED = {
    "address": ["unit", "store", "conformance", "system", "fuzz"],
    "thread": ["unit", "store", "conformance", "system"],
}


def _has_tests(stage: Stage) -> bool:
    return stage.folder is None or any(stage.folder.rglob("test_*.py"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/test", add_help=False)
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--fuzz-build", type=Path, default=ROOT / "build-fuzz")
    parser.add_argument("--only", action="append", choices=[stage.name for stage in STAGES])
    parser.add_argument("--sanitizer", choices=["address", "thread"])
    parser.add_argument("--filter")
    parser.add_argument("--program", action="append")
    parser.add_argument("--changed", metavar="BASE")
    parser.add_argument("--targets", action="store_true", help="print what has to be built, and run nothing")
    return parser.parse_args()


def _programs_with(build: Path, labels: set[str]) -> dict[str, bool]:
    """GoogleTest program -> whether it needs the server."""
    found = {}
    for test in suites.ctest_programs(build):
        values = {item["name"]: item["value"] for item in test["properties"]}
        label = values.get("LABELS", [""])[0]
        if label in labels:
            found[test["name"]] = label == "store"
    return found


def _selected_stages(chosen: selection.Selection, build: Path) -> list[Stage]:
    """The stages of one run that is about chosen tests only."""
    stages = []
    needs_server = _programs_with(build, {"unit", "store"}) if chosen.programs else {}
    for program, wanted in sorted(chosen.programs.items()):
        stages.append(Stage(program, needs_server.get(program, False), _program(program, wanted)))
    for name, targets in sorted(chosen.python.items()):
        folder = PYTHON_WORKER if name == "python" else ROOT
        stages.append(Stage(name, name == "system", _pytest(name, folder, targets)))
    if chosen.ruby:
        arguments = list(chosen.ruby) + (["-e", chosen.ruby_example] if chosen.ruby_example else [])
        stages.append(
            Stage("ruby", False, lambda runner: suites.run_rspec(runner.job("ruby", RUBY_WORKER), arguments))
        )
    return stages


def _chosen(options: argparse.Namespace) -> selection.Selection | None:
    if options.program:
        return selection.Selection(programs=dict.fromkeys(options.program, "*"))
    if options.filter:
        return selection.by_name(options.filter)
    if options.changed:
        programs = _programs_with(options.build, {"unit", "store"})
        return selection.by_change(options.build, options.changed, programs)
    return None


def _sanitizer_settings(sanitizer: str | None) -> dict[str, str]:
    if sanitizer == "thread":
        return {
            "TSAN_OPTIONS": f"suppressions={TSAN_SUPPRESSIONS} halt_on_error=1 second_deadlock_stack=1",
            "TASKER_TEST_PATIENCE": "5",
        }
    if sanitizer == "address":
        return {
            "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
            "LSAN_OPTIONS": f"suppressions={LSAN_SUPPRESSIONS}:print_suppressions=0",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
            "TASKER_TEST_PATIENCE": "3",
        }
    return {}


def main() -> int:
    options = _options()
    # Ended by a signal, the server and all suites must end with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = _chosen(options)
    if options.targets and chosen is not None and not chosen:
        return _nothing_chosen(options)
    if options.targets:
        print("\n".join(chosen.targets() if chosen else ["all"]))
        return 0
    if chosen is None:
        plain = [stage.name for stage in STAGES if stage.in_plain_run]
        wanted = options.only or (SANITIZED[options.sanitizer] if options.sanitizer else plain)
        stages = [stage for stage in STAGES if stage.name in wanted]
    else:
        stages = _selected_stages(chosen, options.build)
        if not stages:
            return _nothing_chosen(options)
    return _run(options, stages)


def _nothing_chosen(options: argparse.Namespace) -> int:
    if options.filter:
        print(f"bin/test: no test is called {options.filter}")
        print(
            "          Write Suite.Name (GoogleTest), a function (pytest), or the text of an example (RSpec)."
        )
        print("0 passed, 1 failed")
        return 1
    print(f"bin/test: nothing that differs from {options.changed} concerns a test")
    print("0 passed, 0 failed")
    return 0


def _run(options: argparse.Namespace, stages: list[Stage]) -> int:
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        reports = Path(tempfile.mkdtemp(prefix="tasker-reports-"))
        stack.callback(shutil.rmtree, reports, ignore_errors=True)
        stack.enter_context(pg.QuickFolder())
        runner = Runner(options.build.resolve(), options.fuzz_build.resolve(), reports)
        runner.environment |= _sanitizer_settings(options.sanitizer)
        if any(stage.needs_server for stage in stages):
            cluster = stack.enter_context(pg.Cluster())
            runner.environment["TASKER_TEST_PG_URL"] = cluster.url()
        for stage in stages:
            if not _has_tests(stage) and not options.only:
                print(f"== {stage.name:<12} no tests yet", flush=True)
                continue
            runner.run(stage)
        total = runner.total
    skipped = f" ({total.skipped} skipped)" if total.skipped else ""
    print(f"== all stages in {time.monotonic() - start:.0f} s{skipped}")
    if total.failed:
        print("   failed: " + ", ".join(name for name, _text in total.failures))
    print(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
