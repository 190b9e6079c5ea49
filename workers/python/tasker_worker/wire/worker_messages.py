"""What workers send: on `workers ` everything up to Goodbye, on `results ` the rest."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from .schema import (
    ATTEMPT,
    COUNT,
    FROM_ZERO,
    POSITIVE,
    POSITIVE_32,
    REPORT_STATUS,
    SEQUENCE,
    STEP_ID,
    anything,
    batch_uuid,
    boolean,
    checked_as,
    identifier,
    json_object,
    list_of,
    list_or_none,
    number_from_zero,
    optional,
    record,
    required,
    session_id,
    text,
    timestamp,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRef:
    """One delivered attempt of a step, as inventories and `cancel` name it."""

    batch_id: str = required(batch_uuid)
    step_id: int = required(STEP_ID)
    attempt: int = required(ATTEMPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningStep:
    """A running step in a worker_heartbeat; `age_ms` counts from the handler's start."""

    batch_id: str = required(batch_uuid)
    step_id: int = required(STEP_ID)
    attempt: int = required(ATTEMPT)
    age_ms: int = required(FROM_ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    worker_id: str = required(identifier)
    session: str = required(session_id)
    language: str = required(identifier)
    sdk_version: str = required(identifier)
    namespaces: List[str] = required(list_of(identifier))
    handlers: List[str] = required(list_of(identifier))
    capacity: int = required(POSITIVE_32)
    prefetch: Optional[int] = optional(POSITIVE_32)
    host: str = required(identifier)
    pid: int = required(COUNT)
    held: List[StepRef] = required(list_of(record(StepRef)))
    running: List[StepRef] = required(list_of(record(StepRef)))
    unacked: List[StepRef] = required(list_of(record(StepRef)))
    previous_sessions: Optional[List[str]] = optional(list_or_none(session_id))
    hello_nonce: Optional[str] = optional(identifier)
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    session: str = required(session_id)
    nonce: str = required(identifier)
    held: List[StepRef] = required(list_of(record(StepRef)))
    running: List[StepRef] = required(list_of(record(StepRef)))
    unacked: List[StepRef] = required(list_of(record(StepRef)))
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHeartbeat:
    session: str = required(session_id)
    seen_n: int = required(FROM_ZERO)
    held: List[StepRef] = required(list_of(record(StepRef)))
    running: List[RunningStep] = required(list_of(record(RunningStep)))
    unacked: List[StepRef] = required(list_of(record(StepRef)))
    oldest_unacked_ms: int = required(FROM_ZERO)
    free: int = required(FROM_ZERO)
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAccepted:
    session: str = required(session_id)
    batch_id: str = required(batch_uuid)
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedStep:
    step_id: int = required(STEP_ID)
    attempt: int = required(ATTEMPT)
    reason: str = required(identifier)
    wait_seconds: Optional[float] = optional(number_from_zero)
    message: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRejected:
    """A promise that these steps were not started and will not be; the snoozed ones have ended."""

    session: str = required(session_id)
    batch_id: str = required(batch_uuid)
    sequence: int = required(SEQUENCE)
    steps: List[RejectedStep] = required(list_of(record(RejectedStep)))
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    session: str = required(session_id)
    batch_id: str = required(batch_uuid)
    step_id: int = required(STEP_ID)
    attempt: int = required(ATTEMPT)
    n: int = required(POSITIVE)
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodbye:
    session: str = required(session_id)
    reason: str = required(identifier)
    protocol_version: Optional[str] = optional(text)


# -------------------------------------------------------- worker → orchestrator, topic `results `


@dataclass(frozen=True, slots=True, kw_only=True)
class StepErrorReport:
    """The fields of a report's `error` that decide what happens next; the object itself is kept whole."""

    message: str = required(text)
    error_type: str = required(text)
    error_code: Optional[str] = optional(text)
    retryable: Optional[bool] = optional(boolean)
    retry_after_seconds: Optional[float] = optional(number_from_zero)
    backtrace: Optional[List[str]] = optional(list_of(text))
    handler_stopped: Optional[bool] = optional(boolean)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialResult:
    batch_id: str = required(batch_uuid)
    step_id: int = required(STEP_ID)
    attempt: Optional[int] = optional(ATTEMPT)
    status: str = required(REPORT_STATUS)
    output: Any = optional(anything)
    error: Optional[Dict[str, Any]] = optional(checked_as(StepErrorReport))
    worker_id: str = required(identifier)
    session: Optional[str] = optional(session_id)
    sent_by: Optional[str] = optional(session_id)
    sequence: int = required(SEQUENCE)
    timestamp: str = required(timestamp)
    execution_time_ms: int = required(FROM_ZERO)
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSummary:
    step_id: int = required(STEP_ID)
    attempt: Optional[int] = optional(ATTEMPT)
    final_status: str = required(REPORT_STATUS)
    execution_time_ms: Optional[int] = optional(FROM_ZERO)
    worker_id: Optional[str] = optional(identifier)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCompletion:
    batch_id: str = required(batch_uuid)
    total_steps: int = required(COUNT)
    completed_steps: int = required(COUNT)
    failed_steps: int = required(COUNT)
    in_progress_steps: int = required(COUNT)
    step_summaries: List[StepSummary] = required(list_of(record(StepSummary)))
    total_execution_time_ms: Optional[int] = optional(FROM_ZERO)
    completed_at: str = required(timestamp)
    worker_id: str = required(identifier)
    session: Optional[str] = optional(session_id)
    sent_by: Optional[str] = optional(session_id)
    sequence: int = required(SEQUENCE)
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBatchResult:
    step_id: int = required(STEP_ID)
    status: str = required(REPORT_STATUS)
    output: Any = optional(anything)
    error: Optional[Dict[str, Any]] = optional(checked_as(StepErrorReport))
    metadata: Optional[Dict[str, Any]] = optional(json_object)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBatchResponse:
    """The old form of a report."""

    batch_id: str = required(batch_uuid)
    results: List[StepBatchResult] = required(list_of(record(StepBatchResult)))
    protocol_version: Optional[str] = optional(text)
