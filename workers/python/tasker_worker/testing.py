"""Running handlers in memory: the same code that runs them in a worker, without network or waiting.

    from tasker_worker.testing import run_step, run_template

    result = run_step(ShipOrder, context={"order_id": 7}, previous_results={"pay": {"payment_id": "p"}})
    assert result.status == "completed" and result.output["carrier"] == "DHL"

    order = run_template("config/tasks/order_fulfillment.yaml", context=an_order,
                         stubs={"ship_order": {"carrier": "DHL"}})
    assert order.state == "complete", order.explain()
"""

import json
import os
import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Union, cast

from . import handlers, settings, templates
from .clock import utc_timestamp
from .context_schema import problems_of
from .errors import ConfigurationError
from .values import CancelFlag
from .outcome import SNOOZED, Limits, encode_output, run_handler
from .registry import HandlerEntry, did_you_mean, entry_of
from .results import StepResult, StepStory, TemplateResult
from .secrets import Secrets, shared
from .templates import TemplateStep, Template
from .wire.errors import DecodeError
from .wire.orchestrator_messages import StepRequest
from .wire.schema import read_record

#: the orchestrator's code for a step that was snoozed too often
SNOOZES_EXHAUSTED = "snoozes_exhausted"
#: what stands for a handler: its class, or a function of (task, sequence, step)
Handler = Union[type, Callable[[Any, Any, Any], Any]]


def run_step(
    handler: Handler,
    *,
    context: Optional[Mapping[str, Any]] = None,
    previous_results: Optional[Mapping[str, Any]] = None,
    handler_config: Optional[Mapping[str, Any]] = None,
    secrets: Optional[Mapping[str, str]] = None,
    attempt: int = 1,
    retry_limit: int = 3,
    tries_left: Optional[int] = None,
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
    handler at `timeout_ms`. `secrets` are what `{"$secret": NAME}` stands for, by name. Without `tries_left`
    the step has `retry_limit` − `attempt`.
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
            "tries_left": max(0, retry_limit - attempt) if tries_left is None else tries_left,
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
    outcome = run_handler(_entry(handler, name, config, secrets), request, flag, Limits())
    output = None if outcome.output_json is None else json.loads(outcome.output_json)
    wait = outcome.retry_after if outcome.status == SNOOZED else None
    return StepResult(outcome.status, output, outcome.error, outcome.seconds, wait, outcome.message)


def run_template(
    template: Union[str, "os.PathLike[str]", Mapping[str, Any]],
    *,
    context: Optional[Mapping[str, Any]] = None,
    stubs: Optional[Mapping[str, Any]] = None,
    secrets: Optional[Mapping[str, str]] = None,
    environment: Optional[str] = None,
    env: Mapping[str, str] = os.environ,
) -> TemplateResult:
    """Runs every step of a template (a file, or its parsed content) in dependency order.

    Failed attempts are repeated at once, up to the retry limit, as far as they are retryable; a snoozed step
    too, up to its `max_snoozes`; independent
    branches run to their end before the task fails. `stubs` stand for the handlers of the steps they name: an
    output, a function of (task, sequence, step), a class, or an exception that each attempt raises. Raises
    ConfigurationError for a bad template, a missing handler, a stub that names no step, and a context that
    the template's schema refuses.
    """
    chosen = environment or settings.environment_name(env)
    if isinstance(template, Mapping):
        loaded = templates.parse(dict(template), chosen, env)
    else:
        loaded = templates.load_file(os.fspath(template), chosen, env)
    _check_stubs(loaded, stubs or {})
    _check_context(loaded, context or {})
    stories: Dict[str, StepStory] = {}
    order: List[str] = []
    in_order = _in_order(loaded)
    _check_results_from(loaded, in_order)
    for number, step in enumerate(in_order, start=1):
        if all(stories[name].state == "complete" for name in step.depends_on):
            order.append(step.name)
            delivered = {name: stories[name].results for name in (*step.depends_on, *step.results_from)}
            found = _handler_of(loaded, step, stubs or {})
            stories[step.name] = _run_to_end(loaded, step, number, found, context or {}, delivered, secrets)
        else:
            open_parents = tuple(name for name in step.depends_on if stories[name].state != "complete")
            stories[step.name] = StepStory(step.name, "pending", 0, None, waits_for=open_parents)
    whole = all(story.state == "complete" for story in stories.values())
    name = f"{loaded.namespace}/{loaded.name}"
    return TemplateResult("complete" if whole else "error", stories, order, name)


def _check_stubs(template: Template, stubs: Mapping[str, Any]) -> None:
    names = [step.name for step in template.steps]
    for name in stubs:
        if name not in names:
            same = [step.name for step in template.steps if step.handler_class == name]
            hint = (
                f"; a stub has the name of its step: {', '.join(same)}" if same else did_you_mean(name, names)
            )
            raise ConfigurationError(f"template {template.source}: there is no step {name} to stub{hint}")


def _check_results_from(template: Template, in_order: List[TemplateStep]) -> None:
    ancestors: Dict[str, Set[str]] = {}
    for step in in_order:
        ancestors[step.name] = set(step.depends_on).union(*(ancestors[name] for name in step.depends_on))
        for name in step.results_from:
            if name not in ancestors[step.name]:
                hint = did_you_mean(name, sorted(ancestors[step.name]))
                raise ConfigurationError(
                    f"template {template.source}: step {step.name}: results_from names {name},"
                    f" which is no ancestor of it{hint}"
                )


def _check_context(template: Template, context: Mapping[str, Any]) -> None:
    if template.schema is None:
        return
    try:
        problems = problems_of(template.schema, _through_json(context, "context"))
    except (RecursionError, KeyError, IndexError, TypeError, re.error) as error:
        raise ConfigurationError(
            f"template {template.source}: the schema cannot be used: {error!r}"
        ) from None
    if problems:
        raise ConfigurationError(
            f"template {template.source}: no task can have this context: {'; '.join(problems)}"
        )


def _run_to_end(
    template: Template,
    step: TemplateStep,
    number: int,
    found: Handler,
    context: Mapping[str, Any],
    parents: Mapping[str, Any],
    secrets: Optional[Mapping[str, str]],
) -> StepStory:
    history: List[StepResult] = []
    attempts, snoozes = 0, 0
    limit = max(1, step.retry_limit) if step.retryable else 1
    while True:
        result = run_step(
            found,
            context=context,
            previous_results=parents,
            handler_config=step.handler_config,
            secrets=secrets,
            attempt=len(history) + 1,
            retry_limit=max(1, step.retry_limit),
            tries_left=limit - attempts - 1,
            step_name=step.name,
            handler_class=step.handler_class,
            task_name=template.name,
            namespace=template.namespace,
            version=template.version,
            step_id=number,
            timeout_ms=max(1, int(step.timeout_seconds * 1000)),
        )
        if result.snoozed and snoozes >= step.max_snoozes:
            result = _too_often(result, step.max_snoozes)
        history.append(result)
        if result.snoozed:
            snoozes += 1
            continue
        attempts += 1
        if not result.retryable or attempts >= limit:
            break
    state = "complete" if result.completed else "error"
    return StepStory(step.name, state, attempts, result.output, history, snoozes=snoozes)


def _too_often(result: StepResult, max_snoozes: int) -> StepResult:
    """What the orchestrator makes of a snooze beyond the template's limit."""
    message = f"its handler asked to wait more often than max_snoozes allows ({max_snoozes})"
    message += f": {result.message}" if result.message else ""
    error = {"message": message, "error_type": "SnoozeError", "error_code": SNOOZES_EXHAUSTED}
    return StepResult("error", None, error, result.seconds)


def _in_order(template: Template) -> List[TemplateStep]:
    by_name = {step.name: step for step in template.steps}
    ordered: Dict[str, TemplateStep] = {}
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


def _handler_of(template: Template, step: TemplateStep, stubs: Mapping[str, Any]) -> Handler:
    if step.name in stubs:
        return _stub(stubs[step.name])
    found = handlers.resolve(step.handler_class)
    if found is None:
        raise ConfigurationError(
            f"template {template.source}: step {step.name} needs {step.handler_class};"
            " import it or pass a stub"
        )
    return found


def _stub(given: Any) -> Handler:
    if isinstance(given, BaseException):

        def fail(task: Any, sequence: Any, step: Any) -> Any:
            raise given

        return fail
    if isinstance(given, type) or callable(given):
        return cast(Handler, given)
    return lambda task, sequence, step: given


def _entry(
    handler: Handler, name: str, config: Mapping[str, Any], secrets: Optional[Mapping[str, str]]
) -> HandlerEntry:
    if isinstance(handler, type):
        return entry_of(name, handler, config, shared if secrets is None else _secrets_of(secrets))
    return HandlerEntry(name, handler)


def _secrets_of(given: Mapping[str, str]) -> Secrets:
    """Only these; what the process has is none of a test's business."""
    made = Secrets(env={})
    made.provider = given.get
    return made


def _through_json(value: Mapping[str, Any], what: str) -> Any:
    try:
        return json.loads(encode_output(value, Limits()))
    except Exception as error:
        raise ValueError(f"{what} is not what JSON can hold: {error}") from error


def _request(**fields: Any) -> StepRequest:
    try:
        return read_record(StepRequest, fields)
    except DecodeError as error:
        raise ValueError(str(error)) from error
