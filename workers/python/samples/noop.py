"""A handler that does nothing and returns about 200 bytes: what benchmarks run."""

from tasker_worker import StepHandler, handler

RESULT = {"ok": True, "payload": "x" * 180}


@handler("Bench::NoopHandler")
class Noop(StepHandler):
    def process(self, task, sequence, step):
        return RESULT
