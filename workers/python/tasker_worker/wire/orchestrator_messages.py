"""What the orchestrator sends: on `steps.<session> `, `control.<session> `, and `steps ` in plain mode."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from .schema import (
    ATTEMPT,
    COUNT,
    FROM_ZERO,
    POSITIVE,
    POSITIVE_32,
    SEQUENCE,
    STEP_ID,
    batch_uuid,
    boolean,
    identifier,
    json_object,
    list_of,
    list_or_none,
    optional,
    record,
    required,
    session_id,
    text,
    timestamp,
)
from .worker_messages import StepRef


# Not frozen: built for every step, and frozen costs twice the time; nobody outside the SDK sees it.
@dataclass(slots=True)
class StepMetadata:
    attempt: int = required(ATTEMPT)
    retry_limit: int = required(POSITIVE_32)
    timeout_ms: int = required(POSITIVE)
    sequence: int = required(SEQUENCE)
    total_steps: int = required(POSITIVE_32)
    created_at: str = required(timestamp)
    idempotency_key: str = required(identifier)
    claim_first: Optional[bool] = optional(boolean)
    traceparent: Optional[str] = optional(identifier)
    tries_left: Optional[int] = optional(COUNT)


# Not frozen: built for every step, and frozen costs twice the time; nobody outside the SDK sees it.
@dataclass(slots=True)
class StepRequest:
    step_id: int = required(STEP_ID)
    task_id: int = required(STEP_ID)
    namespace: str = required(identifier)
    task_name: str = required(identifier)
    task_version: str = required(identifier)
    step_name: str = required(identifier)
    handler_class: str = required(identifier)
    handler_config: Dict[str, Any] = required(json_object)
    task_context: Dict[str, Any] = required(json_object)
    previous_results: Dict[str, Any] = required(json_object)
    metadata: StepMetadata = required(record(StepMetadata))


class FromOrchestrator:
    """What every message from the orchestrator carries (declared in each class)."""

    __slots__ = ()
    orchestrator_id: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBatchRequest(FromOrchestrator):
    orchestrator_id: str = required(identifier)
    epoch: int = required(FROM_ZERO)
    batch_id: str = required(batch_uuid)
    handler_class: str = required(identifier)
    steps: List[StepRequest] = required(list_of(record(StepRequest)))
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(FromOrchestrator):
    orchestrator_id: str = required(identifier)
    epoch: int = required(FROM_ZERO)
    nonce: str = required(identifier)
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    batch_bytes: int = required(POSITIVE)
    result_bytes: int = required(POSITIVE)
    depth: int = required(POSITIVE)
    inventory_bytes: Optional[int] = optional(POSITIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome(FromOrchestrator):
    orchestrator_id: str = required(identifier)
    epoch: int = required(FROM_ZERO)
    session: str = required(session_id)
    heartbeat_ms: int = required(POSITIVE)
    lease_ms: int = required(POSITIVE)
    resend_ms: int = required(POSITIVE)
    limits: Limits = required(record(Limits))
    installation: Optional[str] = optional(identifier)
    hello_nonce: Optional[str] = optional(identifier)
    disconnect_grace_ms: Optional[int] = optional(FROM_ZERO)
    capacity: Optional[int] = optional(POSITIVE_32)
    prefetch: Optional[int] = optional(POSITIVE_32)
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(FromOrchestrator):
    orchestrator_id: str = required(identifier)
    epoch: int = required(FROM_ZERO)
    code: str = required(identifier)
    message: str = required(text)
    retry_ms: int = required(FROM_ZERO)
    hello_nonce: Optional[str] = optional(identifier)
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class AckedSequences:
    batch_id: str = required(batch_uuid)
    sequences: List[int] = required(list_of(SEQUENCE))


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedSequence:
    batch_id: str = required(batch_uuid)
    sequence: int = required(SEQUENCE)
    code: str = required(identifier)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack(FromOrchestrator):
    orchestrator_id: str = required(identifier)
    epoch: int = required(FROM_ZERO)
    session: str = required(session_id)
    batches: List[AckedSequences] = required(list_of(record(AckedSequences)))
    rejected: List[RejectedSequence] = required(list_of(record(RejectedSequence)))
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat(FromOrchestrator):
    orchestrator_id: str = required(identifier)
    epoch: int = required(FROM_ZERO)
    n: int = required(FROM_ZERO)
    installation: Optional[str] = optional(identifier)
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(FromOrchestrator):
    orchestrator_id: str = required(identifier)
    epoch: int = required(FROM_ZERO)
    session: str = required(session_id)
    steps: List[StepRef] = required(list_of(record(StepRef)))
    reason: str = required(identifier)
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain(FromOrchestrator):
    orchestrator_id: str = required(identifier)
    epoch: int = required(FROM_ZERO)
    session: str = required(session_id)
    deadline_ms: int = required(FROM_ZERO)
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartGranted(FromOrchestrator):
    orchestrator_id: str = required(identifier)
    epoch: int = required(FROM_ZERO)
    session: str = required(session_id)
    batch_id: str = required(batch_uuid)
    step_id: int = required(STEP_ID)
    attempt: int = required(ATTEMPT)
    n: int = required(POSITIVE)
    start_window_ms: int = required(FROM_ZERO)
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartDenied(FromOrchestrator):
    orchestrator_id: str = required(identifier)
    epoch: int = required(FROM_ZERO)
    session: str = required(session_id)
    batch_id: str = required(batch_uuid)
    step_id: int = required(STEP_ID)
    attempt: int = required(ATTEMPT)
    n: int = required(POSITIVE)
    reason: str = required(identifier)
    protocol_version: Optional[str] = optional(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest(FromOrchestrator):
    """Send again what stands in the outbox for this batch; both lists absent: everything of it."""

    orchestrator_id: str = required(identifier)
    epoch: int = required(FROM_ZERO)
    session: str = required(session_id)
    batch_id: str = required(batch_uuid)
    sequences: Optional[List[int]] = optional(list_or_none(SEQUENCE))
    step_ids: Optional[List[int]] = optional(list_or_none(STEP_ID))
    protocol_version: Optional[str] = optional(text)
