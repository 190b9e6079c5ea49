"""Workers of one kind share the work, and no step runs twice."""

from __future__ import annotations

import pytest

from checks import assert_all_consistent, assert_first_attempts, assert_started_once
from parts import SystemFactory
from workers import PYTHON_PATTERNS, RUBY_PATTERNS


@pytest.mark.parametrize("language", ["python", "ruby"])
def test_two_workers_of_one_kind_share_the_work_and_no_step_runs_twice(
    make_system: SystemFactory, language: str
) -> None:
    system = make_system()
    start, files = {
        "python": (system.python_worker, PYTHON_PATTERNS),
        "ruby": (system.ruby_worker, RUBY_PATTERNS),
    }[language]
    first = start("first", files, "--capacity", "4", wait=False)
    start("second", files, "--capacity", "4")
    system.wait_for_worker("first", first)
    system.submit_many("patterns", "fan_out_fan_in", [{"value": n} for n in range(10)])
    system.wait_for_end()
    assert system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == 10
    runs = {name: sum(e["worker"] == name for e in system.effects()) for name in ("first", "second")}
    assert min(runs.values()) > 100, f"one of them did nearly nothing: {runs}"
    assert_started_once(system)
    assert_first_attempts(system)
    assert_all_consistent(system)
