"""The side-effect log of tests: one JSON line at the start and at the end of each handler, of every class.

Switched on by TASKER_EFFECTS_LOG. It wraps the handlers from outside (the pool writes it), so no handler
knows of it. Several processes append to one file, so each line is a single write to a descriptor opened
with O_APPEND: lines are whole, and their order in the file is the order of events. A line that cannot be
written ends the step as failed: a test that counts starts must not miss one.
"""

import json
import os
import time
from typing import Optional

from .clock import utc_timestamp
from .errors import ConfigurationError
from .wire.orchestrator_messages import StepRequest

ENVIRONMENT_VARIABLE = "TASKER_EFFECTS_LOG"


class EffectsLog:
    """Appends {event, step_id, task_id, step_name, attempt, idempotency_key, worker, session, pid, at,
    monotonic_ns}, the same in every SDK."""

    def __init__(self, path: str, worker_id: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._worker_id = worker_id
        self._pid = os.getpid()

    def write(self, event: str, request: StepRequest, session: str) -> None:
        """`event` is start or end."""
        line = json.dumps(
            {
                "event": event,
                "step_id": request.step_id,
                "task_id": request.task_id,
                "step_name": request.step_name,
                "attempt": request.metadata.attempt,
                "idempotency_key": request.metadata.idempotency_key,
                "worker": self._worker_id,
                "session": session,
                "pid": self._pid,
                "at": utc_timestamp(),
                "monotonic_ns": time.monotonic_ns(),
            }
        )
        os.write(self._fd, line.encode("utf-8") + b"\n")

    def close(self) -> None:
        os.close(self._fd)


def open_from_environment(worker_id: str) -> Optional[EffectsLog]:
    """The log that the environment asks for, or None; ConfigurationError when it cannot be opened."""
    path = os.environ.get(ENVIRONMENT_VARIABLE)
    if not path:
        return None
    try:
        return EffectsLog(path, worker_id)
    except OSError as error:
        raise ConfigurationError(
            f"{ENVIRONMENT_VARIABLE}: cannot append to {path}: {error.strerror}"
        ) from error
