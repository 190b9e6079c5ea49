"""Kills its own process, but only when the task's context asks for it.

{"crash": true} kills at every attempt, {"crash": N} at the first N. It shows what a worker's death looks
like from outside: no result, no goodbye.
"""

import os
import signal

from tasker_worker import StepHandler, handler


@handler("Samples::CrashHandler")
class Crash(StepHandler):
    def process(self, task, sequence, step):
        asked = task.context.get("crash")
        if asked is True or (type(asked) is int and step.attempt <= asked):
            os.kill(os.getpid(), signal.SIGKILL)
        return {"survived": True, "attempt": step.attempt}
