"""Every example template runs to its end, over ipc and over tcp, shared by a Ruby and a Python worker.

The expected values are those that the comments in config/tasks/ work out.
"""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from parts import TEMPLATES, System, SystemFactory
from workers import PYTHON_PATTERNS, RUBY_PATTERNS

SIX = {"value": 6}


@pytest.fixture(scope="module", params=["ipc", "tcp"])
def system(request: pytest.FixtureRequest, make_shared_system: SystemFactory) -> Iterator[System]:
    """One per transport: starting two workers for each template would cost more than the templates."""
    system = make_shared_system(request.param)
    ruby = system.ruby_worker("ruby", RUBY_PATTERNS, wait=False)
    system.python_worker("python", PYTHON_PATTERNS)
    system.wait_for_worker("ruby", ruby)
    yield system


def run(system: System, name: str, context: Any, state: str = "complete") -> dict[str, dict[str, Any]]:
    task_id = system.submit(name, context)
    system.wait_for_task(task_id, state)
    return system.steps(task_id)


def results(steps: dict[str, dict[str, Any]]) -> dict[str, Any]:
    assert all(step["attempts"] == 1 and step["state"] == "complete" for step in steps.values()), steps
    return {name: step["results"] for name, step in steps.items()}


def test_every_template_of_the_folder_is_covered() -> None:
    covered = {"order_fulfillment"}  # test_orders.py
    covered |= {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    missing = {path.stem for path in TEMPLATES.glob("*.yaml")} - covered
    assert not missing, f"example templates without a system test: {missing}"


def test_single(system: System) -> None:
    assert results(run(system, "bench/single", {}))["only"]["ok"] is True


def test_chain4(system: System) -> None:
    assert set(results(run(system, "bench/chain4", {}))) == {"one", "two", "three", "four"}


def test_linear_chain(system: System) -> None:
    values = {"start": 6, "add_one": 7, "times_ten": 70, "minus_four": 66}
    assert results(run(system, "patterns/linear_chain", SIX)) == {n: {"value": v} for n, v in values.items()}


def test_diamond(system: System) -> None:
    done = results(run(system, "patterns/diamond", SIX))
    assert done["left"] == {"value": 10} and done["right"] == {"value": 18}
    assert done["join"] == {"value": 28, "count": 2}


def test_fan_out_fan_in(system: System) -> None:
    done = results(run(system, "patterns/fan_out_fan_in", SIX))
    assert [done[f"part_{n:03}"]["value"] for n in range(1, 101)] == [6 + n for n in range(1, 101)]
    assert done["total"] == {"value": 5650, "count": 100}


def test_tree(system: System) -> None:
    done = results(run(system, "patterns/tree", SIX))
    leaves = [done[name]["value"] for name in ("left_left", "left_right", "right_left", "right_right")]
    assert leaves == [17, 32, 33, 120] and done["gather"] == {"value": 202, "count": 4}


def test_mixed_dag(system: System) -> None:
    done = results(run(system, "patterns/mixed_dag", SIX))
    assert done["final"] == {"value": 107, "count": 3}
    assert done["side"] == {"values": {"first": 6, "doubled": 12}}


def test_flaky_retry(system: System) -> None:
    steps = run(system, "patterns/flaky_retry", {})
    assert {name: step["attempts"] for name, step in steps.items()} == {"prepare": 1, "flaky": 3, "finish": 1}
    assert steps["flaky"]["results"] == {"attempt": 3} and steps["flaky"]["error"] is None
    history = system.rows(
        "SELECT to_state FROM tasker_workflow_step_transitions WHERE workflow_step_id = %s ORDER BY sort_key",
        steps["flaky"]["workflow_step_id"],
    )
    again = ["in_progress", "waiting_for_retry"]
    assert [row["to_state"] for row in history] == ["pending", *again, *again, "in_progress", "complete"]


def test_permanent_failure(system: System) -> None:
    steps = run(system, "patterns/permanent_failure", {}, "error")
    states = {name: (step["state"], step["attempts"]) for name, step in steps.items()}
    assert states == {
        "prepare": ("complete", 1),
        "doomed": ("error", 1),
        "after_doomed": ("pending", 0),
        "independent": ("complete", 1),
    }
    assert steps["doomed"]["error"]["error_code"] == "always_fails"


def test_timeout(system: System) -> None:
    sleepy = run(system, "patterns/timeout", {}, "error")["sleepy"]
    assert (sleepy["state"], sleepy["attempts"]) == ("error", 1)
    # Python reports at once; Ruby waits a moment and can say that the handler has stopped.
    assert "handler_stopped" in sleepy["error"]


def test_slow(system: System) -> None:
    steps = run(system, "patterns/slow", {"sleep_ms": 50})
    assert results(steps) == {"first_nap": {"slept_ms": 1500}, "second_nap": {"slept_ms": 50}}
    noted = system.rows(
        "SELECT r.status, s.started_at FROM tasker_step_execution_batch_received_results r"
        " JOIN tasker_step_execution_batch_steps s ON s.id = r.batch_step_id"
        " WHERE s.workflow_step_id = %s AND r.disposition = 'noted'",
        steps["first_nap"]["workflow_step_id"],
    )
    assert [row["status"] for row in noted] == ["in_progress"] and noted[0]["started_at"] is not None


def test_crash(system: System) -> None:
    """With crashes: 0. What the orphan policies make of a real crash is not part of this version."""
    system.load_template(
        {
            "name": "calm_crash",
            "namespace_name": "patterns",
            "version": "1.0.0",
            "step_templates": [
                {
                    "name": "fragile",
                    "handler_class": "Patterns::StepHandlers::CrashHandler",
                    "handler_config": {"crashes": 0},
                },
                {
                    "name": "survivor",
                    "handler_class": "Patterns::StepHandlers::EchoHandler",
                    "depends_on_steps": ["fragile"],
                },
            ],
        }
    )
    done = results(run(system, "patterns/calm_crash", {"note": "kept"}))
    assert done == {"fragile": {"attempt": 1}, "survivor": {"note": "kept"}}


def test_both_languages_took_part(system: System) -> None:
    """Both serve the same handlers, so a hundred steps beside each other cannot all go to one of them."""
    run(system, "patterns/fan_out_fan_in", SIX)
    assert {entry["worker"] for entry in system.effects()} == {"ruby", "python"}
