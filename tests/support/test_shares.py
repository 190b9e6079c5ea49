"""A suite that several processes share runs each test once, and hides no failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import suites
from tests.support.procs import ROOT

# Each test writes who ran it; two that meet have to be in two processes.
MEETING = """
import os, pathlib, pytest
from tests.support import procs
here = pathlib.Path(__file__).parent

@pytest.mark.parametrize("name, other", [("one", "two"), ("two", "one")])
def test_meets(name, other):
    (here / name).write_text(str(os.getpid()))
    procs.wait_until((here / other).exists, 20, "the other one runs at the same time")
    assert (here / name).read_text() != (here / other).read_text()
"""
RECORDED = """
import os, pathlib, pytest
log = pathlib.Path(__file__).parent / "log"

def record(name):
    with open(log, "a") as file:
        print(name, os.getpid(), file=file)
"""
MODULE = """
@pytest.fixture(scope="module")
def thing():
    record("made")

@pytest.mark.parametrize("number", range(5))
def test_of_the_module(thing, number):
    record("used")
"""
ALONE = """
@pytest.mark.alone
@pytest.mark.parametrize("number", range(2))
def test_alone(number):
    record("begin"); record("end")

@pytest.mark.parametrize("number", range(20))
def test_beside_others(number):
    record("other")
"""


@pytest.fixture
def job(tmp_path: Path) -> suites.Job:
    for name in ("suite", "reports"):
        (tmp_path / name).mkdir()
    (tmp_path / "suite/conftest.py").write_text('pytest_plugins = ["tests.support.shares"]\n')
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("TASKER_TEST_SHARE", None)
    return suites.Job("suite", [], tmp_path / "suite", tmp_path / "reports", environment, limit=60)


def log(job: suites.Job) -> list[tuple[str, str]]:
    return [(line.split()[0], line.split()[1]) for line in (job.folder / "log").read_text().splitlines()]


def test_tests_of_one_file_run_at_the_same_time(job: suites.Job):
    (job.folder / "test_it.py").write_text(MEETING)
    outcome = suites.run_pytest(job, [], shares=2)
    assert (outcome.passed, outcome.failures) == (2, [])


def test_each_test_runs_once(job: suites.Job):
    body = "@pytest.mark.parametrize('n', range(40))\ndef test_one(n): record(n)\n"
    (job.folder / "test_it.py").write_text(RECORDED + body)
    outcome = suites.run_pytest(job, [], shares=3)
    assert (outcome.passed, outcome.failures) == (40, [])
    assert sorted(int(name) for name, _pid in log(job)) == list(range(40))


def test_a_fixture_of_a_module_is_made_once(job: suites.Job):
    (job.folder / "test_it.py").write_text(RECORDED + MODULE)
    outcome = suites.run_pytest(job, [], shares=2)
    assert (outcome.passed, outcome.failures) == (5, [])
    assert [name for name, _pid in log(job)] == ["made"] + ["used"] * 5


def test_what_runs_alone_runs_beside_nothing_and_last(job: suites.Job):
    (job.folder / "test_it.py").write_text(RECORDED + ALONE)
    outcome = suites.run_pytest(job, [], shares=3)
    assert (outcome.passed, outcome.failures) == (22, [])
    assert [name for name, _pid in log(job)] == ["other"] * 20 + ["begin", "end"] * 2


@pytest.mark.parametrize("body", ["assert False", "import os; os._exit(0)", "import os; os._exit(3)"])
def test_what_fails_or_ends_one_process_fails_the_suite(job: suites.Job, body: str):
    good = "import pytest\n@pytest.mark.parametrize('n', range(10))\ndef test_good(n): pass\n"
    (job.folder / "test_it.py").write_text(f"{good}def test_bad():\n    {body}\n")
    outcome = suites.run_pytest(job, [], shares=2)
    assert outcome.failed == 1


def test_a_suite_without_tests_has_failed(job: suites.Job):
    outcome = suites.run_pytest(job, [], shares=2)
    assert (outcome.passed, bool(outcome.failures)) == (0, True)


def test_more_processes_than_tests_are_no_failure(job: suites.Job):
    (job.folder / "test_it.py").write_text("def test_good(): pass\n")
    outcome = suites.run_pytest(job, [], shares=3)
    assert (outcome.passed, outcome.failures) == (1, [])
