import json
import os

import pytest

from tasker_worker import ConfigurationError, PermanentError, RetryableError, StepHandler, handlers
from tasker_worker.testing import run_step, run_template

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(HERE, "..", "..")
REPOSITORY = os.path.join(PACKAGE, "..", "..")
TASKS = os.path.join(REPOSITORY, "config", "tasks")

for folder, name in (
    ("examples", "order_fulfillment"),
    ("examples", "patterns"),
    ("samples", "echo"),
    ("samples", "retry"),
    ("samples", "slow"),
    ("samples", "crash"),
    ("samples", "noop"),
):
    handlers.load(os.path.join(PACKAGE, folder, f"{name}.py"))


def order(**changes):
    base = {
        "order_id": "O-1",
        "customer": {"id": "c", "email": "c@example.com"},
        "items": [{"sku": "A", "quantity": 2, "unit_price_cents": 150}],
        "payment": {"method": "card", "card_token": "tok_visa"},
        "shipping": {"address": "Street 1", "country": "DE"},
    }
    return {**base, **changes}


def fulfil(**changes):
    return run_template(
        os.path.join(TASKS, "order_fulfillment.yaml"), context=order(**changes), environment="x"
    )


def test_an_order_goes_all_the_way():
    result = fulfil()
    assert result.state == "complete"
    assert result.order == ["validate_order", "reserve_inventory", "process_payment", "ship_order"]
    steps = result.steps
    assert steps["validate_order"].results["order_total_cents"] == 300
    assert steps["process_payment"].results["amount_cents"] == 300
    assert steps["process_payment"].results["status"] == "captured"
    assert steps["ship_order"].results["carrier"] == "DHL"
    assert steps["ship_order"].results["payment_id"] == steps["process_payment"].results["payment_id"]
    assert fulfil().steps["ship_order"].results == steps["ship_order"].results  # deterministic


def test_a_flaky_card_is_charged_at_the_second_attempt():
    payment = fulfil(payment={"method": "card", "card_token": "tok_flaky"}).steps["process_payment"]
    assert (payment.state, payment.attempts) == ("complete", 2)
    assert payment.history[0].error["error_type"] == "RetryableError"


def test_a_declined_card_ends_the_task():
    result = fulfil(payment={"method": "card", "card_token": "tok_declined"})
    assert result.state == "error"
    assert result.steps["process_payment"].history[-1].error["error_code"] == "card_declined"
    assert result.steps["process_payment"].attempts == 1
    assert result.steps["ship_order"].state == "pending"


@pytest.mark.parametrize(
    "change, field",
    [
        ({"items": []}, "items"),
        ({"items": [{"sku": "A", "quantity": 1, "unit_price_cents": 1}] * 51}, "items"),
        ({"items": [{"sku": "A", "quantity": 0, "unit_price_cents": 1}]}, "items[0].quantity"),
        ({"shipping": {"address": "x", "country": "XX"}}, "shipping.country"),
    ],
)
def test_impossible_orders_are_refused_for_good(change, field):
    step = fulfil(**change).steps["validate_order"]
    assert (step.state, step.attempts) == ("error", 1)
    assert step.history[0].error["error_type"] == "ValidationError"
    assert step.history[0].error["context"] == {"field": field}


def test_the_shipped_orders_end_as_announced():
    with open(os.path.join(REPOSITORY, "examples", "orders.json"), encoding="utf-8") as stream:
        orders = json.load(stream)
    path = os.path.join(TASKS, "order_fulfillment.yaml")
    results = [run_template(path, context=one, environment="x") for one in orders]
    attempts = [r.steps["process_payment"].attempts for r in results if r.state == "complete"]
    assert len(attempts) >= 16 and attempts.count(2) >= 1
    failed = [r.steps["validate_order"].state for r in results if r.state == "error"]
    assert failed and set(failed) == {"error"}


@pytest.mark.parametrize(
    "name, step, results",
    [
        ("linear_chain", "minus_four", {"value": 66}),
        ("diamond", "join", {"value": 28, "count": 2}),
        ("fan_out_fan_in", "total", {"value": 5650, "count": 100}),
        ("mixed_dag", "final", {"value": 107, "count": 3}),
        ("mixed_dag", "side", {"values": {"first": 6, "doubled": 12}}),
        ("flaky_retry", "flaky", {"attempt": 3}),
    ],
)
def test_the_patterns_compute_what_their_comments_say(name, step, results):
    result = run_template(os.path.join(TASKS, f"{name}.yaml"), context={"value": 6}, environment="x")
    assert result.state == "complete"
    assert result.steps[step].results == results


def test_independent_branches_run_to_their_end_before_a_task_fails():
    result = run_template(
        os.path.join(TASKS, "permanent_failure.yaml"), context={"value": 6}, environment="x"
    )
    states = {name: story.state for name, story in result.steps.items()}
    assert result.state == "error" and "complete" in states.values() and "pending" in states.values()


def small(*steps):
    return {"namespace_name": "n", "name": "t", "version": "1", "step_templates": list(steps)}


def test_stubs_stand_for_handlers_of_other_languages():
    template = small(
        {"name": "a", "handler_class": "Ruby::A"},
        {"name": "b", "handler_class": "Ruby::B", "depends_on_step": "a"},
    )
    stubs = {"a": {"v": 1}, "b": lambda t, q, s: {"v": q.get_results("a")["v"] + 1}}
    assert run_template(template, stubs=stubs).steps["b"].results == {"v": 2}
    with pytest.raises(ConfigurationError, match="step a needs Ruby::A"):
        run_template(template)
    failed = run_template(template, stubs={**stubs, "a": PermanentError("no", error_code="x")})
    assert failed.steps["a"].history[0].error["error_code"] == "x"
    assert run_template(template, stubs={**stubs, "a": Ones}).steps["b"].results == {"v": 2}
    assert run_template(template, stubs={"a": None, "b": 7}).steps["b"].results == 7


class Ones(StepHandler):
    def process(self, task, sequence, step):
        return {"v": 1}


@pytest.mark.parametrize(
    "name, problem",
    [
        ("vaidate", "there is no step vaidate to stub; did you mean validate?"),
        ("Ruby::Check", "no step Ruby::Check to stub; a stub has the name of its step: validate"),
        ("other", "there is no step other to stub$"),
    ],
)
def test_a_stub_that_names_no_step_is_refused(name, problem):
    template = small({"name": "validate", "handler_class": "Ruby::Check"})
    with pytest.raises(ConfigurationError, match=problem.replace("?", r"\?")):
        run_template(template, stubs={"validate": 1, name: 1})


def test_a_context_that_no_task_can_have_is_refused():
    bad = order(customer={"id": "c"}, items=[{"sku": "A", "quantity": "2", "unit_price_cents": 1}])
    with pytest.raises(ConfigurationError, match="no task can have this context") as caught:
        run_template(os.path.join(TASKS, "order_fulfillment.yaml"), context=bad, environment="x")
    assert "customer.email is missing" in str(caught.value)
    assert "items[0].quantity must be of type integer" in str(caught.value)
    circle = {**small({"name": "a", "handler_class": "X"}), "schema": {"$ref": "#"}}
    with pytest.raises(ConfigurationError, match="schema cannot be used"):
        run_template(circle, stubs={"a": 1})


def test_a_run_explains_itself():
    def flaky(task, sequence, step):
        if step.attempt == 1:
            raise RetryableError("busy")
        {}["nope"]

    template = small(
        {"name": "a", "handler_class": "X"},
        {"name": "b", "handler_class": "X", "depends_on_step": "a", "default_retry_limit": 2},
        {"name": "c", "handler_class": "X", "depends_on_steps": ["a", "b"]},
    )
    run = run_template(template, stubs={"a": {"text": "ü"}, "b": flaky, "c": 1})
    assert repr(run) == "<n/t error: a complete, b error, c pending>"
    assert repr(run.steps["a"].history) == '[<completed {"text": "ü"}>]'
    assert repr(run.steps["b"]).startswith("<b error after 2 attempts: KeyError: 'nope' (test_testing")
    lines = run.explain().splitlines()
    assert lines[:2] == ["n/t: error", "  a: complete, 1 attempt"]
    assert lines[3] == "    attempt 1 failed: RetryableError: busy"
    assert lines[4].endswith("in flaky")
    assert lines[-1] == "  c: pending, waits for b"


def test_attempts_end_at_the_limit_and_without_retryable_after_the_first():
    def failing(task, sequence, step):
        raise RetryableError(f"attempt {step.attempt}")

    limit = small({"name": "a", "handler_class": "X", "default_retry_limit": 4})
    story = run_template(limit, stubs={"a": failing}).steps["a"]
    assert (story.state, story.attempts, story.history[-1].error["message"]) == ("error", 4, "attempt 4")
    once = small({"name": "a", "handler_class": "X", "default_retryable": False})
    assert run_template(once, stubs={"a": failing}).steps["a"].attempts == 1


@pytest.mark.parametrize(
    "steps, problem",
    [
        ([("a", ["b"]), ("b", ["a"])], "cycle"),
        ([("a", ["typo"])], "unknown dependency typo"),
    ],
)
def test_impossible_dependencies_are_refused(steps, problem):
    template = small(*({"name": n, "handler_class": "X", "depends_on_steps": d} for n, d in steps))
    with pytest.raises(ConfigurationError, match=problem):
        run_template(template, stubs={name: None for name, _ in steps})


def test_the_samples():
    resolve = handlers.resolve
    echo = run_step(resolve("Samples::EchoHandler"), context={"a": 1}, attempt=2).output
    assert echo == {"context": {"a": 1}, "previous_results": {}, "attempt": 2}
    retry = resolve("Samples::RetryHandler")
    config = {"failures": 2, "retry_after_seconds": 0.5}
    assert [run_step(retry, handler_config=config, attempt=n).status for n in (1, 2, 3)] == [
        "failed",
        "failed",
        "completed",
    ]
    assert run_step(retry, handler_config=config).error["retry_after_seconds"] == 0.5
    slow = resolve("Samples::SlowHandler")
    assert run_step(slow, handler_config={"sleep_ms": 5}).output == {"slept_ms": 5}
    assert run_step(slow, handler_config={"sleep_ms": 60_000}, cancelled=True).status == "failed"
    assert run_step(resolve("Samples::CrashHandler")).output == {"survived": True, "attempt": 1}
    assert run_step(resolve("Samples::CrashHandler"), context={"crash": 1}, attempt=2).completed
    noop = run_step(resolve("Bench::NoopHandler"))
    assert 180 <= len(json.dumps(noop.output)) <= 220
