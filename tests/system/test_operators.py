"""What operators do reaches the running system, also when it is down while they do it."""

from __future__ import annotations

import json
from typing import Any

from parts import TASKER, System, SystemFactory, tasker, wait_until
from workers import ECHO, PYTHON_PATTERNS

FLAKY = "Patterns::StepHandlers::FlakyHandler"
FAIL = "Patterns::StepHandlers::FailHandler"
COLLECT = "Patterns::StepHandlers::CollectHandler"


def template(name: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "namespace_name": "tests", "version": "1.0.0", "step_templates": list(steps)}


# Fails in its only attempt and would succeed in a second one.
BRITTLE = template(
    "brittle",
    {
        "name": "pay",
        "handler_class": FLAKY,
        "handler_config": {"failures": 1},
        "default_retry_limit": 1,
    },
    {"name": "ship", "handler_class": ECHO, "depends_on_steps": ["pay"]},
)
DOOMED = template(
    "doomed",
    {"name": "pay", "handler_class": FAIL},
    {"name": "collect", "handler_class": COLLECT, "depends_on_steps": ["pay"]},
)
SINGLE = template("single", {"name": "only", "handler_class": ECHO})


def operate(system: System, *arguments: str, code: int = 0) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(tasker(system.url, *arguments, "--json", code=code).stdout)
    return answer


def wait_for_state(system: System, task_id: int, state: str) -> None:
    wait_until(
        lambda: system.task_state(task_id) == state, f"task {task_id} is {state}", on_fail=system.describe
    )


def failed_task(system: System, name: str) -> tuple[int, str]:
    """A task of this template whose step pay is in error, and that step's id."""
    task_id = system.submit(f"tests/{name}", {})
    wait_for_state(system, task_id, "error")
    return task_id, str(system.steps(task_id)["pay"]["workflow_step_id"])


def test_a_retried_step_lets_its_task_complete(make_system: SystemFactory) -> None:
    system = make_system()
    system.load_template(BRITTLE)
    system.python_worker("python", PYTHON_PATTERNS)
    task_id, step_id = failed_task(system, "brittle")
    retried = operate(system, "step", "retry", step_id, "--reason", "the bank is back")
    assert (retried["outcome"], retried["task_state"]) == ("done", "in_progress")
    wait_for_state(system, task_id, "complete")
    steps = system.steps(task_id)
    assert steps["pay"]["results"] == {"attempt": 2}
    assert steps["pay"]["attempts"] == steps["pay"]["retry_limit"] == 2
    assert operate(system, "step", "retry", step_id, code=1)["code"] == "wrong_state"


def test_a_task_retried_while_the_orchestrator_is_down_goes_on_when_it_is_back(
    make_system: SystemFactory,
) -> None:
    system = make_system()
    system.load_template(BRITTLE)
    system.python_worker("python", PYTHON_PATTERNS)
    tasks = [failed_task(system, "brittle")[0] for _ in range(3)]
    assert system.orchestrator is not None and system.orchestrator.stop() == 0
    for task_id in tasks:
        assert len(operate(system, "task", "retry", str(task_id))["changed_steps"]) == 1
    system.start_orchestrator()
    for task_id in tasks:
        wait_for_state(system, task_id, "complete")


def test_a_step_resolved_by_hand_feeds_its_child(make_system: SystemFactory) -> None:
    system = make_system()
    system.load_template(DOOMED)
    system.python_worker("python", PYTHON_PATTERNS)
    task_id, step_id = failed_task(system, "doomed")
    resolved = operate(system, "step", "resolve", step_id, "--results", '{"value": 7}')
    assert (resolved["outcome"], resolved["state"]) == ("done", "resolved_manually")
    wait_for_state(system, task_id, "complete")
    assert system.steps(task_id)["collect"]["results"] == {"values": {"pay": 7}}


def test_a_cancelled_task_never_starts_and_others_do(make_system: SystemFactory) -> None:
    system = make_system()
    system.load_template(BRITTLE)
    system.load_template(SINGLE)
    cancelled, kept = system.submit("tests/brittle", {}), system.submit("tests/single", {})
    answer = operate(system, "task", "cancel", str(cancelled), "--reason", "withdrawn")
    assert (answer["outcome"], len(answer["changed_steps"])) == ("done", 2)
    system.python_worker("python", PYTHON_PATTERNS)
    wait_for_state(system, kept, "complete")
    assert system.task_state(cancelled) == "cancelled"
    assert all(step["attempts"] == 0 for step in system.steps(cancelled).values())


def test_a_cancel_ends_the_waiting_of_others(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    system.load_template(SINGLE)
    task_id = system.submit("tests/single", {})
    waiting = system.start("wait", [TASKER, "task", "wait", str(task_id), "--timeout", "60"])
    listens = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%%'"
    )
    wait_until(lambda: system.value(listens), "the command waits", on_fail=waiting.tail)
    operate(system, "task", "cancel", str(task_id))
    assert waiting.wait() == 1, waiting.tail()
    assert "cancelled" in waiting.output()
