"""Handlers of tests/chaos/templates for the Python worker; handlers.rb has those that Ruby can have."""

import ctypes
import hashlib
import time

from tasker_worker import StepHandler, handler

# Unlike CDLL it keeps the interpreter lock during the call.
LOCKED = ctypes.PyDLL(None)


def share(step):
    """A number from 0 to 1 that is the same for all attempts of a step, in every language."""
    digest = hashlib.sha256(step.idempotency_key.encode()).hexdigest()
    return int(digest[:8], 16) / 0xFFFFFFFF


@handler("Chaos::NapHandler")
class Nap(StepHandler):
    """Waits up to handler_config.longest_ms, deaf to cancellation, and succeeds."""

    def process(self, task, sequence, step):
        ms = share(step) * step.handler_config["longest_ms"]
        time.sleep(ms / 1000)
        return {"napped_ms": round(ms)}


@handler("Chaos::HangHandler")
class Hang(StepHandler):
    """Outlives its time-out while attempt <= handler_config.hangs, then succeeds at once."""

    def process(self, task, sequence, step):
        if step.attempt <= step.handler_config["hangs"]:
            time.sleep(step.handler_config["hang_ms"] / 1000)
        return {"attempt": step.attempt}


@handler("Chaos::LockHandler")
class Lock(StepHandler):
    """Stops the whole process for context.hold_ms while attempt <= handler_config.holds."""

    def process(self, task, sequence, step):
        if step.attempt <= step.handler_config["holds"]:
            LOCKED.usleep(int(task.context.get("hold_ms", 1000) * 1000))
        return {"attempt": step.attempt}


@handler("Chaos::UnstorableHandler")
class Unstorable(StepHandler):
    def process(self, task, sequence, step):
        return {"text": "a\u0000b"}


@handler("Chaos::BulkHandler")
class Bulk(StepHandler):
    """Succeeds with an output of handler_config.bytes."""

    def process(self, task, sequence, step):
        return {"text": "x" * step.handler_config["bytes"]}
