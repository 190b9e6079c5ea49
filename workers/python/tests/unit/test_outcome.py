import collections.abc
import json
import os
import sys
import threading
from pathlib import Path

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
from tasker_worker.outcome import (
    BACKTRACE_LINES_MAX,
    NAME_CHARACTERS_MAX,
    Limits,
    OutputRefused,
    clean_frame,
    clean_text,
    encode_output,
)
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
        (TypeError("a"), "error", {"retryable": False, "error_code": "programming_error"}),
        (AttributeError("a"), "error", {"retryable": False}),
        (NameError("a"), "error", {"retryable": False}),
        (UnboundLocalError("a"), "error", {"retryable": False}),
        (ValueError("a"), "error", {"retryable": False}),
        (NotImplementedError("a"), "error", {"retryable": False}),
        (RuntimeError("a"), "failed", {"retryable": True}),
        (OSError("a"), "failed", {"retryable": True}),
        (ImportError("a"), "error", {"retryable": False}),
        (ModuleNotFoundError("a"), "error", {"retryable": False}),
        (SyntaxError("a"), "error", {"retryable": False}),
        (KeyError("a"), "failed", {"retryable": True, "error_code": None}),
        (IndexError("a"), "failed", {"retryable": True}),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "a"), "failed", {"retryable": True}),
        (ZeroDivisionError("a"), "failed", {"retryable": True}),
        (OverflowError("a"), "failed", {"retryable": True}),
        (RecursionError("a"), "failed", {"retryable": True}),
        (json.JSONDecodeError("a", "", 0), "failed", {"retryable": True}),
        (SystemExit(1), "failed", {"retryable": True}),
        (KeyboardInterrupt(), "failed", {"retryable": True}),
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


def here(line_offset):
    """The place that many lines above the call."""
    return f"test_outcome.py:{sys._getframe(1).f_lineno - line_offset}"


def test_a_message_shows_type_and_place_unless_the_handler_chose_it():
    def process(task, sequence, step):
        {}["nope"]

    assert run_step(process).error["message"] == f"KeyError: 'nope' ({here(2)})"

    def decode(task, sequence, step):
        json.loads("{")

    message = run_step(decode).error["message"]
    assert message.startswith("JSONDecodeError: ") and message.endswith(f"({here(3)})")
    assert run_step(raising(RetryableError("busy"))).error["message"] == "busy"
    assert run_step(raising(RetryableError())).error["message"] == "RetryableError"
    assert run_step(raising(SystemExit())).error["message"].startswith("SystemExit (test_outcome.py:")


def test_causes_are_kept_behind_the_backtrace():
    def process(task, sequence, step):
        try:
            try:
                {}["nope"]
            except KeyError as error:
                raise PermanentError("bad order") from error
        except PermanentError:
            int("x")

    lines = run_step(process).error["backtrace"]
    assert lines[0].endswith("in process")
    causes = [line for line in lines if line.startswith("caused by ")]
    assert causes[0].startswith("caused by PermanentError: bad order (test_outcome.py:")
    assert causes[1].startswith("caused by KeyError: 'nope' (test_outcome.py:")
    assert lines[lines.index(causes[1]) + 1].endswith("in process")

    def hidden(task, sequence, step):
        try:
            {}["nope"]
        except KeyError:
            raise RuntimeError("alone") from None

    assert "caused by" not in str(run_step(hidden).error["backtrace"])

    def many(task, sequence, step):
        raise ExceptionGroup("two", [OSError("one"), KeyError("other")])

    lines = run_step(many).error["backtrace"]
    assert lines[1:] == ["caused by OSError: one", "caused by KeyError: 'other'"]


def test_causes_in_a_circle_end():
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert str(run_step(raising(first)).error["backtrace"]).count("caused by") == 1
    chain = [RuntimeError(str(number)) for number in range(50)]
    for error, cause in zip(chain, chain[1:]):
        error.__cause__ = cause
    assert str(run_step(raising(chain[0])).error["backtrace"]).count("caused by") == 4


TEXTS = json.loads((Path(__file__).parents[3] / "conformance" / "texts.json").read_text())


@pytest.mark.parametrize("case", TEXTS, ids=lambda case: case["name"])
def test_texts_are_cleaned_as_in_every_sdk(case):
    raw = "".join(map(chr, case["points"])) if "points" in case else case["raw"] * case.get("times", 1)
    clean = case.get("begin", "") + case["clean"] * case.get("clean_times", 1) + case.get("end", "")
    made = {
        "message": lambda: clean_text(raw),
        "name": lambda: clean_text(raw, NAME_CHARACTERS_MAX),
        "frame": lambda: clean_frame(raw),
    }[case["kind"]]()
    assert made == clean


def test_every_text_of_a_report_is_storable():
    error = type("Odd" + "x" * 300, (Exception,), {})("nul \x00 half \ud800 end" + "x" * 10_000)
    code = compile("def process(task, sequence, step):\n    raise error", "odd\udcff.py", "exec")
    scope = {"error": error}
    exec(code, scope)
    report = run_step(scope["process"]).error
    for text in (report["message"], report["error_type"], *report["backtrace"]):
        assert "\x00" not in text and len(text) <= 4096
        text.encode("utf-8")
    assert report["message"].endswith("(odd\ufffd.py:2)") and len(report["error_type"]) == 256
    refused = run_step(raising(PermanentError("x", error_code="a\x00b"))).error
    assert refused["error_code"] == "a\ufffdb"
    context = run_step(raising(RetryableError("x", context={"a": ["\x00"]}))).error["context"]
    assert context == {"dropped": "it holds U+0000"}


def test_an_error_with_changed_fields_is_still_a_valid_report():
    error = RetryableError("x")
    error.retry_after, error.context = float("nan"), None
    report = run_step(raising(error)).error
    assert report["message"] == "x" and "retry_after_seconds" not in report
    broken = type(
        "Broken", (RetryableError,), {"error_code": property(lambda self: 1 / 0, lambda self, value: None)}
    )
    report = run_step(raising(broken("x"))).error
    assert report["message"] == "Broken could not be described: ZeroDivisionError"


def test_an_error_whose_text_fails_is_still_reported():
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    result = run_step(raising(Broken()))
    assert result.status == "failed" and result.error["error_type"] == "Broken"


def test_an_error_context_that_is_no_json_does_not_lose_the_error():
    result = run_step(raising(RetryableError("later", context={"handle": object()})))
    assert result.error["message"] == "later" and "dropped" in result.error["context"]


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "soon", True, 10**400])
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


def test_an_output_is_no_deeper_than_fits_into_the_request_of_a_later_step():
    def nested(levels):
        value = 1
        for _ in range(levels):
            value = [value]
        return value

    assert run_step(lambda t, q, s: nested(60)).status == "completed"
    assert run_step(lambda t, q, s: nested(61)).error["error_code"] == "output_too_deep"
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
    first = threading.Thread(target=lambda: texts.append(encode_output(shared, Limits())))
    first.start()
    assert inside.wait(10)
    go_on.set()
    texts.append(encode_output(shared, Limits()))
    first.join(10)
    assert texts == ["[{},{}]"] * 2


def test_brackets_in_texts_and_wide_outputs_are_not_depth():
    assert run_step(lambda t, q, s: {"x": "[{" * 1000}).status == "completed"
    assert run_step(lambda t, q, s: {"x": 'quote \\" [' * 1000}).status == "completed"
    assert run_step(lambda t, q, s: [[{}]] * 1000).status == "completed"


def test_the_size_limit_is_in_bytes():
    limits = Limits(result_bytes=10)
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


def test_a_process_that_was_forked_outside_of_handlers_may_run_them():
    """A supervisor forks its workers, and test runners fork their tests."""
    child = os.fork()
    if child == 0:
        ended = False
        try:
            ended = run_step(lambda t, q, s: {"a": 1}).output == {"a": 1}
        finally:
            os._exit(7 if ended else 8)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
