import collections.abc
import json
import threading

import pytest

from tasker_worker import (
    NetworkError,
    NotFoundError,
    PermanentError,
    RetryableError,
    StepHandler,
    TimeoutError,
    ValidationError,
)
from tasker_worker.outcome import BACKTRACE_LINES_MAX, OutputRefused, ResultLimits, encode_output
from tasker_worker.testing import run_step


def raising(error):
    def process(task, sequence, step):
        raise error

    return process


@pytest.mark.parametrize(
    "error, status, expected",
    [
        (RetryableError("a", retry_after=1.5), "failed", {"retryable": True, "retry_after_seconds": 1.5}),
        (TimeoutError("a"), "failed", {"retryable": True, "error_type": "TimeoutError"}),
        (NetworkError("a", status_code=503), "failed", {"retryable": True, "error_code": "HTTP_503"}),
        (PermanentError("a", error_code="x"), "error", {"retryable": False, "error_code": "x"}),
        (
            ValidationError("a", field="f"),
            "error",
            {"error_code": "validation_error", "context": {"field": "f"}},
        ),
        (NotFoundError("a", resource_type="r"), "error", {"error_code": "not_found"}),
        (TypeError("a"), "error", {"retryable": False}),
        (AttributeError("a"), "error", {"retryable": False}),
        (NameError("a"), "error", {"retryable": False}),
        (UnboundLocalError("a"), "error", {"retryable": False}),
        (ValueError("a"), "error", {"retryable": False}),
        (NotImplementedError("a"), "error", {"retryable": False}),
        (RuntimeError("a"), "failed", {"retryable": True}),
        (OSError("a"), "failed", {"retryable": True}),
        (KeyError("a"), "failed", {"retryable": True}),
        (json.JSONDecodeError("a", "", 0), "failed", {"retryable": True}),
        (SystemExit(1), "failed", {"retryable": True}),
        (KeyboardInterrupt(), "failed", {"retryable": True, "message": "KeyboardInterrupt"}),
    ],
)
def test_every_exception_has_its_report(error, status, expected):
    result = run_step(raising(error))
    assert result.status == status
    assert result.output is None
    assert result.error["error_type"] == type(error).__name__
    assert {key: result.error.get(key) for key in expected} == expected


def test_the_backtrace_starts_at_the_innermost_frame_and_is_cut():
    def deep(level):
        if level == 0:
            raise RuntimeError("deep")
        deep(level - 1)

    def process(task, sequence, step):
        deep(50)

    backtrace = run_step(process).error["backtrace"]
    assert len(backtrace) == BACKTRACE_LINES_MAX
    assert backtrace[0].endswith("in deep") and __file__ in backtrace[0]


def test_messages_are_made_storable():
    result = run_step(raising(RuntimeError("nul \x00 half \ud800 end" + "x" * 10_000)))
    message = result.error["message"]
    assert "\x00" not in message and len(message) <= 4096
    message.encode("utf-8")


def test_an_error_whose_text_fails_is_still_reported():
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    result = run_step(raising(Broken()))
    assert result.status == "failed" and result.error["error_type"] == "Broken"


def test_an_error_context_that_is_no_json_does_not_lose_the_error():
    result = run_step(raising(RetryableError("later", context={"handle": object()})))
    assert result.error["message"] == "later" and "dropped" in result.error["context"]


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "soon", True])
def test_a_bad_retry_after_is_refused_where_it_is_written(bad):
    with pytest.raises(ValueError):
        RetryableError("x", retry_after=bad)


@pytest.mark.parametrize(
    "output, code",
    [
        ({"x": float("nan")}, "unserialisable_output"),
        ({"x": float("inf")}, "unserialisable_output"),
        ({"x": object()}, "unserialisable_output"),
        ({("a", 1): 2}, "unserialisable_output"),
        ({"x": "half \udc00"}, "unserialisable_output"),
        ({"x": b"bytes"}, "unserialisable_output"),
        ("x" * (1024 * 1024), "output_too_large"),
        ("é" * (600 * 1024), "output_too_large"),
    ],
)
def test_outputs_that_may_not_go_out(output, code):
    result = run_step(lambda task, sequence, step: output)
    assert (result.status, result.error["error_code"]) == ("error", code)
    assert result.error["retryable"] is False


def test_depth_of_output_is_counted_without_the_message_around_it():
    def nested(levels):
        value = 1
        for _ in range(levels):
            value = [value]
        return value

    assert run_step(lambda t, q, s: nested(63)).status == "completed"
    assert run_step(lambda t, q, s: nested(64)).error["error_code"] == "output_too_deep"
    assert run_step(lambda t, q, s: nested(100_000)).error["error_code"] == "output_too_deep"
    loop = []
    loop.append(loop)
    assert run_step(lambda t, q, s: loop).error["error_code"] == "unserialisable_output"


def test_two_threads_may_return_the_same_object():
    # While one of them is inside a mapping of its own, it has the shared list open.
    shared, inside, go_on = [{}], threading.Event(), threading.Event()

    class Slow(collections.abc.Mapping):
        def __iter__(self):
            inside.set()
            assert go_on.wait(10)
            return iter(())

        def __len__(self):
            return 0

        def __getitem__(self, key):
            raise KeyError(key)

    shared.append(Slow())
    texts = []
    first = threading.Thread(target=lambda: texts.append(encode_output(shared, ResultLimits())))
    first.start()
    assert inside.wait(10)
    go_on.set()
    texts.append(encode_output(shared, ResultLimits()))
    first.join(10)
    assert texts == ["[{},{}]"] * 2


def test_brackets_in_texts_and_wide_outputs_are_not_depth():
    assert run_step(lambda t, q, s: {"x": "[{" * 1000}).status == "completed"
    assert run_step(lambda t, q, s: {"x": 'quote \\" [' * 1000}).status == "completed"
    assert run_step(lambda t, q, s: [[{}]] * 1000).status == "completed"


def test_the_size_limit_is_in_bytes():
    limits = ResultLimits(result_bytes=10)
    assert encode_output("12345678", limits) == '"12345678"'
    assert encode_output("éééé", limits) == '"éééé"'
    for output in ("123456789", "ééééé"):
        with pytest.raises(OutputRefused):
            encode_output(output, limits)


def test_process_results_has_the_last_word():
    class Reshaping(StepHandler):
        def process(self, task, sequence, step):
            return {"raw": 1}

        def process_results(self, step, output, initial_results):
            return {"shaped": output["raw"] + 1, "initial": initial_results, "step": step.name}

    assert run_step(Reshaping, step_name="s").output == {"shaped": 2, "initial": None, "step": "s"}


def test_no_output_is_no_output():
    assert run_step(lambda t, q, s: None).output is None
    assert run_step(lambda t, q, s: None).status == "completed"


def test_read_only_views_may_be_returned():
    result = run_step(lambda t, q, s: {"c": t.context, "p": q.previous_results}, context={"a": 1})
    assert result.output == {"c": {"a": 1}, "p": {}}
