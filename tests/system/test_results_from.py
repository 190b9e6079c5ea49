"""`results_from`: results of ancestors without a dependency, with real workers of both SDKs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from checks import assert_all_consistent
from fault_tools import short
from parts import System, SystemFactory, tasker, wait_until
from workers import sdk_worker

ASK = "Sdk::AskHandler"


def press(**publish: Any) -> dict[str, Any]:
    steps = [
        {"name": "plan", "handler_class": ASK},
        {"name": "write", "handler_class": ASK, "depends_on_steps": ["plan"]},
        {"name": "check", "handler_class": ASK, "depends_on_steps": ["write"]},
        {"name": "publish", "handler_class": ASK, "depends_on_steps": ["check"], **publish},
    ]
    return {"name": "page", "namespace_name": "tests", "version": "1.0.0", "step_templates": steps}


@pytest.fixture(params=["python", "ruby"])
def system(request: pytest.FixtureRequest, make_system: SystemFactory) -> System:
    made: System = make_system(settings=short())
    sdk_worker(made, request.param)
    return made


def test_the_results_of_an_ancestor_are_delivered(system: System) -> None:
    system.load_template(press(results_from=["plan"], default_retry_limit=1))
    task = system.submit("tests/page", {})
    system.wait_for_task(task, "complete")
    steps = system.steps(task)
    got = steps["publish"]["results"]["got"]
    assert sorted(got) == ["check", "plan"] and got["plan"] == {"by": "plan", "got": {}}
    assert sorted(steps["check"]["results"]["got"]) == ["write"], "the others get nothing more"
    # What the request held: the context, the parent's results, and those of the ancestor.
    bytes_of = "SELECT sum(octet_length(results::text)) FROM tasker_workflow_steps WHERE name = ANY(%s)"
    held = system.value(bytes_of, ["check", "plan"]) + len("{}")
    assert steps["publish"]["input_bytes"] == held
    shown = tasker(system.url, "step", "show", str(steps["publish"]["workflow_step_id"])).stdout
    assert "results of plan" in " ".join(shown.split()), shown
    assert_all_consistent(system)


def test_what_is_not_delivered_is_an_error_that_names_what_is(system: System) -> None:
    system.load_template(press(results_from=["plan"]))
    task = system.submit("tests/page", {"ask": "write"})
    system.wait_for_task(task, "error")
    error = system.steps(task)["publish"]["error"]
    assert error["error_type"] == "NotFoundError" and "there are results of: check, plan" in error["message"]


def test_results_that_an_operator_gave_are_delivered_and_counted(system: System) -> None:
    system.load_template(press(results_from=["plan"]))
    task = system.submit("tests/page", {"fail": ["plan", "check"]})
    for name, results in (("plan", '{"by": "hand"}'), ("check", '{"ok": true}')):
        wait_until(
            lambda: system.steps(task)[name]["state"] == "error", f"{name} failed", on_fail=system.describe
        )
        step = str(system.steps(task)[name]["workflow_step_id"])
        tasker(system.url, "step", "resolve", step, "--results", results)
    wait_until(lambda: system.task_state(task) == "complete", "the task is complete", on_fail=system.describe)
    publish = system.steps(task)["publish"]
    assert publish["results"]["got"] == {"plan": {"by": "hand"}, "check": {"ok": True}}
    context = json.dumps({"fail": ["plan", "check"]})
    assert publish["input_bytes"] == len(context + '{"by": "hand"}{"ok": true}')
    assert_all_consistent(system)


def test_what_is_no_ancestor_is_refused_at_load(make_system: SystemFactory) -> None:
    system = make_system(settings=short())
    path = system.folder / "page.yaml"
    path.write_text(json.dumps(press(results_from=["publish"])))
    refused = tasker(system.url, "template", "load", str(path), code=2)
    assert "is no ancestor of" in refused.stderr, refused.stderr
