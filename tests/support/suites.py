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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
    limit: float = 900.0

    def run(self) -> tuple[int, str]:
        """Exit code and output. A command that exceeds its limit is killed with all it started: code -9."""
        log = self.reports / f"{self.name}.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(self.limit)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                code = -9
                output.write(f"\n(killed: it did not end within {self.limit:.0f} s)\n".encode())
        return code, log.read_text(errors="replace")


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


def run_pytest(job: Job, targets: list[str]) -> Outcome:
    report = job.reports / f"{job.name}.xml"
    job.command = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *targets]
    code, output = job.run()
    outcome = read_junit(report) if report.exists() else Outcome()
    return _explained(outcome, job.name, code, output)


def run_rspec(job: Job) -> Outcome:
    report = job.reports / f"{job.name}.json"
    job.command = ["rspec", "--no-color", "--format", "progress", "--format", "json", "--out", str(report)]
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
