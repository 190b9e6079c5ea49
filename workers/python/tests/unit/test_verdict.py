import builtins
import json
import re
from pathlib import Path

import pytest

import tasker_worker
from tasker_worker import PermanentError, RetryableError, StepHandler, verdict
from tasker_worker.errors import ConfigurationError
from tasker_worker.handlers import check
from tasker_worker.registry import entry_of
from tasker_worker.testing import run_step

README = Path(__file__).parents[3] / "README.md"


class Throttled(Exception):
    """What a client library of a handler raises."""


class Blocked(Throttled):
    pass


def report(raised, **attributes):
    """(status, error code) of an attempt of a handler with these attributes."""

    def process(self, task, sequence, step):
        raise raised

    result = run_step(type("Handler", (StepHandler,), {"process": process, **attributes}))
    assert result.error["retryable"] is (result.status == "failed")
    return result.status, result.error.get("error_code")


def documented():
    """(name, status) of every row of the table that all SDKs share."""
    table = README.read_text(encoding="utf-8").split("| Python | Ruby | report |")[1].split("\n\n")[0]
    for row in table.splitlines()[2:]:
        names, _, status = (cell.strip() for cell in row.strip("|").split("|"))
        for name in re.findall(r"`([\w.]+)`", names):
            yield name, status.strip("`")


def made(name):
    """An exception of the documented class."""
    cls = json.JSONDecodeError if name == "json.JSONDecodeError" else getattr(tasker_worker, name, None)
    cls = cls or getattr(builtins, name)
    return cls("m", "", 0) if cls is json.JSONDecodeError else cls("m")


@pytest.mark.parametrize("name, status", documented())
def test_every_row_of_the_shared_table_holds(name, status):
    assert report(made(name))[0] == status


@pytest.mark.parametrize(
    "raised, lists, expected",
    [
        (KeyError("k"), {"fail_on": ["KeyError"]}, ("error", "fail_on")),
        (KeyError("k"), {"fail_on": (LookupError,)}, ("error", "fail_on")),
        (KeyError("k"), {"fail_on": ["Lookup"]}, ("failed", None)),
        (ValueError("v"), {"retry_on": ["ValueError"]}, ("failed", None)),
        (TypeError("t"), {"retry_on": ["Exception"]}, ("failed", None)),
        (Throttled(), {"fail_on": [f"{__name__}.Throttled"]}, ("error", "fail_on")),
        # The class that is nearer to the exception's decides.
        (Blocked(), {"retry_on": ["Throttled"], "fail_on": ["Blocked"]}, ("error", "fail_on")),
        (Throttled(), {"retry_on": ["Throttled"], "fail_on": ["Blocked"]}, ("failed", None)),
        (Blocked(), {"fail_on": ["Throttled"], "retry_on": [Blocked]}, ("failed", None)),
        # In both lists it is not tried again.
        (Throttled(), {"fail_on": ["Throttled"], "retry_on": ["Throttled"]}, ("error", "fail_on")),
        # An error of the library means what it says.
        (RetryableError("r"), {"fail_on": ["Exception", "RetryableError"]}, ("failed", None)),
        (PermanentError("p", error_code="x"), {"retry_on": ["PermanentError"]}, ("error", "x")),
    ],
)
def test_lists_of_the_handler_come_before_the_table(raised, lists, expected):
    assert report(raised, **lists) == expected


class PerStep(StepHandler):
    fail_on = ["KeyError"]

    def __init__(self, config=None):
        super().__init__(config)
        if "fatal" in self.config:
            self.fail_on = self.config["fatal"]

    def process(self, task, sequence, step):
        raise {"key": KeyError, "index": IndexError}[task.context["raise"]]("x")


def test_an_object_may_decide_by_its_configuration():
    by_class = [run_step(PerStep, context={"raise": kind}).status for kind in ("key", "index")]
    assert by_class == ["error", "failed"]
    config = {"fatal": ["IndexError"]}
    by_object = [
        run_step(PerStep, context={"raise": kind}, handler_config=config).status for kind in ("key", "index")
    ]
    assert by_object == ["failed", "error"]


def test_a_constructor_that_raises_is_judged_by_the_lists_of_its_class():
    class Refusing(StepHandler):
        fail_on = ["LookupError"]

        def __init__(self, config=None):
            raise KeyError("no such account")

        def process(self, task, sequence, step):
            return None

    assert run_step(Refusing).status == "error"


@pytest.mark.parametrize("value", ["KeyError", 7, [7], [int], {"KeyError": True}])
def test_a_list_of_anything_else_stops_the_start(value):
    handler = type("Odd", (StepHandler,), {"process": lambda self, task, sequence, step: 1, "fail_on": value})
    with pytest.raises(ConfigurationError, match="Odd.fail_on must be a list of exception classes"):
        check("Odd", handler)
    entry = entry_of("PerStep", PerStep, {"fatal": 7})
    with pytest.raises(ConfigurationError, match="fail_on must be a list"):
        entry.build()


def test_an_exception_outside_the_table_is_tried_again():
    assert verdict.of(Throttled()) == (True, None)
    assert verdict.of(KeyboardInterrupt()) == (True, None)
