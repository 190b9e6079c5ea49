"""Handlers of the integration tests."""

import os
import time

from tasker_worker import PermanentError, RetryableError, StepHandler, handler


@handler("Tests::Echo")
class Echo(StepHandler):
    def process(self, task, sequence, step):
        return {"context": task.context, "attempt": step.attempt}


@handler("Tests::WaitForFile")
class WaitForFile(StepHandler):
    """Runs until handler_config.file exists; with `obey` it also stops when cancelled."""

    def process(self, task, sequence, step):
        while not os.path.exists(step.handler_config["file"]):
            if step.handler_config.get("obey") and step.cancelled():
                raise RetryableError(f"stopped: {step.cancel_reason}")
            time.sleep(0.005)
        return {"waited": True}


@handler("Tests::Busy")
class Busy(StepHandler):
    """Computes for handler_config.seconds without ever letting go of the interpreter by itself."""

    def process(self, task, sequence, step):
        end = time.monotonic() + step.handler_config["seconds"]
        count = 0
        while time.monotonic() < end:
            count += 1
        return {"count": count}


@handler("Tests::Fail")
class Fail(StepHandler):
    def process(self, task, sequence, step):
        kind = step.handler_config["kind"]
        if kind == "permanent":
            raise PermanentError("no", error_code="no_way")
        if kind == "retryable":
            raise RetryableError("later", retry_after=2.5)
        if kind == "exit":
            raise SystemExit("a handler must not end the process")
        return {"value": float("nan")}
