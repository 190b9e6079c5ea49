"""Declaring handlers, and finding the class a template names.

    @handler("OrderFulfillment::StepHandlers::ShipOrderHandler")
    class ShipOrder(StepHandler):
        def process(self, task, sequence, step):
            return {"tracking_number": ...}

A template may also name a Python class by its dotted path (`shop.steps.ShipOrder`); that needs no decorator.
"""

import importlib
import importlib.util
import os
import sys
from typing import Any, Callable, Dict, Mapping, Optional, TypeVar

from .errors import ConfigurationError
from .model import Sequence, Step, Task

C = TypeVar("C", bound=type)

_registered: Dict[str, type] = {}


class StepHandler:
    """A convenient base; any class with `__init__(self, config)` and `process` will do.

    One instance per template step, built at start and used by several threads at once: keep what belongs
    to one run in local variables.
    """

    def __init__(self, config: Optional[Mapping[str, Any]] = None) -> None:
        self.config: Mapping[str, Any] = config or {}

    def process(self, task: Task, sequence: Sequence, step: Step) -> Any:
        """Does the work and returns its output, anything json.dumps takes."""
        raise NotImplementedError(f"{type(self).__name__} must define process(self, task, sequence, step)")


def handler(name: str) -> Callable[[C], C]:
    """Class decorator: serves the handler class `name` of the templates."""

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

    Raises ConfigurationError naming the target and the cause.
    """
    try:
        if target.endswith(".py") or os.sep in target:
            _load_file(target)
        else:
            importlib.import_module(target)
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"--import {target}: {type(error).__name__}: {error}") from error


def _load_file(path: str) -> None:
    absolute = os.path.realpath(path)
    if not os.path.isfile(absolute):
        raise ConfigurationError(f"--import {path}: there is no such file")
    stem = os.path.splitext(os.path.basename(absolute))[0]
    folder = os.path.dirname(absolute)
    # The folder of the file is searched like that of a script, so handlers may be split over files.
    if folder not in sys.path:
        sys.path.append(folder)
    for loaded in list(sys.modules.values()):
        if getattr(loaded, "__file__", None) and os.path.realpath(str(loaded.__file__)) == absolute:
            return
    name = stem if stem not in sys.modules else f"{stem}_{abs(hash(absolute)):x}"
    spec = importlib.util.spec_from_file_location(name, absolute)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"--import {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
