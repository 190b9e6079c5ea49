"""Running handlers in memory: the same code that runs them in a worker, without network or waiting.

    from tasker_worker.testing import run_step, run_template

    result = run_step(ShipOrder, context={"order_id": 7}, previous_results={"pay": {"payment_id": "p"}})
    assert result.status == "completed" and result.output["carrier"] == "DHL"

    order = run_template("config/tasks/order_fulfillment.yaml", context=an_order)
    assert order.state == "complete" and order.steps["process_payment"].attempts == 2
"""

import json
import os
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Union

from . import handlers, settings, templates
from .clock import utc_timestamp
from .errors import ConfigurationError
from .model import CancelFlag
from .outcome import ResultLimits, encode_output, run_handler
from .registry import HandlerEntry, build_entry
from .templates import StepTemplate, Template
from .wire.errors import DecodeError
from .wire.orchestrator_messages import StepRequest
from .wire.schema import read_record

#: what stands for a handler: its class, or a function of (task, sequence, step)
Handler = Union[type, Callable[[Any, Any, Any], Any]]


@dataclass(frozen=True)
class StepResult:
    """How one attempt ended. `status` and `error` as on the wire; `output` after a way through JSON."""

    status: str
    output: Any
    error: Optional[Dict[str, Any]]
    seconds: float

    @property
    def completed(self) -> bool:
        return self.status == "completed"

    @property
    def retryable(self) -> bool:
        """Whether the orchestrator would try again, attempts permitting."""
        return self.status == "failed" and (self.error or {}).get("retryable") is not False


@dataclass(frozen=True)
class StepStory:
    """What became of one step of a template: `complete`, `error`, or `pending` when a parent failed."""

    name: str
    state: str
    attempts: int
    results: Any
    history: List[StepResult] = field(default_factory=list)


@dataclass(frozen=True)
class TemplateResult:
    """`state` is complete or error; `steps` by name, `order` as they first ran."""

    state: str
    steps: Dict[str, StepStory]
    order: List[str]


def run_step(
    handler: Handler,
    *,
    context: Optional[Mapping[str, Any]] = None,
    previous_results: Optional[Mapping[str, Any]] = None,
    handler_config: Optional[Mapping[str, Any]] = None,
    attempt: int = 1,
    retry_limit: int = 3,
    step_name: str = "step",
    handler_class: str = "",
    task_name: str = "task",
    namespace: str = "test",
    version: str = "1.0.0",
    step_id: int = 1,
    task_id: int = 1,
    timeout_ms: int = 30_000,
    idempotency_key: str = "",
    cancelled: bool = False,
) -> StepResult:
    """Runs one attempt of one handler, built with `handler_config`, in this thread.

    Inputs take the way through JSON, as on the wire; ValueError when they cannot. Nothing interrupts the
    handler at `timeout_ms`.
    """
    config = _through_json(handler_config or {}, "handler_config")
    name = handler_class or getattr(handler, "__name__", type(handler).__name__)
    request = _request(
        step_id=step_id,
        task_id=task_id,
        namespace=namespace,
        task_name=task_name,
        task_version=version,
        step_name=step_name,
        handler_class=name,
        handler_config=config,
        task_context=_through_json(context or {}, "context"),
        previous_results=_through_json(previous_results or {}, "previous_results"),
        metadata={
            "attempt": attempt,
            "retry_limit": retry_limit,
            "timeout_ms": timeout_ms,
            "sequence": 1,
            "total_steps": 1,
            "created_at": utc_timestamp(),
            "idempotency_key": idempotency_key or f"test-{step_id}",
        },
    )
    flag = CancelFlag()
    if cancelled:
        flag.set("test")
    outcome = run_handler(_entry(handler, name, config), request, flag, ResultLimits())
    output = None if outcome.output_json is None else json.loads(outcome.output_json)
    return StepResult(outcome.status, output, outcome.error, outcome.seconds)


def run_template(
    template: Union[str, "os.PathLike[str]", Mapping[str, Any]],
    *,
    context: Optional[Mapping[str, Any]] = None,
    stubs: Optional[Mapping[str, Handler]] = None,
    environment: Optional[str] = None,
    env: Mapping[str, str] = os.environ,
) -> TemplateResult:
    """Runs every step of a template (a file, or its parsed content) in dependency order.

    Failed attempts are repeated at once, up to the retry limit, as far as they are retryable; independent
    branches run to their end before the task fails. `stubs` replaces handlers by handler class or step
    name. Raises ConfigurationError for a bad template or a handler that is missing.
    """
    chosen = environment or settings.environment_name(env)
    if isinstance(template, Mapping):
        loaded = templates.parse(dict(template), chosen, env)
    else:
        loaded = templates.load_file(os.fspath(template), chosen, env)
    stories: Dict[str, StepStory] = {}
    order: List[str] = []
    for number, step in enumerate(_in_order(loaded), start=1):
        if all(stories[name].state == "complete" for name in step.depends_on):
            order.append(step.name)
            parents = {name: stories[name].results for name in step.depends_on}
            found = _handler_of(loaded, step, stubs or {})
            stories[step.name] = _run_to_end(loaded, step, number, found, context or {}, parents)
        else:
            stories[step.name] = StepStory(step.name, "pending", 0, None)
    whole = all(story.state == "complete" for story in stories.values())
    return TemplateResult("complete" if whole else "error", stories, order)


def _run_to_end(
    template: Template,
    step: StepTemplate,
    number: int,
    found: Handler,
    context: Mapping[str, Any],
    parents: Mapping[str, Any],
) -> StepStory:
    history: List[StepResult] = []
    for attempt in range(1, max(1, step.retry_limit) + 1):
        result = run_step(
            found,
            context=context,
            previous_results=parents,
            handler_config=step.handler_config,
            attempt=attempt,
            retry_limit=step.retry_limit,
            step_name=step.name,
            handler_class=step.handler_class,
            task_name=template.name,
            namespace=template.namespace,
            version=template.version,
            step_id=number,
            timeout_ms=max(1, int(step.timeout_seconds * 1000)),
        )
        history.append(result)
        if not result.retryable or not step.retryable:
            break
    last = history[-1]
    return StepStory(step.name, "complete" if last.completed else "error", len(history), last.output, history)


def _in_order(template: Template) -> List[StepTemplate]:
    by_name = {step.name: step for step in template.steps}
    ordered: Dict[str, StepTemplate] = {}
    waiting = list(template.steps)
    while waiting:
        ready = [step for step in waiting if all(name in ordered for name in step.depends_on)]
        if not ready:
            unknown = [name for step in waiting for name in step.depends_on if name not in by_name]
            problem = f"unknown dependency {unknown[0]}" if unknown else "the dependencies form a cycle"
            raise ConfigurationError(f"template {template.source}: {problem}")
        ordered.update({step.name: step for step in ready})
        waiting = [step for step in waiting if step.name not in ordered]
    return list(ordered.values())


def _handler_of(template: Template, step: StepTemplate, stubs: Mapping[str, Handler]) -> Handler:
    found = stubs.get(step.name) or stubs.get(step.handler_class) or handlers.resolve(step.handler_class)
    if found is None:
        raise ConfigurationError(
            f"template {template.source}: step {step.name} needs {step.handler_class};"
            " import it or pass a stub"
        )
    return found


def _entry(handler: Handler, name: str, config: Mapping[str, Any]) -> HandlerEntry:
    if isinstance(handler, type):
        return build_entry(name, handler, config, f"handler {name}")
    return HandlerEntry(name, handler, None)


def _through_json(value: Mapping[str, Any], what: str) -> Any:
    try:
        return json.loads(encode_output(value, ResultLimits()))
    except Exception as error:
        raise ValueError(f"{what} is not what JSON can hold: {error}") from error


def _request(**fields: Any) -> StepRequest:
    try:
        return read_record(StepRequest, fields)
    except DecodeError as error:
        raise ValueError(str(error)) from error
