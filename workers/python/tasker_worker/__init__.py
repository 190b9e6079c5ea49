"""Tasker's worker SDK for Python.

    from tasker_worker import RetryableError, StepHandler, handler

    @handler("Shop::StepHandlers::ShipHandler")
    class Ship(StepHandler):
        def process(self, task, sequence, step):
            paid = sequence.get_results("process_payment")
            return {"tracking_number": book(task.context["address"], key=step.idempotency_key)}

Run it: /usr/bin/python3 -m tasker_worker --import ship.py --help
"""

from .errors import (
    ConfigurationError,
    NetworkError,
    NotFoundError,
    PermanentError,
    RetryableError,
    SecretError,
    SnoozeError,
    StepError,
    TaskerError,
    TimeoutError,
    ValidationError,
)
from .handlers import StepHandler, handler
from .values import ParentStep, Sequence, Step, Task
from .version import SDK_VERSION as __version__

__all__ = [
    "ConfigurationError",
    "NetworkError",
    "NotFoundError",
    "ParentStep",
    "PermanentError",
    "RetryableError",
    "SecretError",
    "Sequence",
    "SnoozeError",
    "Step",
    "StepError",
    "StepHandler",
    "Task",
    "TaskerError",
    "TimeoutError",
    "ValidationError",
    "__version__",
    "handler",
]
