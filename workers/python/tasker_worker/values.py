"""What a handler gets: task, sequence and step. Immutable values, built from a validated request.

The mappings (context, handler_config, results) are read-only views; what lies deeper is this step's own
copy, so changing it reaches nobody else. They may be returned as output as they are.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Callable, Dict, Mapping, Optional, Type, TypeVar

from .errors import NotFoundError
from .wire.orchestrator_messages import StepRequest

T = TypeVar("T")

EMPTY: Mapping[str, Any] = MappingProxyType({})


class CancelFlag:
    """Set by the worker, read by the handler through `step.cancelled()` and `step.cancel_reason`."""

    __slots__ = ("reason", "_watcher")

    def __init__(self) -> None:
        self.reason: Optional[str] = None
        self._watcher: Optional[Callable[[], Any]] = None

    def set(self, reason: str) -> None:
        """The last reason counts: a handler that ignored a cancel can still run out of time."""
        self.reason = reason
        watcher = self._watcher
        if watcher is not None:
            watcher()

    def watch(self, watcher: Optional[Callable[[], Any]]) -> None:
        """Calls `watcher` for each reason, in the thread that sets it; at once if there is one already."""
        self._watcher = watcher
        if watcher is not None and self.reason is not None:
            watcher()


@dataclass(frozen=True)
class Task:
    """The task the step belongs to."""

    task_id: int
    namespace: str
    name: str
    version: str
    context: Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """The step to run, in this attempt (from 1).

    `attempt` counts every delivery. `tries_left` is how many attempts may come after this one: 0 says that
    this is the last.
    `idempotency_key` is the same for every attempt of the step: hand it to systems whose effects must not
    happen twice. `timeout_ms` counts from the handler's start; 0 means none.
    """

    step_id: int
    name: str
    handler_class: str
    handler_config: Mapping[str, Any]
    attempt: int
    retry_limit: int
    tries_left: int
    timeout_ms: int
    idempotency_key: str
    claim_first: bool
    cancel_flag: CancelFlag

    def cancelled(self) -> bool:
        """Whether the result is no longer wanted (cancelled, or timed out). Long handlers ask now and then
        and stop when it is true."""
        return self.cancel_flag.reason is not None

    @property
    def cancel_reason(self) -> Optional[str]:
        """Why it is not wanted: the orchestrator's words, or `timeout`; None while it is wanted."""
        return self.cancel_flag.reason


@dataclass(frozen=True, slots=True)
class ParentStep:
    """A step as `find_step_by_name` shows it; `results` is None when it stored none."""

    name: str
    results: Any


@dataclass(frozen=True)
class Sequence:
    """The step's place in its batch, and the results of its direct parents and of its `results_from`."""

    sequence_number: int
    total_steps: int
    previous_results: Mapping[str, Any]

    def get_results(self, name: str) -> Any:
        """The results of the step `name`; None when it stored none.

        NotFoundError (the step ends in error) when they are not delivered, since it is neither a direct
        parent nor in the template's `results_from`: a misspelt name must not put None into what is stored.
        `find_step_by_name` asks without that.
        """
        try:
            return self.previous_results[name]
        except KeyError:
            known = ", ".join(sorted(self.previous_results)) or "none, since this step has no parents"
            raise NotFoundError(
                f"{name!r:.200} is neither a direct parent of this step nor in its results_from;"
                f" there are results of: {known}",
                resource_type="step_results",
            ) from None

    def find_step_by_name(self, name: str) -> Optional[ParentStep]:
        """The step `name` with its results, or None when they are not delivered."""
        if name not in self.previous_results:
            return None
        return ParentStep(name, self.previous_results[name])


def _made(kind: Type[T], fields: Dict[str, Any]) -> T:
    """A frozen object with all its fields at once; its own __init__ works around the frost field by field,
    which takes three times as long, for every step."""
    made = object.__new__(kind)
    object.__setattr__(made, "__dict__", fields)
    return made


def task_of(request: StepRequest) -> Task:
    fields = {
        "task_id": request.task_id,
        "namespace": request.namespace,
        "name": request.task_name,
        "version": request.task_version,
        "context": MappingProxyType(request.task_context),
    }
    return _made(Task, fields)


def sequence_of(request: StepRequest) -> Sequence:
    meta = request.metadata
    fields = {
        "sequence_number": meta.sequence,
        "total_steps": meta.total_steps,
        "previous_results": MappingProxyType(request.previous_results),
    }
    return _made(Sequence, fields)


def step_of(request: StepRequest, cancel_flag: CancelFlag) -> Step:
    meta = request.metadata
    fields = {
        "step_id": request.step_id,
        "name": request.step_name,
        "handler_class": request.handler_class,
        "handler_config": MappingProxyType(request.handler_config),
        "attempt": meta.attempt,
        "retry_limit": meta.retry_limit,
        # An older orchestrator does not send it; so many there are at least.
        "tries_left": max(0, meta.retry_limit - meta.attempt) if meta.tries_left is None else meta.tries_left,
        "timeout_ms": meta.timeout_ms,
        "idempotency_key": meta.idempotency_key,
        "claim_first": bool(meta.claim_first),
        "cancel_flag": cancel_flag,
    }
    return _made(Step, fields)
