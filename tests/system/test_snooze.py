"""SnoozeError and tries_left, with real workers of both SDKs."""

from __future__ import annotations

import json

import pytest

from checks import assert_all_consistent
from fault_tools import one_step, short
from parts import System, SystemFactory, tasker, wait_until
from workers import sdk_worker


def snoozes(system: System, task_id: int) -> int:
    return int(system.value("SELECT snoozes FROM tasker_workflow_steps WHERE task_id = %s", task_id))


@pytest.mark.parametrize("language", ["python", "ruby"])
def test_a_snoozed_step_comes_again_and_costs_no_attempt(make_system: SystemFactory, language: str) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("wait", "Sdk::SnoozeHandler", default_retry_limit=1))
    sdk_worker(system, language)
    gate = system.folder / "gate"
    task = system.submit("tests/wait", {"until": str(gate), "seconds": 0.05})
    wait_until(lambda: snoozes(system, task) >= 3, "three snoozes", on_fail=system.describe)
    gate.touch()
    system.wait_for_task(task, "complete")
    (step,) = system.steps(task).values()
    assert step["attempts"] - step["unstarted_attempts"] == 1
    assert step["attempts"] == step["snoozes"] + 1
    assert step["results"] == {"attempt": step["attempts"], "tries_left": 0}
    assert system.value("SELECT count(*) FROM tasker_dead_letters") == 0
    assert_all_consistent(system)


@pytest.mark.parametrize("language", ["python", "ruby"])
def test_a_step_that_waits_is_explained(make_system: SystemFactory, language: str) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("wait", "Sdk::SnoozeHandler", max_snoozes=1500))
    sdk_worker(system, language)
    task = system.submit("tests/wait", {"until": str(system.folder / "gate"), "seconds": 3600})
    wait_until(lambda: snoozes(system, task) == 1, "a snooze", on_fail=system.describe)
    said = tasker(system.url, "task", "explain", str(task)).stdout
    assert "asked to wait until 2" in said and "1 of 1 500 times: the bank is closed" in said, said
    answer = json.loads(tasker(system.url, "task", "explain", str(task), "--json").stdout)
    assert answer["steps"][0]["cause"] == "snoozed"
    assert answer["steps"][0]["detail"]["max_snoozes"] == 1500
    (step,) = system.steps(task).values()
    shown = tasker(system.url, "step", "show", str(step["workflow_step_id"])).stdout
    assert "1 of 1500 times its handler asked to wait" in shown and "handed_back (snoozed)" in shown, shown
    assert "asked to wait until" in tasker(system.url, "task", "show", str(task)).stdout
    history = tasker(system.url, "task", "show", str(task), "--history").stdout
    assert "hand_back" in history and "the bank is closed" in history, history
    assert tasker(system.url, "attention").returncode == 0
    assert_all_consistent(system)


@pytest.mark.parametrize("language", ["python", "ruby"])
def test_beyond_max_snoozes_the_step_fails_and_says_so(make_system: SystemFactory, language: str) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("wait", "Sdk::SnoozeHandler", max_snoozes=2))
    sdk_worker(system, language)
    task = system.submit("tests/wait", {"until": str(system.folder / "gate"), "seconds": 0})
    system.wait_for_task(task, "error")
    (step,) = system.steps(task).values()
    assert (step["attempts"], step["unstarted_attempts"], step["snoozes"]) == (3, 2, 2)
    assert step["error"]["error_code"] == "snoozes_exhausted"
    assert "more often than max_snoozes allows (2): the bank is closed" in step["error"]["message"]
    listed = tasker(system.url, "dlq", "list", "--reason", "snoozes_exhausted").stdout
    assert "its handler asked to wait more often" in listed, listed
    # An operator's retry starts the count anew.
    (system.folder / "gate").touch()
    tasker(system.url, "step", "retry", str(step["workflow_step_id"]))
    wait_until(lambda: system.task_state(task) == "complete", "the retry", on_fail=system.describe)
    assert_all_consistent(system)


@pytest.mark.parametrize("language", ["python", "ruby"])
def test_tries_left_says_which_try_is_the_last(make_system: SystemFactory, language: str) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("fail", "Sdk::FailHandler", default_retry_limit=3))
    sdk_worker(system, language)
    task = system.submit("tests/fail", {})
    system.wait_for_task(task, "complete")
    (step,) = system.steps(task).values()
    assert step["results"] == {"attempt": 3, "retry_limit": 3}


def test_a_restart_keeps_what_waits(make_system: SystemFactory) -> None:
    """The time of a snooze is in the database: a new orchestrator delivers the step when it has come."""
    system = make_system(settings=short())
    system.load_template(one_step("wait", "Sdk::SnoozeHandler"))
    sdk_worker(system, "python")
    gate = system.folder / "gate"
    task = system.submit("tests/wait", {"until": str(gate), "seconds": 1.5})
    wait_until(lambda: snoozes(system, task) == 1, "a snooze", on_fail=system.describe)
    assert system.orchestrator is not None
    system.orchestrator.kill()
    gate.touch()
    system.start_orchestrator()
    system.wait_for_task(task, "complete")
    (step,) = system.steps(task).values()
    assert step["results"]["attempt"] == 2
    assert_all_consistent(system)
