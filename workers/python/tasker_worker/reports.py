"""The frames of what is reported about steps, put together from ready-made parts.

These are the messages sent per step and per batch, so they are written as text instead of being built as
objects and encoded. A test decodes each of them with the codec.
"""

import json
from typing import Any, Dict, List, Optional, Tuple

from .attempt import Attempt
from .batch import Batch
from .clock import utc_timestamp

SENT_BY_MARK = b',"sent_by":"'


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Reports:
    """Writes reports in the name of one worker."""

    def __init__(self, worker_id: str) -> None:
        self._worker = _json(worker_id)

    def batch_prefix(self, batch_id: str, session: str) -> str:
        """The head all partial results of a batch share."""
        return (
            f'results {{"message_type":"partial_result","protocol_version":"1.0",'
            f'"batch_id":{_json(batch_id)},"worker_id":{self._worker},"session":"{session}","step_id":'
        )

    def partial(
        self,
        attempt: Attempt,
        status: str,
        output_json: Optional[str],
        error: Optional[Dict[str, Any]],
        ms: int,
    ) -> Tuple[int, bytes]:
        """(its sequence number, the frame) of a partial result; takes the batch's next number."""
        batch = attempt.batch
        sequence = batch.next_sequence()
        output = f',"output":{output_json}' if output_json is not None else ""
        problem = f',"error":{_json(error)}' if error is not None else ""
        return sequence, (
            f'{batch.prefix}{attempt.step_id},"attempt":{attempt.number},"status":"{status}"{output}{problem}'
            f',"sequence":{sequence},"timestamp":"{utc_timestamp()}","execution_time_ms":{ms}}}'
        ).encode("utf-8")

    def summary(self, attempt: Attempt, status: str, ms: int) -> str:
        """One step's line in the completion."""
        return (
            f'{{"step_id":{attempt.step_id},"attempt":{attempt.number},"final_status":"{status}",'
            f'"execution_time_ms":{ms},"worker_id":{self._worker}}}'
        )

    def completion(self, batch: Batch, total_ms: int) -> Tuple[int, bytes]:
        """(its sequence number, the frame) of a batch's completion; handed-back steps do not count."""
        sequence = batch.next_sequence()
        return sequence, (
            f'results {{"message_type":"batch_completion","protocol_version":"1.0",'
            f'"batch_id":{_json(batch.batch_id)},"worker_id":{self._worker},"session":"{batch.session}",'
            f'"total_steps":{len(batch.summaries)},"completed_steps":{batch.completed},'
            f'"failed_steps":{batch.failed},"in_progress_steps":0,'
            f'"step_summaries":[{",".join(batch.summaries)}],"total_execution_time_ms":{total_ms},'
            f'"completed_at":"{utc_timestamp()}","sequence":{sequence}}}'
        ).encode("utf-8")

    def accepted(self, batch_id: str, session: str) -> bytes:
        return (
            f'workers {{"message_type":"batch_accepted","protocol_version":"1.0","session":"{session}",'
            f'"batch_id":{_json(batch_id)}}}'
        ).encode("utf-8")

    def rejection(
        self, batch: Batch, steps: List[Tuple[int, int, str]], details: Optional[Dict[str, Any]] = None
    ) -> Tuple[int, bytes]:
        """(its sequence number, the frame) that hands back (step_id, attempt, reason)…, with `details`."""
        sequence = batch.next_sequence()
        listed = [
            {"step_id": step, "attempt": attempt, "reason": reason, **(details or {})}
            for step, attempt, reason in steps
        ]
        return sequence, (
            f'workers {{"message_type":"batch_rejected","protocol_version":"1.0",'
            f'"session":"{batch.session}","batch_id":{_json(batch.batch_id)},"sequence":{sequence},'
            f'"steps":{_json(listed)}}}'
        ).encode("utf-8")


def sent_by(frame: bytes, session: str) -> bytes:
    """The frame as another session sends it: the same report with `sent_by` at its end."""
    head, mark, _ = frame.rpartition(SENT_BY_MARK)
    return (head if mark and frame.endswith(b'"}') else frame[:-1]) + SENT_BY_MARK + session.encode() + b'"}'
