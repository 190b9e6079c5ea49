"""The conformance handler for Python. README.md says what each key of handler_config does."""

import json
import os
import time

from tasker_worker import PermanentError, RetryableError, SnoozeError, StepHandler, handler


@handler("Conformance::Handler")
class ConformanceHandler(StepHandler):
    """Does what handler_config asks for, and logs its start and end."""

    def process(self, task, sequence, step):
        config = step.handler_config
        _log(config, "start", step)
        _busy(config.get("busy_ms", 0))
        _wait(config, step)
        _log(config, "end", step)
        if config.get("fail") is not None:
            raise RetryableError(config["fail"], retry_after=config.get("retry_after_seconds"))
        if config.get("error") is not None:
            raise PermanentError(config["error"])
        if config.get("crash") is not None:
            raise RuntimeError(config["crash"])
        if config.get("exit"):
            raise SystemExit(1)
        if config.get("snooze") is not None:
            raise SnoozeError(config["snooze"], config.get("snooze_message", ""))
        return _output(config, task, sequence, step)


def _log(config, event, step):
    line = f"{event} {step.step_id} {step.attempt}\n".encode()
    descriptor = os.open(config["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def _busy(milliseconds):
    end = time.monotonic() + milliseconds / 1000
    while time.monotonic() < end:
        pass


def _wait(config, step):
    end = time.monotonic() + config.get("sleep_ms", 0) / 1000
    gate = config.get("until")
    while time.monotonic() < end or (gate is not None and not os.path.exists(gate)):
        if step.cancelled() and not config.get("deaf"):
            raise RetryableError(f"stopped: {step.cancel_reason}")
        time.sleep(0.005)


def _output(config, task, sequence, step):
    if "output" in config:
        return config["output"]
    if "output_bytes" in config:
        return {"text": "x" * config["output_bytes"]}
    if "output_depth" in config:
        value = 1
        for _ in range(config["output_depth"]):
            value = [value]
        return value
    return {
        "context": json.loads(json.dumps(task.context, default=dict)),
        "previous_results": json.loads(json.dumps(sequence.previous_results, default=dict)),
        "idempotency_key": step.idempotency_key,
        "attempt": step.attempt,
    }
