"""The handlers of this process: which classes are served, and their instances.

A step brings its own configuration (`handler_config`). For each pair of a class and a configuration one
instance is built, by the first step that needs it, and kept: the INSTANCES_MAX used last. Templates are only
compared with (`--templates`); nothing that a handler gets comes from them.
"""

import difflib
import marshal
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Dict, List, Optional, Sequence, Tuple

from . import handlers, verdict
from .errors import ConfigurationError, StepError
from .secrets import Secrets, name_of, references, shared
from .templates import Template
from .wire.orchestrator_messages import StepRequest

INSTANCES_MAX = 1000
#: no step has run yet; counts as long
UNKNOWN_SECONDS = math.inf
# So many letters of a handler's name say which one is meant.
BEGINNING_MIN = 4
# A longer text of a configuration is known by its digest.
_KEY_BYTES_MAX = 64


class HandlerEntry:
    """One handler instance with what the pool needs to know about it.

    `process` is None until `build` has made the instance, in a handler thread: a constructor may take its
    time, and may fail. `typical_seconds` follows the median run time of its steps; the pool decides by it how
    many threads to wake for a batch. Handler threads write it without a lock: a lost update only delays the
    estimate.
    """

    __slots__ = (
        "handler_class",
        "handler",
        "process",
        "process_results",
        "typical_seconds",
        "_make",
        "_lock",
        "_secrets",
    )

    def __init__(
        self,
        handler_class: str,
        process: Any = None,
        process_results: Any = None,
        make: Optional[Tuple[type, bytes]] = None,
        secrets: Secrets = shared,
    ) -> None:
        self.handler_class = handler_class
        #: the class until the instance is built; None where a function stands for a handler
        self.handler: Any = make[0] if make else None
        self.process = process
        self.process_results = process_results
        self.typical_seconds = UNKNOWN_SECONDS
        #: the class and its configuration, until the instance is built
        self._make = make
        self._lock = threading.Lock()
        self._secrets = secrets

    def build(self) -> Any:
        """`process` of the instance, which is made unless it is there; raises what its constructor raises,
        and then may be tried again."""
        with self._lock:
            if self._make is None:
                return self.process
            cls, config = self._make
            # A copy of its own: what a step does to its configuration reaches no other step.
            instance = cls(config=self._secrets.resolved(marshal.loads(config)) if config else {})
            for attribute in ("retry_on", "fail_on"):
                verdict.names_of(instance, attribute)
            results = getattr(instance, "process_results", None)
            self.process_results = results if callable(results) else None
            self.handler = instance
            self.process = instance.process
            self._make = None
            return self.process


@dataclass(frozen=True)
class Unmatched:
    """A handler class without counterpart, and the name that may have been meant."""

    handler_class: str
    did_you_mean: Optional[str]


@dataclass
class Comparison:
    """Handler classes against templates: `unasked` are served here and stand in no template, `elsewhere`
    stand in one and are not served here."""

    unasked: List[Unmatched] = field(default_factory=list)
    elsewhere: List[Unmatched] = field(default_factory=list)


class Registry:
    """The classes that are served, and the instances in use. Only the socket thread looks here."""

    def __init__(self, classes: Dict[str, type], instances_max: int = INSTANCES_MAX) -> None:
        self._classes = classes
        self._entries: "OrderedDict[Tuple[str, bytes], HandlerEntry]" = OrderedDict()
        self._instances_max = instances_max

    @property
    def handler_classes(self) -> List[str]:
        return sorted(self._classes)

    def find_for(self, step: StepRequest) -> Optional[HandlerEntry]:
        """The entry that runs this step, or None when its handler class is not served here."""
        name = step.handler_class
        cls = self._classes.get(name)
        if cls is None:
            return None
        # Exact to the type, which a comparison of dicts is not (1 == True), and faster than JSON. Version 2
        # writes equal values equally.
        config = marshal.dumps(step.handler_config, 2) if step.handler_config else b""
        key = (name, config if len(config) <= _KEY_BYTES_MAX else blake2b(config, digest_size=32).digest())
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
            return entry
        entry = self._entries[key] = HandlerEntry(name, make=(cls, config))
        if len(self._entries) > self._instances_max:
            self._entries.popitem(last=False)
        return entry

    def check_secrets(self, templates: Sequence[Template]) -> None:
        """ConfigurationError when a step that is served here names a secret that is not known here."""
        for template in templates:
            for step in template.steps:
                if step.handler_class not in self._classes:
                    continue
                for reference in references(step.handler_config):
                    try:
                        shared.value(name_of(reference))
                    except StepError as error:
                        raise ConfigurationError(
                            f"template {template.source}: step {step.name}: handler_config: {error}"
                        ) from None

    def compare(self, templates: Sequence[Template]) -> Comparison:
        """What is declared on one side only."""
        asked = {step.handler_class for template in templates for step in template.steps}
        served = set(self._classes)
        result = Comparison()
        for name in sorted(served - asked):
            result.unasked.append(Unmatched(name, suggestion(name, sorted(asked - served) or sorted(asked))))
        for name in sorted(asked - served):
            result.elsewhere.append(Unmatched(name, suggestion(name, sorted(served - asked))))
        return result


def suggestion(name: str, among: Sequence[str]) -> Optional[str]:
    """The name that may have been meant: nearly the same as a whole or in its last part, or its beginning."""
    close = difflib.get_close_matches(name, among, 1, 0.8)
    if close:
        return close[0]
    ends = {known.replace(".", "::").rpartition("::")[2]: known for known in among}
    end = name.replace(".", "::").rpartition("::")[2]
    found = difflib.get_close_matches(end, list(ends), 1, 0.8)
    if not found and len(end) >= BEGINNING_MIN:
        found = [known for known in ends if known.startswith(end) or end.startswith(known)]
    return ends[found[0]] if found else None


def did_you_mean(name: str, among: Sequence[str]) -> str:
    """The same as the end of a sentence, or nothing."""
    found = suggestion(name, among)
    return f"; did you mean {found}?" if found else ""


def entry_of(name: str, cls: type, config: Any, secrets: Secrets = shared) -> HandlerEntry:
    """An entry beside the registry, for tests; ConfigurationError when the class cannot be a handler."""
    handlers.check(name, cls)
    return HandlerEntry(name, make=(cls, marshal.dumps(config, 2) if config else b""), secrets=secrets)


def build(only: Optional[Sequence[str]] = None, templates: Sequence[Template] = ()) -> Registry:
    """The registry of this process: the classes of `only`, or else all that are declared.

    Templates add the classes that they name by a dotted path. ConfigurationError when a class of `only` is
    missing, when a class cannot be a handler, and when there is none at all.
    """
    if only is not None:
        classes = {name: _resolved(name) for name in only}
    else:
        classes = handlers.declared()
        for name in {step.handler_class for template in templates for step in template.steps}:
            cls = handlers.resolve(name)
            if cls is not None:
                classes[name] = cls
    if not classes:
        raise ConfigurationError(f"there is no handler to serve: {_why_none()}")
    for name, cls in classes.items():
        handlers.check(name, cls)
    return Registry(classes)


def _why_none() -> str:
    files = handlers.loaded_names()
    if not files:
        return (
            "name the file of your handlers with --import, and declare each class with"
            ' @handler("Its::Name")'
        )
    hints = handlers.undeclared()
    if hints:
        return f"{files} declares none; {hints}"
    return (
        f"{files} has no class with a method process(self, task, sequence, step); declare one with"
        ' @handler("Its::Name")'
    )


def _resolved(name: str) -> type:
    cls = handlers.resolve(name)
    if cls is None:
        hint = did_you_mean(name, sorted(handlers.declared()))
        undeclared = handlers.undeclared()
        raise ConfigurationError(
            f"handler class {name} is missing: --handlers asks for it, but no --import declares it"
            + (hint or (undeclared and f"; {undeclared}"))
        )
    return cls
