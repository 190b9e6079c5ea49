"""Whether an attempt that raised may be tried again. One table, the same in every SDK (workers/README.md).

An error of this library says so itself. For every other exception the handler's own lists come first, then
TABLE, and in both the class that stands nearest in the exception's ancestry. All others are tried again.
"""

import json
from typing import Any, Dict, Optional, Tuple

from .errors import (
    ConfigurationError,
    NetworkError,
    NotFoundError,
    PermanentError,
    RetryableError,
    StepError,
    TimeoutError,
    ValidationError,
)

FAILED = "failed"
ERROR = "error"

# `error` stands beside what the same code on the same data raises again. A key that is missing in received
# data may be there next time.
TABLE: Dict[type, str] = {
    RetryableError: FAILED,
    TimeoutError: FAILED,
    NetworkError: FAILED,
    PermanentError: ERROR,
    ValidationError: ERROR,
    NotFoundError: ERROR,
    TypeError: ERROR,
    ValueError: ERROR,
    NameError: ERROR,
    AttributeError: ERROR,
    NotImplementedError: ERROR,
    SyntaxError: ERROR,
    ImportError: ERROR,
    KeyError: FAILED,
    IndexError: FAILED,
    json.JSONDecodeError: FAILED,
    UnicodeError: FAILED,
    ZeroDivisionError: FAILED,
    OverflowError: FAILED,
    OSError: FAILED,
    SystemExit: FAILED,
    RecursionError: FAILED,
}


def of(raised: BaseException, handler: Any = None) -> Tuple[bool, Optional[str]]:
    """(whether the attempt may be tried again, the error code of that verdict or None).

    `handler` is the handler's object, or its class while there is none.
    """
    if isinstance(raised, StepError):
        return bool(raised.retryable), raised.error_code
    fail_on, retry_on = names_of(handler, "fail_on"), names_of(handler, "retry_on")
    for cls in type(raised).__mro__:
        if _is_named(cls, fail_on):
            return False, "fail_on"
        if _is_named(cls, retry_on):
            return True, None
    for cls in type(raised).__mro__:
        if cls in TABLE:
            return (True, None) if TABLE[cls] == FAILED else (False, "programming_error")
    return True, None


def names_of(handler: Any, attribute: str) -> Tuple[Any, ...]:
    """`retry_on` or `fail_on` of a handler; ConfigurationError when it is no list of names and classes."""
    found = getattr(handler, attribute, None)
    if found is None or isinstance(found, property):  # of a class; only its object knows
        return ()
    entries = tuple(found) if isinstance(found, (list, tuple, set, frozenset)) else (None,)
    if not all(isinstance(entry, str) or _is_exception(entry) for entry in entries):
        raise ConfigurationError(f"{attribute} must be a list of exception classes or their names")
    return entries


def _is_exception(entry: Any) -> bool:
    return isinstance(entry, type) and issubclass(entry, BaseException)


def _is_named(cls: type, entries: Tuple[Any, ...]) -> bool:
    """By the class itself, by its name, or by its name with the module's before it."""
    return bool(entries) and (
        cls in entries or cls.__name__ in entries or f"{cls.__module__}.{cls.__qualname__}" in entries
    )
