"""All messages of the wire, one frozen dataclass each, both directions.

`WORKER_MESSAGES` and `ORCHESTRATOR_MESSAGES` map message_type to class. Fields that are None are absent on
the wire. Everything was checked when it was decoded; a receiver never checks again.
"""

from typing import Any, Dict, Type, Union

from .orchestrator_messages import (
    Ack,
    Cancel,
    Drain,
    Heartbeat,
    Probe,
    Refused,
    ReportRequest,
    StartDenied,
    StartGranted,
    StepBatchRequest,
    StepMetadata,
    StepRequest,
    Welcome,
)
from .worker_messages import (
    BatchAccepted,
    BatchCompletion,
    BatchRejected,
    Goodbye,
    Hello,
    PartialResult,
    Ready,
    RunningStep,
    StartRequest,
    StepBatchResponse,
    StepRef,
    WorkerHeartbeat,
)

__all__ = [
    "Ack",
    "BatchAccepted",
    "BatchCompletion",
    "BatchRejected",
    "Cancel",
    "Drain",
    "Goodbye",
    "Heartbeat",
    "Hello",
    "MESSAGE_TYPES",
    "ORCHESTRATOR_MESSAGES",
    "OrchestratorMessage",
    "PartialResult",
    "Probe",
    "Ready",
    "Refused",
    "ReportRequest",
    "RunningStep",
    "StartDenied",
    "StartGranted",
    "StartRequest",
    "StepBatchRequest",
    "StepBatchResponse",
    "StepMetadata",
    "StepRef",
    "StepRequest",
    "WORKER_MESSAGES",
    "Welcome",
    "WorkerHeartbeat",
]

WORKER_MESSAGES: Dict[str, type] = {}
ORCHESTRATOR_MESSAGES: Dict[str, type] = {}

OrchestratorMessage = Union[
    StepBatchRequest,
    Probe,
    Welcome,
    Refused,
    Ack,
    Heartbeat,
    Cancel,
    Drain,
    StartGranted,
    StartDenied,
    ReportRequest,
]

MESSAGE_TYPES: Dict[type, str] = {}


def _declare(table: Dict[str, type], **kinds: Type[Any]) -> None:
    table.update(kinds)
    MESSAGE_TYPES.update({kind: name for name, kind in kinds.items()})


_declare(
    WORKER_MESSAGES,
    hello=Hello,
    ready=Ready,
    worker_heartbeat=WorkerHeartbeat,
    batch_accepted=BatchAccepted,
    batch_rejected=BatchRejected,
    start_request=StartRequest,
    goodbye=Goodbye,
    partial_result=PartialResult,
    batch_completion=BatchCompletion,
    step_batch_response=StepBatchResponse,
)
_declare(
    ORCHESTRATOR_MESSAGES,
    step_batch_request=StepBatchRequest,
    probe=Probe,
    welcome=Welcome,
    refused=Refused,
    ack=Ack,
    heartbeat=Heartbeat,
    cancel=Cancel,
    drain=Drain,
    start_granted=StartGranted,
    start_denied=StartDenied,
    report_request=ReportRequest,
)
