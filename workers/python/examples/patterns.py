"""Small handlers for workflows that show a shape (chain, diamond, fan-out, tree).

Arithmetic whose final value proves that every result travelled the right edge, and steps that fail on
purpose. The same exist in Ruby with the same outputs.
"""

import os
import signal
import time

from tasker_worker import PermanentError, RetryableError, StepHandler, ValidationError, handler

LOOK_EVERY_S = 0.02


def parent_values(sequence):
    return {name: results["value"] for name, results in sequence.previous_results.items()}


def setting(step, name):
    if name not in step.handler_config:
        raise ValidationError(f"handler_config.{name} is missing", field=f"handler_config.{name}")
    return step.handler_config[name]


@handler("Patterns::StepHandlers::StartHandler")
class Start(StepHandler):
    """The root: {value: context.value}."""

    def process(self, task, sequence, step):
        value = task.context.get("value")
        if type(value) not in (int, float):
            raise ValidationError("context.value must be a number", field="value")
        return {"value": value}


@handler("Patterns::StepHandlers::AddHandler")
class Add(StepHandler):
    """{value: sum of the parents' values + handler_config.amount}"""

    def process(self, task, sequence, step):
        return {"value": sum(parent_values(sequence).values()) + setting(step, "amount")}


@handler("Patterns::StepHandlers::MultiplyHandler")
class Multiply(StepHandler):
    """{value: sum of the parents' values × handler_config.factor}"""

    def process(self, task, sequence, step):
        return {"value": sum(parent_values(sequence).values()) * setting(step, "factor")}


@handler("Patterns::StepHandlers::SumHandler")
class Sum(StepHandler):
    """{value: sum of all parents' values, count: number of parents}"""

    def process(self, task, sequence, step):
        values = parent_values(sequence)
        return {"value": sum(values.values()), "count": len(values)}


@handler("Patterns::StepHandlers::CollectHandler")
class Collect(StepHandler):
    """{values: {parent: value}}"""

    def process(self, task, sequence, step):
        return {"values": parent_values(sequence)}


@handler("Patterns::StepHandlers::EchoHandler")
class Echo(StepHandler):
    """Returns the context."""

    def process(self, task, sequence, step):
        return task.context


@handler("Patterns::StepHandlers::SleepHandler")
class Sleep(StepHandler):
    """Waits handler_config.sleep_ms (else context.sleep_ms) and stops early when cancelled."""

    def process(self, task, sequence, step):
        ms = step.handler_config.get("sleep_ms")
        if ms is None:
            ms = task.context.get("sleep_ms", 0)
        end = time.monotonic() + ms / 1000
        while (left := end - time.monotonic()) > 0:
            if step.cancelled():
                raise RetryableError("cancelled while it slept")
            time.sleep(min(left, LOOK_EVERY_S))
        return {"slept_ms": ms}


@handler("Patterns::StepHandlers::FailHandler")
class Fail(StepHandler):
    """Fails for good."""

    def process(self, task, sequence, step):
        message = step.handler_config.get("message", "this step always fails")
        raise PermanentError(message, error_code="always_fails")


@handler("Patterns::StepHandlers::FlakyHandler")
class Flaky(StepHandler):
    """Fails while attempt <= handler_config.failures (default 1), then succeeds."""

    def process(self, task, sequence, step):
        failures = step.handler_config.get("failures", 1)
        if step.attempt <= failures:
            raise RetryableError(
                f"attempt {step.attempt} fails, {failures} do",
                retry_after=step.handler_config.get("retry_after_seconds"),
            )
        return {"attempt": step.attempt}


@handler("Patterns::StepHandlers::CrashHandler")
class Crash(StepHandler):
    """Kills its own process while attempt <= handler_config.crashes (default 0)."""

    def process(self, task, sequence, step):
        if step.attempt <= step.handler_config.get("crashes", 0):
            os.kill(os.getpid(), signal.SIGKILL)
        return {"attempt": step.attempt}
