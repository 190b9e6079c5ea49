"""Batches in hand, and the memory of those that are done."""

from collections import OrderedDict
from typing import Any, Dict, List, Optional, Tuple

from .model import CancelFlag
from .outcome import Outcome
from .registry import HandlerEntry
from .wire.orchestrator_messages import StepRequest

FINISHED_BATCHES_MAX = 10_000


class StepRun:
    """One attempt of a step that this worker took.

    Owned by the socket thread, except that a handler thread sets `started`, `outcome` and `missed_window`
    before it hands the run back (`large_bytes` too), and reads `flag` and `start_by`.
    """

    __slots__ = (
        "request",
        "step_id",
        "attempt",
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
        self.attempt = request.metadata.attempt
        self.key = (batch.batch_id, request.step_id)
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
        #: its time is over and it was told to stop; when this monotonic time comes it is reported
        self.grace_ends: Optional[float] = None

    def age_ms(self, now: float) -> int:
        """How long its handler has been running; 0 before the start."""
        return 0 if self.started is None else max(0, int((now - self.started) * 1000))

    def names(self) -> Dict[str, Any]:
        """What a log line says about it."""
        return {
            "task_id": self.request.task_id,
            "step_id": self.step_id,
            "attempt": self.attempt,
            "step_name": self.request.step_name,
        }


class Batch:
    """One delivered batch: its sequence numbers and what its completion will say."""

    __slots__ = (
        "batch_id",
        "session",
        "prefix",
        "accepted",
        "open_steps",
        "sequence",
        "summaries",
        "completed",
        "failed",
        "received",
        "rejections",
    )

    def __init__(self, batch_id: str, session: str, prefix: str, now: float) -> None:
        self.batch_id = batch_id
        #: the session it was sent to, which every report about it names
        self.session = session
        #: the head of its partial results, the same for all of them
        self.prefix = prefix
        self.accepted = False
        #: accepted steps without final report or rejection
        self.open_steps = 0
        self.sequence = 0
        self.summaries: List[str] = []
        self.completed = 0
        self.failed = 0
        self.received = now
        #: frames of its batch_rejected messages, to answer a repeated batch exactly as before
        self.rejections: List[bytes] = []

    def next_sequence(self) -> int:
        self.sequence += 1
        return self.sequence


class BatchBook:
    """Every batch this session has seen: those in hand, and the last FINISHED_BATCHES_MAX others."""

    def __init__(self, finished_max: int = FINISHED_BATCHES_MAX) -> None:
        self._open: Dict[str, Batch] = {}
        self._finished: "OrderedDict[str, Tuple[bool, List[bytes]]]" = OrderedDict()
        self._finished_max = finished_max

    def add(self, batch: Batch) -> None:
        self._open[batch.batch_id] = batch

    def answer_of(self, batch_id: str) -> Optional[Tuple[bool, List[bytes]]]:
        """(was it accepted, its rejection frames) of a batch seen before, else None."""
        batch = self._open.get(batch_id)
        if batch is not None:
            return batch.accepted, batch.rejections
        return self._finished.get(batch_id)

    def finish(self, batch: Batch) -> None:
        """Keeps only what a repetition of the batch needs."""
        self._open.pop(batch.batch_id, None)
        self._finished[batch.batch_id] = (batch.accepted, batch.rejections)
        while len(self._finished) > self._finished_max:
            self._finished.popitem(last=False)
