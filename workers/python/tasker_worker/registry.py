"""The handlers of this process: built once at start, found by name in one look-up."""

import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from . import handlers
from .errors import ConfigurationError
from .templates import StepTemplate, Template

Key = Tuple[str, str, str, str]

#: no step has run yet; counts as long
UNKNOWN_SECONDS = math.inf


@dataclass(slots=True)
class HandlerEntry:
    """One handler instance with what the pool needs to know about it.

    `typical_seconds` follows the median run time of its steps; the pool decides by it how many threads to
    wake for a batch. Handler threads write it without a lock: a lost update only delays the estimate.
    """

    handler_class: str
    process: Any
    process_results: Any
    typical_seconds: float = UNKNOWN_SECONDS


@dataclass(frozen=True)
class MissingHandler:
    """A handler class that templates name and this process does not have."""

    handler_class: str
    source: str
    step: str


class Registry:
    """Handler entries by (namespace, task, version, step), and by handler class for steps of templates
    this process has not read (their instance has an empty config)."""

    def __init__(self) -> None:
        self._by_step: Dict[Key, HandlerEntry] = {}
        self._by_class: Dict[str, HandlerEntry] = {}
        self.namespaces: Set[str] = set()
        self.elsewhere: List[MissingHandler] = []

    @property
    def handler_classes(self) -> List[str]:
        return sorted(self._by_class)

    def find(
        self, namespace: str, task: str, version: str, step: str, handler_class: str
    ) -> Optional[HandlerEntry]:
        """The entry that runs this step, or None when its handler class is not served here."""
        entry = self._by_step.get((namespace, task, version, step))
        if entry is not None and entry.handler_class == handler_class:
            return entry
        return self._by_class.get(handler_class)

    def _add_class(self, name: str, cls: type) -> None:
        if name not in self._by_class:
            self._by_class[name] = build_entry(name, cls, {}, f"handler {name}")

    def _add_step(self, template: Template, step: StepTemplate, cls: type) -> None:
        where = f"handler {step.handler_class} of step {step.name} in {template.source}"
        entry = build_entry(step.handler_class, cls, step.handler_config, where)
        self._by_step[(template.namespace, template.name, template.version, step.name)] = entry
        self.namespaces.add(template.namespace)


def build_entry(name: str, cls: type, config: Mapping[str, Any], where: str) -> HandlerEntry:
    """One instance of a handler class; ConfigurationError when it cannot be built or has no process."""
    try:
        instance = cls(config=config)
    except Exception as error:
        raise ConfigurationError(
            f"{where}: {cls.__qualname__}(config=...) failed: {type(error).__name__}: {error}"
        ) from error
    process = getattr(instance, "process", None)
    if not callable(process):
        raise ConfigurationError(f"{where}: {cls.__qualname__} has no method process(task, sequence, step)")
    results = getattr(instance, "process_results", None)
    return HandlerEntry(name, process, results if callable(results) else None)


def build(templates: Sequence[Template], only: Optional[Sequence[str]] = None) -> Registry:
    """The registry for these templates.

    With `only`, exactly those handler classes are served and each must resolve. Without it, those that
    resolve are served, the others are listed in `elsewhere`, and at least one must resolve.
    """
    registry = Registry()
    wanted = None if only is None else set(only)
    seen: Set[str] = set()
    for template in templates:
        for step in template.steps:
            name = step.handler_class
            if wanted is not None and name not in wanted:
                continue
            cls = handlers.resolve(name)
            if cls is None:
                if wanted is not None:
                    raise ConfigurationError(
                        f"handler class {name} is missing: step {step.name} of {template.source} names it and"
                        " --handlers asks for it, but no --import declares it"
                    )
                if name not in seen:
                    registry.elsewhere.append(MissingHandler(name, template.source, step.name))
                seen.add(name)
                continue
            registry._add_class(name, cls)
            registry._add_step(template, step, cls)
    for name in wanted or ():
        cls = handlers.resolve(name)
        if cls is None:
            raise ConfigurationError(
                f"handler class {name} is missing: --handlers asks for it, but no template names it and no"
                " --import declares it"
            )
        registry._add_class(name, cls)
    if not registry.handler_classes:
        raise ConfigurationError(_nothing_resolves(registry.elsewhere))
    return registry


def _nothing_resolves(elsewhere: Sequence[MissingHandler]) -> str:
    if not elsewhere:
        return "there is no handler to serve: the templates directory holds no template (option --templates)"
    first = elsewhere[0]
    return (
        f"none of the {len(elsewhere)} handler classes of the templates is declared here, for example"
        f" {first.handler_class} (step {first.step} of {first.source}): import their file with --import"
    )
