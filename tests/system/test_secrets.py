"""Secret references with real workers: stored as they are, resolved by the worker, and never shown."""

from __future__ import annotations

import json

import pytest

from checks import assert_all_consistent
from fault_tools import one_step, short
from parts import System, SystemFactory, tasker, wait_until
from workers import sdk_worker

VALUE = "sk-live-4eC39HqLyjWDarjt"
REFERENCE = {"$secret": "stripe/api_key"}


def with_template(make_system: SystemFactory) -> System:
    system: System = make_system(settings=short())
    template = one_step(
        "charge",
        "Sdk::SecretHandler",
        handler_config={"api_key": REFERENCE},
        default_retry_limit=50,
        retry_backoff={"base_seconds": 0.05, "multiplier": 1},
    )
    system.load_template(template)
    return system


def everything_in(system: System) -> str:
    """All that is stored about tasks, and all that anybody logged."""
    tables = system.rows(
        "SELECT (SELECT json_agg(t) FROM tasker_workflow_steps t)::text AS steps,"
        " (SELECT json_agg(t) FROM tasker_task_templates t)::text AS templates,"
        " (SELECT json_agg(t) FROM tasker_step_execution_batch_received_results t)::text AS ledger"
    )
    return json.dumps(tables) + "".join(process.output() for process in system.processes)


@pytest.mark.parametrize("language", ["python", "ruby"])
def test_a_secret_reaches_the_handler_and_nothing_else(make_system: SystemFactory, language: str) -> None:
    system = with_template(make_system)
    folder = system.folder / "secrets"
    (folder / "stripe").mkdir(parents=True)
    worker = sdk_worker(system, language, "--secrets-dir", str(folder))
    task = system.submit("tests/charge", {})
    refused = "SELECT error ->> 'error_code' FROM tasker_workflow_steps WHERE task_id = %s"
    wait_until(lambda: system.value(refused, task) == "unknown_secret", "a refusal", on_fail=system.describe)
    message = system.value("SELECT error ->> 'message' FROM tasker_workflow_steps WHERE task_id = %s", task)
    if message is not None:
        assert f"write it into {folder}/stripe/api_key, or set TASKER_SECRET_STRIPE_API_KEY" in message
    # Added while the worker runs: a later attempt finds it.
    (folder / "stripe" / "api_key").write_text(VALUE + "\n")
    system.wait_for_task(task, "complete")
    (step,) = system.steps(task).values()
    assert step["results"] == {"length": len(VALUE), "step": REFERENCE}

    leaking = system.submit("tests/charge", {"leak": True})
    masked = "SELECT error ->> 'message' FROM tasker_workflow_steps WHERE task_id = %s"
    wait_until(lambda: system.value(masked, leaking) is not None, "a failure", on_fail=system.describe)
    assert "refused: •••" in system.value(masked, leaking)
    worker.wait_for_log("refused: •••")
    assert VALUE not in everything_in(system)
    tasker(system.url, "task", "cancel", str(leaking))
    system.wait_for_end()
    assert_all_consistent(system)
