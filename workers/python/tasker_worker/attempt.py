"""One try of one step in this worker: its state, its times, and its name in inventories and log lines."""

from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple

from .outcome import Outcome
from .registry import HandlerEntry
from .values import CancelFlag
from .wire.messages import RunningStep, StepRef
from .wire.orchestrator_messages import StepRequest

if TYPE_CHECKING:
    from .batch import Batch

# A handler that runs longer than this is announced with an in_progress report.
ANNOUNCE_S = 0.2
# A handler whose time is over gets this long to notice `cancelled()` and end by itself. Then it may be
# tried again like any failed step; one that runs on might run beside its own next attempt.
STOP_GRACE_S = 0.1

#: (batch_id, step_id)
Key = Tuple[str, int]


class Attempt:
    """One attempt of a step that this worker took.

    Owned by the socket thread, except that a handler thread sets `started`, `outcome` and `missed_window`
    before it hands the attempt back (`large_bytes` too), and reads `flag` and `start_by`.
    """

    __slots__ = (
        "request",
        "step_id",
        "number",
        "key",
        "batch",
        "entry",
        "flag",
        "started",
        "outcome",
        "large_bytes",
        "claim_first",
        "start_by",
        "missed_window",
        "announced",
        "reported",
        "timeout_s",
        "grace_ends",
    )

    def __init__(self, request: StepRequest, batch: "Batch", entry: HandlerEntry) -> None:
        self.request = request
        self.step_id = request.step_id
        #: which try of the step this is, from 1
        self.number = request.metadata.attempt
        self.key: Key = (batch.batch_id, request.step_id)
        self.batch = batch
        self.entry = entry
        self.flag = CancelFlag()
        #: monotonic time at which the handler began; None until then
        self.started: Optional[float] = None
        self.outcome: Optional[Outcome] = None
        #: the size of its result when that counts on the way to the outbox (pool.LARGE_BYTES), else 0
        self.large_bytes = 0
        self.claim_first = bool(request.metadata.claim_first)
        #: boot time after which a claim_first step may no longer start
        self.start_by: Optional[float] = None
        self.missed_window = False
        #: an in_progress report went out
        self.announced = False
        #: a final report went out (a timed-out handler may still be running)
        self.reported = False
        self.timeout_s = request.metadata.timeout_ms / 1000.0
        #: its time is over and its handler was asked to stop; when this monotonic time comes it is reported
        self.grace_ends: Optional[float] = None

    @property
    def ref(self) -> StepRef:
        """Its name in an inventory."""
        return StepRef(batch_id=self.batch.batch_id, step_id=self.step_id, attempt=self.number)

    def aged_ref(self, now: float) -> RunningStep:
        """The same for a heartbeat."""
        return RunningStep(
            batch_id=self.batch.batch_id, step_id=self.step_id, attempt=self.number, age_ms=self.age_ms(now)
        )

    def age_ms(self, now: float) -> int:
        """How long its handler has been running; 0 before the start."""
        return 0 if self.started is None else max(0, int((now - self.started) * 1000))

    def log_fields(self) -> Dict[str, Any]:
        """The fields of every log line about it."""
        return {
            "task_id": self.request.task_id,
            "step_id": self.step_id,
            "attempt": self.number,
            "step_name": self.request.step_name,
            "batch_id": self.batch.batch_id,
        }

    # ------------------------------------------------------------------ times

    @property
    def patience_s(self) -> float:
        """After how much running time something is due for the first time."""
        return min(ANNOUNCE_S, self.timeout_s) if self.timeout_s > 0 else ANNOUNCE_S

    def is_watched(self) -> bool:
        """Its time still matters: nothing final is known of it."""
        return not self.reported and self.outcome is None

    def is_over_grace(self, now: float) -> bool:
        """Its handler was asked to stop and did not in time."""
        return self.grace_ends is not None and now >= self.grace_ends

    def stop_when_overdue(self, now: float) -> None:
        """Asks the handler to stop when its time is over."""
        if self.grace_ends is None and self.started is not None and 0 < self.timeout_s <= now - self.started:
            self.flag.set("timeout")
            self.grace_ends = now + STOP_GRACE_S

    def is_to_announce(self, now: float) -> bool:
        return not self.announced and self.started is not None and now >= self.started + ANNOUNCE_S

    def next_due(self, now: float) -> float:
        """When to look at it again; infinity when only its end matters."""
        if self.started is None:
            return now + self.patience_s
        due = float("inf")
        if self.timeout_s > 0:
            due = self.grace_ends or self.started + self.timeout_s
        return due if self.announced else min(due, self.started + ANNOUNCE_S)

    def timeout_error(self, handler_stopped: bool) -> Dict[str, Any]:
        """The error of an attempt whose time is over; `handler_stopped`: its handler has ended."""
        return {
            "message": f"no result within {self.request.metadata.timeout_ms} ms",
            "error_type": "TimeoutError",
            "error_code": "timeout",
            "retryable": True,
            "handler_stopped": handler_stopped,
        }
