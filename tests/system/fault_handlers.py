"""Handlers that misbehave on purpose, for real Python workers in fault tests."""

import os
import signal
import threading
import time

from tasker_worker import StepHandler, handler

# A handler that hangs must not be able to outlive the test it belongs to.
HANG_AT_MOST_S = 30


@handler("Faults::DieHandler")
class Die(StepHandler):
    """Does its work (a line in handler_config.work_path), then kills its worker before it can report."""

    def process(self, task, sequence, step):
        path = step.handler_config.get("work_path")
        if path:
            with open(path, "a") as work:
                work.write(f"{step.attempt}\n")
        if step.attempt <= step.handler_config.get("deaths", 1):
            os.kill(os.getpid(), signal.SIGKILL)
        return {"attempt": step.attempt}


@handler("Faults::HangHandler")
class Hang(StepHandler):
    """Ignores its time-out and every cancellation until the file handler_config.until exists."""

    def process(self, task, sequence, step):
        if step.attempt > step.handler_config.get("hangs", 1):
            return {"attempt": step.attempt}
        end = time.monotonic() + HANG_AT_MOST_S
        never = threading.Event()
        while time.monotonic() < end and not os.path.exists(step.handler_config["until"]):
            never.wait(0.02)
        return {"attempt": step.attempt, "hung": True}
