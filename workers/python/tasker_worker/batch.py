"""One delivered batch, and the book of open and ended batches that recognises a repeated one."""

from collections import OrderedDict
from typing import Callable, Dict, List, Optional, Tuple

from .attempt import Attempt
from .log import Log
from .registry import HandlerEntry
from .wire.orchestrator_messages import StepBatchRequest, StepRequest

log = Log(__name__)

FINISHED_BATCHES_MAX = 10_000

#: (step_id, attempt, reason) of a step that is handed back
Rejected = Tuple[int, int, str]


class Batch:
    """One delivered batch: its sequence numbers and what its completion will contain."""

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

    def sort_out(
        self,
        request: StepBatchRequest,
        find: Callable[[StepRequest], Optional[HandlerEntry]],
        refusal: Callable[[Optional[HandlerEntry], int], Optional[str]],
    ) -> Tuple[List[Attempt], List[Rejected]]:
        """What is taken of a new batch, and what is handed back.

        `refusal` gets the handler (or None) and how many steps are taken already; it returns the reason to
        hand a step back, or None. A step that the batch names twice counts once.
        """
        accepted: List[Attempt] = []
        rejected: List[Rejected] = []
        seen = set()
        for step in request.steps:
            if step.step_id in seen:
                log.error("step named twice in its batch", batch_id=self.batch_id, step_id=step.step_id)
                continue
            seen.add(step.step_id)
            entry = find(step)
            reason = refusal(entry, len(accepted))
            if reason is None and entry is not None:
                accepted.append(Attempt(step, self, entry))
            else:
                rejected.append((step.step_id, step.metadata.attempt, reason or "unknown_handler"))
        return accepted, rejected


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
