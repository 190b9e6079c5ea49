"""Handlers of the system tests of what both SDKs share; sdk_handlers.rb has the same."""

import os

from tasker_worker import RetryableError, SnoozeError, StepHandler, handler


@handler("Sdk::SnoozeHandler")
class SnoozeHandler(StepHandler):
    """Waits until the file `until` is there; then tells what it knows of its attempts."""

    def process(self, task, sequence, step):
        if not os.path.exists(task.context["until"]):
            raise SnoozeError(task.context["seconds"], "the bank is closed")
        return {"attempt": step.attempt, "tries_left": step.tries_left}


@handler("Sdk::FailHandler")
class FailHandler(StepHandler):
    """Fails until its last try."""

    def process(self, task, sequence, step):
        if step.tries_left > 0:
            raise RetryableError(f"{step.tries_left} left", retry_after=0)
        return {"attempt": step.attempt, "retry_limit": step.retry_limit}
