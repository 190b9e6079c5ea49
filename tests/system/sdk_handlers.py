"""Handlers of the system tests of what both SDKs share; sdk_handlers.rb has the same."""

import os

from tasker_worker import PermanentError, RetryableError, SnoozeError, StepHandler, handler


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


@handler("Sdk::AskHandler")
class AskHandler(StepHandler):
    """Tells what was delivered to it, unless it is told to fail."""

    def process(self, task, sequence, step):
        if step.name in task.context.get("fail", []):
            raise PermanentError("told to")
        ask = task.context.get("ask")
        if step.name == "publish" and ask:
            return {"asked": sequence.get_results(ask)}
        return {"by": step.name, "got": dict(sequence.previous_results)}


@handler("Sdk::SecretHandler")
class SecretHandler(StepHandler):
    """Uses its secret, and says it in an error if it is told to."""

    def process(self, task, sequence, step):
        if task.context.get("leak"):
            raise RetryableError(f"refused: {self.config['api_key']}", retry_after=0)
        return {"length": len(self.config["api_key"]), "step": step.handler_config["api_key"]}
