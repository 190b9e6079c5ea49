"""Takes its time, and stops early when the worker says that nobody wants the result any more.

handler_config: sleep_ms (default 1000)
"""

import time

from tasker_worker import RetryableError, StepHandler, handler

LOOK_EVERY_S = 0.02


@handler("Samples::SlowHandler")
class Slow(StepHandler):
    def process(self, task, sequence, step):
        ms = step.handler_config.get("sleep_ms", 1000)
        end = time.monotonic() + ms / 1000
        while (left := end - time.monotonic()) > 0:
            if step.cancelled():
                raise RetryableError(f"stopped: {step.cancel_reason}")
            time.sleep(min(left, LOOK_EVERY_S))
        return {"slept_ms": ms}
