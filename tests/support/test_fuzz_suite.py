"""The fuzz suite must not call a target green that crashed, or that tested nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import corpus
from tests.support import fuzz_suite, suites


def run(tmp_path: Path, script: str) -> suites.Outcome:
    program = tmp_path / "bin/fuzz_wake"
    program.parent.mkdir()
    program.write_text(f"#!/bin/bash\n{script}\n")
    program.chmod(0o755)
    reports = tmp_path / "reports"
    reports.mkdir()
    job = suites.Job("fuzz", [], tmp_path, reports, {"PATH": "/usr/bin:/bin"})
    return fuzz_suite.run_all(job, tmp_path, seconds=1, seed=7)


def test_a_target_that_ran_to_its_end_has_passed(tmp_path: Path):
    outcome = run(tmp_path, 'echo "Done 5 runs in 1 second(s)"')
    assert (outcome.passed, outcome.failed) == (1, 0)


def test_a_crash_shows_the_input_and_where_it_is_kept(tmp_path: Path):
    script = """
for argument in "$@"; do case $argument in -artifact_prefix=*) prefix=${argument#*=} ;; esac; done
printf 'keys:\\377' >"${prefix}crash-1"
echo "BROKEN PROPERTY: every wake has an effect"
echo "Test unit written to ${prefix}crash-1"
exit 77"""
    outcome = run(tmp_path, script)
    assert outcome.failed == 1
    name, text = outcome.failures[0]
    assert name == "fuzz.wake"
    assert "6b6579733aff" in text
    assert f"kept as {tmp_path}/crashes/wake/crash-1" in text
    assert "BROKEN PROPERTY: every wake has an effect" in text
    assert "seed 7" in text


@pytest.mark.parametrize("script", ["exit 0", "exit 1", "kill -9 $$"])
def test_a_target_that_tested_nothing_has_failed(tmp_path: Path, script: str):
    outcome = run(tmp_path, script)
    assert (outcome.passed, outcome.failed) == (0, 1)


def test_no_targets_at_all_is_a_failure(tmp_path: Path):
    job = suites.Job("fuzz", [], tmp_path, tmp_path, {})
    outcome = fuzz_suite.run_all(job, tmp_path, seconds=1, seed=7)
    assert (outcome.passed, outcome.failed) == (0, 1)


def test_every_target_has_seeds_and_keeps_its_regressions():
    targets = {file.name.removesuffix("_fuzz.cpp") for file in (fuzz_suite.FUZZ).glob("*_fuzz.cpp")}
    assert targets
    for target in targets:
        assert corpus.seeds(target)
    assert {folder.name for folder in (fuzz_suite.FUZZ / "regressions").iterdir()} <= targets
