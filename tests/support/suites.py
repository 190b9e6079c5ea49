"""Runs test suites and counts what they did, from their own machine-readable reports.

A suite that runs no test, crashes, or ends with a failure code that its report does not explain has failed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.support.procs import ROOT

PYTHON = "/usr/bin/python3"


@dataclass
class Outcome:
    """What one suite did; `failures` are (name, text)."""

    passed: int = 0
    skipped: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return len(self.failures)

    def add(self, other: Outcome) -> None:
        self.passed += other.passed
        self.skipped += other.skipped
        self.failures += other.failures


@dataclass
class Job:
    """One command to run: where, with what, for how long, and where its reports go."""

    name: str
    command: list[str]
    folder: Path
    reports: Path
    environment: Mapping[str, str]
    # Against a hang only: the stage system takes 8 minutes alone, more beside a build.
    limit: float = 1800.0

    def run(self) -> tuple[int, str]:
        """Exit code and output. A command that exceeds its limit is killed with all it started: code -9."""
        return run_side_by_side([self])[0]

    @property
    def log(self) -> Path:
        return self.reports / f"{self.name}.log"

    def start(self) -> subprocess.Popen[bytes]:
        with open(self.log, "wb") as output:
            return subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def run_side_by_side(jobs: Sequence[Job]) -> list[tuple[int, str]]:
    """Exit code and output of each, when all have ended. The limits count from now."""
    began = time.monotonic()
    running: list[subprocess.Popen[bytes]] = []
    codes = []
    try:
        running += [job.start() for job in jobs]
        for job, process in zip(jobs, running):
            try:
                codes.append(process.wait(max(0.0, began + job.limit - time.monotonic())))
            except subprocess.TimeoutExpired:
                _end(process)
                codes.append(-9)
                with open(job.log, "a") as output:
                    output.write(f"\n(killed: it did not end within {job.limit:.0f} s)\n")
    except BaseException:
        for process in running:
            _end(process)
        raise
    return [(code, job.log.read_text(errors="replace")) for code, job in zip(codes, jobs)]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends it with all it started: SIGTERM, and SIGKILL to what is left after 20 s."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(text: str, lines: int = 60) -> str:
    return "\n".join(text.splitlines()[-lines:])


def _explained(outcome: Outcome, name: str, code: int, output: str) -> Outcome:
    """Adds the failure that the report does not show: a crash, or nothing run at all."""
    if code != 0 and outcome.failed == 0:
        outcome.failures.append((name, f"ended with code {code} without a failed test:\n{_tail(output)}"))
    elif outcome.passed + outcome.failed == 0:
        outcome.failures.append((name, f"no test was run\n{_tail(output)}"))
    return outcome


def read_junit(path: Path) -> Outcome:
    """Counts the test cases of a JUnit file as pytest and GoogleTest write it."""
    outcome = Outcome()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = ".".join(part for part in (case.get("classname", ""), case.get("name", "")) if part)
        faults = [*case.findall("failure"), *case.findall("error")]
        if faults:
            texts = [fault.text or fault.get("message", "") for fault in faults]
            texts += [block.text or "" for block in case.findall("system-out")]
            outcome.failures.append((name, "\n".join(texts)))
        elif case.find("skipped") is not None or case.get("status") == "notrun":
            outcome.skipped += 1
        else:
            outcome.passed += 1
    return outcome


def run_pytest(job: Job, targets: list[str], shares: int = 1) -> Outcome:
    """Runs one suite. With several shares as many processes divide its tests: see shares.py."""
    parts = [job] if shares == 1 else [replace(job, name=f"{job.name}-{n + 1}") for n in range(shares)]
    claims = job.reports / f"{job.name}-claims"
    claims.mkdir()
    for part in parts:
        report = part.reports / f"{part.name}.xml"
        part.command = [
            PYTHON,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            *targets,
        ]
        if shares > 1:
            part.environment = {**job.environment, "TASKER_TEST_SHARE": str(claims)}
    total = Outcome()
    for part, (code, output) in zip(parts, run_side_by_side(parts)):
        report = part.reports / f"{part.name}.xml"
        outcome = read_junit(report) if report.exists() else Outcome()
        # One of several may have come too late for any test; all of them together may not.
        idle = shares > 1 and code == 0 and report.exists() and not outcome.passed + outcome.failed
        total.add(outcome if idle else _explained(outcome, part.name, code, output))
    return _explained(total, job.name, 0, "no share had a test")


def run_rspec(job: Job, arguments: list[str] | None = None) -> Outcome:
    report = job.reports / f"{job.name}.json"
    job.command = ["rspec", "--no-color", "--format", "progress", "--format", "json", "--out", str(report)]
    job.command += arguments or []
    code, output = job.run()
    outcome = Outcome()
    if report.exists() and report.stat().st_size > 0:
        for example in json.loads(report.read_text())["examples"]:
            if example["status"] == "passed":
                outcome.passed += 1
            elif example["status"] == "pending":
                outcome.skipped += 1
            else:
                exception = example.get("exception") or {}
                outcome.failures.append((example["full_description"], exception.get("message", "")))
    return _explained(outcome, job.name, code, output)


def ctest_programs(build: Path) -> list[dict]:
    """All tests that ctest knows, as its JSON model describes them."""
    command = ["ctest", "--test-dir", str(build), "--show-only=json-v1"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["tests"]


def run_program(job: Job, build: Path, gtest_filter: str) -> Outcome:
    """Runs the cases of one GoogleTest program (the job's name) that the filter names."""
    report = job.reports / f"{job.name}.xml"
    job.command = [str(build / "bin" / job.name), f"--gtest_filter={gtest_filter}", "--gtest_color=no"]
    job.command += [f"--gtest_output=xml:{report}"]
    code, output = job.run()
    outcome = read_junit(report) if report.exists() else Outcome()
    outcome.skipped = 0  # what the filter left out
    return _explained(outcome, job.name, code, output)


def run_ctest(job: Job, build: Path, label: str) -> Outcome:
    """Runs all tests of one label; each program's cases are counted from its own GoogleTest report."""
    cases = job.reports / f"{job.name}-cases"
    cases.mkdir()
    summary = job.reports / f"{job.name}.xml"
    job.environment = {**job.environment, "GTEST_OUTPUT": f"xml:{cases}/", "GTEST_COLOR": "no"}
    job.command = ["ctest", "--test-dir", str(build), "-L", f"^{label}$", "--output-junit", str(summary)]
    job.command += [
        "--output-on-failure",
        "--no-tests=error",
        "-j",
        str(os.cpu_count() or 2),
        "--timeout",
        "600",
    ]
    code, output = job.run()
    outcome = Outcome()
    programs = ElementTree.parse(summary).getroot().findall("testcase") if summary.exists() else []
    for program in programs:
        name = program.get("name", "")
        said = program.findtext("system-out") or ""
        # A program that was filtered or split writes NAME.xml, NAME_1.xml, …
        reports = [cases / f"{name}.xml", *cases.glob(f"{name}_[0-9]*.xml")]
        done = Outcome()
        for report in reports:
            if report.exists():
                done.add(read_junit(report))
        failed = program.find("failure") is not None or program.get("status") == "fail"
        outcome.add(_explained(done, name, 1 if failed else 0, said))
    return _explained(outcome, job.name, code, output)


def timed(action: Callable[[], Outcome]) -> tuple[Outcome, float]:
    start = time.monotonic()
    outcome = action()
    return outcome, time.monotonic() - start


def clean_environment() -> dict[str, str]:
    """Ours, without what would lead tests to a developer's own database or orchestrator."""
    keep = {"TASKER_PG_BIN", "TASKER_TEST_PATIENCE"}
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("TASKER_") or name in keep
    }
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    environment["TASKER_SOURCE_DIR"] = str(ROOT)
    return environment
