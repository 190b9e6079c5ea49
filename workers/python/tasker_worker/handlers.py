"""Declaring handlers, finding the class that a step names, and whether it can be a handler.

    @handler("OrderFulfillment::StepHandlers::ShipOrderHandler")
    class ShipOrder(StepHandler):
        def process(self, task, sequence, step):
            return {"tracking_number": ...}

A template may also name a Python class by its dotted path (`shop.steps.ShipOrder`); that needs no decorator.
"""

import difflib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from types import ModuleType
from typing import Any, Callable, Collection, Dict, Iterator, Mapping, Optional, Type, TypeVar, Union

from . import verdict
from .errors import ConfigurationError
from .values import Sequence, Step, Task

C = TypeVar("C", bound=type)

_registered: Dict[str, type] = {}
# What was loaded, by the name it was asked for.
_loaded: Dict[str, ModuleType] = {}
# As templates have it.
_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,255}\Z", re.ASCII)


class StepHandler:
    """A convenient base; any class with `__init__(self, config)` and `process` will do.

    One instance for each `handler_config`, built by the first step that has it and used by several threads at
    once: keep what belongs to one run in local variables. `process` may be a coroutine (`async def`).
    """

    #: exception classes, or their names, that are tried again or not, whatever the table says (verdict.py)
    retry_on: Collection[Union[str, Type[BaseException]]] = ()
    fail_on: Collection[Union[str, Type[BaseException]]] = ()

    def __init__(self, config: Optional[Mapping[str, Any]] = None) -> None:
        self.config: Mapping[str, Any] = config or {}

    def process(self, task: Task, sequence: Sequence, step: Step) -> Any:
        """Does the work and returns its output, anything json.dumps takes."""
        raise NotImplementedError(f"{type(self).__name__} must define process(self, task, sequence, step)")


def handler(name: str) -> Callable[[C], C]:
    """Class decorator: serves the handler class `name` of the templates."""

    if not isinstance(name, str) or not _NAME.match(name):
        raise ConfigurationError(
            f"{name!r:.80} is no handler class: allowed are 1 to 255 letters, digits and _ . : / -, for"
            ' example @handler("Orders::ShipHandler")'
        )

    def register(cls: C) -> C:
        known = _registered.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ConfigurationError(
                f"handler {name} is declared twice: by {known.__module__}.{known.__qualname__}"
                f" and by {cls.__module__}.{cls.__qualname__}"
            )
        _registered[name] = cls
        return cls

    return register


def declared() -> Dict[str, type]:
    """Every class that was declared with the decorator, by its name."""
    return dict(_registered)


def check(name: str, cls: type) -> None:
    """Whether the class can be a handler, without making an instance; ConfigurationError names what is wrong.

    It needs a `process` that takes (task, sequence, step) and returns, and a constructor that takes `config`.
    """
    where = f"handler {name}: {cls.__qualname__}"
    process = inspect.getattr_static(cls, "process", None)
    if process is None or process is StepHandler.__dict__["process"]:
        own = [key for key in dir(cls) if not hasattr(StepHandler, key) and callable(getattr(cls, key))]
        close = difflib.get_close_matches("process", own, 1, 0.6)
        hint = f"; did you mean process instead of {close[0]}?" if close else ""
        raise ConfigurationError(f"{where} has no method process(self, task, sequence, step){hint}")
    _check_parameters(where, process, "process", ("task", "sequence", "step"))
    for attribute in ("retry_on", "fail_on"):
        _check_list(where, cls, attribute)
    results = inspect.getattr_static(cls, "process_results", None)
    if results is not None:
        _check_parameters(where, results, "process_results", ("step", "output", "initial_results"))
    try:
        inspect.signature(cls).bind(config={})
    except TypeError as error:
        raise ConfigurationError(
            f"{where} cannot be built with config=...: {error}; write __init__(self, config), or derive it"
            " from StepHandler"
        ) from None
    except ValueError:
        pass  # a class that does not show its signature


def _check_list(where: str, cls: type, attribute: str) -> None:
    try:
        verdict.names_of(cls, attribute)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}.{error}") from None


def _check_parameters(where: str, method: Any, name: str, wanted: "tuple[str, ...]") -> None:
    function: Any = method
    own: "tuple[str, ...]" = ("self",)
    if isinstance(method, (staticmethod, classmethod)):
        function = method.__func__
        own = () if isinstance(method, staticmethod) else ("cls",)
    if not inspect.isfunction(function):
        return  # a descriptor of its own kind: only a call can tell
    shown = f"{name}({', '.join((*own, *wanted))})"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{where}.{name} yields; {shown} must return its output")
    try:
        inspect.signature(function).bind(*own, *wanted)
    except TypeError as error:
        raise ConfigurationError(
            f"{where}.{name}{inspect.signature(function)} is called with {len(wanted)} arguments: {error};"
            f" write {shown}"
        ) from None


def resolve(name: str) -> Optional[type]:
    """The class for a template's handler_class, or None when this process has none.

    Raises ConfigurationError when a dotted path leads to a module that fails to import.
    """
    known = _registered.get(name)
    if known is not None or "::" in name or "." not in name:
        return known
    module_name, _, class_name = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Only "this module does not exist" means "served elsewhere"; a missing import inside it is a fault.
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            return None
        raise ConfigurationError(f"handler {name}: {module_name} does not import: {error}") from error
    except Exception as error:
        raise ConfigurationError(f"handler {name}: {module_name} does not import: {error}") from error
    cls = getattr(module, class_name, None)
    return cls if isinstance(cls, type) else None


def load(target: str) -> None:
    """Imports a module by name, or a file by path, so that its handlers register.

    Raises ConfigurationError naming the target and the cause, with its place in the user's code.
    """
    try:
        if target.endswith(".py") or os.sep in target or os.path.isfile(target):
            _loaded[target] = _load_file(target)
        else:
            _loaded[target] = importlib.import_module(target)
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:
        file = target.replace(".", os.sep) + ".py"
        missing = isinstance(error, ModuleNotFoundError) and error.name == target and os.path.isfile(file)
        hint = f"; did you mean --import {file}?" if missing else ""
        raise ConfigurationError(f"--import {target}: {_what_and_where(error)}{hint}") from error


def _what_and_where(error: BaseException) -> str:
    """The error in one line, with the innermost place that is not the import machinery's."""
    kind = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{kind}: {error.msg} ({os.path.basename(error.filename)}:{error.lineno})"
    own = (__file__, importlib.__file__)
    for place in reversed(traceback.extract_tb(error.__traceback__)):
        if place.filename not in own and not place.filename.startswith("<frozen "):
            return f"{kind}: {error} ({os.path.basename(place.filename)}:{place.lineno})"
    return f"{kind}: {error}"


def _load_file(path: str) -> ModuleType:
    absolute = os.path.realpath(path)
    if os.path.isdir(absolute):
        raise ConfigurationError(f"--import {path}: it is a folder; name a Python file or a module")
    if not os.path.isfile(absolute):
        raise ConfigurationError(f"--import {path}: there is no such file")
    stem = os.path.splitext(os.path.basename(absolute))[0]
    folder = os.path.dirname(absolute)
    # The folder of the file is searched like that of a script, so handlers may be split over files.
    if folder not in sys.path:
        sys.path.append(folder)
    for loaded in list(sys.modules.values()):
        if getattr(loaded, "__file__", None) and os.path.realpath(str(loaded.__file__)) == absolute:
            return loaded
    name = stem if stem not in sys.modules else f"{stem}_{abs(hash(absolute)):x}"
    spec = importlib.util.spec_from_file_location(name, absolute)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"--import {path}: it is no Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def undeclared() -> str:
    """What to write so that classes in loaded files that look like handlers are served; empty without any.

    Such a class has a method `process` or derives from StepHandler, and lacks the decorator.
    """
    hints = [hint for module in _loaded.values() for hint in _hints(module)]
    more = f", and so for {len(hints) - 3} more" if len(hints) > 3 else ""
    return "; ".join(hints[:3]) + more


def loaded_names() -> str:
    """What was loaded, for messages; empty when nothing was."""
    return ", ".join(_loaded)


def _hints(module: ModuleType) -> Iterator[str]:
    served = set(_registered.values())
    file = os.path.basename(module.__file__ or module.__name__)
    group = "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", file.split(".")[0]))
    for cls in vars(module).values():
        if not isinstance(cls, type) or cls.__module__ != module.__name__ or cls in served:
            continue
        if issubclass(cls, StepHandler) or callable(getattr(cls, "process", None)):
            name = f"{group}::{cls.__name__}".encode("ascii", "replace").decode().replace("?", "_")
            yield (
                f'write @handler("{name}"), with the handler_class of your template, above'
                f" class {cls.__name__} ({file}:{_line_of(cls)})"
            )


def _line_of(cls: type) -> Union[int, str]:
    try:
        return inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):
        return "?"
