"""The steps of config/tasks/greeting.yaml. A handler may run more than once: see step.idempotency_key."""

from tasker_worker import PermanentError, StepHandler, handler


@handler("Hello::GreetHandler")
class GreetHandler(StepHandler):
    def process(self, task, sequence, step):
        name = task.context["name"]
        if not name:
            # It would fail again, so it is not tried again. Any other exception is.
            raise PermanentError("nobody to greet", error_code="no_name")
        return {"text": f"Hello, {name}"}


@handler("Hello::ShoutHandler")
class ShoutHandler(StepHandler):
    def process(self, task, sequence, step):
        return {"text": sequence.get_results("greet")["text"].upper()}
