import dataclasses

import pytest

from tasker_worker.testing import run_step


def looked_at(look, **inputs):
    seen = []
    result = run_step(lambda task, sequence, step: seen.append(look(task, sequence, step)), **inputs)
    assert result.status == "completed", result.error
    return seen[0]


def test_what_a_handler_is_given():
    step = looked_at(
        lambda task, sequence, step: step,
        step_id=9,
        step_name="pay",
        handler_class="Shop::Pay",
        handler_config={"a": 1},
        attempt=2,
        retry_limit=4,
        timeout_ms=500,
        idempotency_key="k-9",
    )
    assert (step.step_id, step.name, step.handler_class) == (9, "pay", "Shop::Pay")
    assert (step.attempt, step.retry_limit, step.timeout_ms) == (2, 4, 500)
    assert (step.idempotency_key, step.claim_first, dict(step.handler_config)) == ("k-9", False, {"a": 1})
    task = looked_at(lambda task, sequence, step: task, context={"x": [1]}, namespace="n", task_name="t")
    assert (task.task_id, task.namespace, task.name, task.version) == (1, "n", "t", "1.0.0")
    assert dict(task.context) == {"x": [1]}


def test_parents_are_found_by_name():
    previous = {"pay": {"id": 1}, "log": None}
    sequence = looked_at(lambda task, sequence, step: sequence, previous_results=previous)
    assert sequence.get_results("pay") == {"id": 1}
    assert sequence.get_results("log") is None
    assert sequence.find_step_by_name("log").results is None
    assert sequence.find_step_by_name("other") is None
    assert (sequence.sequence_number, sequence.total_steps) == (1, 1)


def test_a_step_that_is_no_direct_parent_has_no_results():
    asks = lambda task, sequence, step: {"total": sequence.get_results("plan")}  # noqa: E731
    result = run_step(asks, previous_results={"pay": 1, "log": None})
    assert (result.status, result.error["error_type"]) == ("error", "NotFoundError")
    assert result.error["message"] == (
        "'plan' is neither a direct parent of this step nor in its results_from;"
        " there are results of: log, pay"
    )
    assert "this step has no parents" in run_step(asks).error["message"]


@pytest.mark.parametrize(
    "change",
    [
        lambda task, sequence, step: task.context.update(a=1),
        lambda task, sequence, step: step.handler_config.__setitem__("a", 1),
        lambda task, sequence, step: sequence.previous_results.clear(),
    ],
)
def test_the_mappings_are_read_only(change):
    assert run_step(change).error["error_type"] in ("AttributeError", "TypeError")


def test_the_objects_are_frozen():
    for pick in (lambda t, q, s: t, lambda t, q, s: q, lambda t, q, s: s):
        value = looked_at(pick)
        name = dataclasses.fields(value)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 5)


def test_cancelled_is_asked_of_the_step():
    assert looked_at(lambda t, q, s: s.cancelled()) is False
    assert looked_at(lambda t, q, s: s.cancelled(), cancelled=True) is True


@pytest.mark.parametrize(
    "bad", [{"attempt": 0}, {"step_id": 0}, {"timeout_ms": 0}, {"context": {"x": object()}}]
)
def test_impossible_inputs_are_refused(bad):
    with pytest.raises(ValueError):
        run_step(lambda t, q, s: None, **bad)
