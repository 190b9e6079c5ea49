"""The smallest useful handler: returns what it was given."""

from tasker_worker import StepHandler, handler


@handler("Samples::EchoHandler")
class Echo(StepHandler):
    def process(self, task, sequence, step):
        return {
            "context": task.context,
            "previous_results": sequence.previous_results,
            "attempt": step.attempt,
        }
