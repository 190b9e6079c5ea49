"""Fails its first attempts and then succeeds.

handler_config: failures (how many attempts fail, default 1), retry_after_seconds (delay to ask for)
"""

from tasker_worker import RetryableError, StepHandler, handler


@handler("Samples::RetryHandler")
class Retry(StepHandler):
    def process(self, task, sequence, step):
        failures = step.handler_config.get("failures", 1)
        if step.attempt <= failures:
            raise RetryableError(
                f"attempt {step.attempt} of {failures} that fail",
                retry_after=step.handler_config.get("retry_after_seconds"),
            )
        return {"attempt": step.attempt}
