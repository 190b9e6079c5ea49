"""Errors: what handlers raise to say how an attempt failed, and what stops the start.

    RetryableError, TimeoutError, NetworkError,
    SecretError                                     → report `failed`, may be retried
    PermanentError, ValidationError, NotFoundError  → report `error`, the step ends
    SnoozeError                                     → handed back, delivered again after its seconds

Any other exception is retryable, except programming errors (TypeError, AttributeError, NameError and their
like), which are permanent: the same code would fail the same way again. verdict.py holds that mapping.
"""

import builtins
from typing import Any, Dict, Mapping, Optional

# About 30 000 years: what is longer is no delay, and NaN and infinity are none either.
_DELAY_MAX_S = 1e12


def is_delay(value: Any) -> bool:
    """Whether a value is a number of seconds that a report can carry."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 <= value <= _DELAY_MAX_S


class TaskerError(Exception):
    """Root of every error this library raises or offers to handlers."""


class ConfigurationError(TaskerError):
    """A bad option, configuration file, template or handler class: stops the start with exit code 2."""


class StepError(TaskerError):
    """What a handler raises on purpose. `context` is a JSON-able mapping stored beside the error."""

    retryable = True

    def __init__(self, message: str = "", *, context: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(message)
        self.context: Dict[str, Any] = dict(context or {})
        self.error_code: Optional[str] = None
        self.retry_after: Optional[float] = None


class SnoozeError(TaskerError):
    """Not now: the step is delivered again after `seconds` (fractions allowed), and no attempt is used up.

    It is no failure, so the step's history shows a wait. The template's `max_snoozes` bounds how often; the
    next one ends the step in error. `message` is for people who ask why the step waits.
    """

    def __init__(self, seconds: float, message: str = "") -> None:
        super().__init__(message)
        if not is_delay(seconds):
            raise ValueError(f"seconds must be a number >= 0, not {seconds!r}")
        self.seconds = seconds


class RetryableError(StepError):
    """Trying again may help. `retry_after` (seconds, fractions allowed) asks for that delay instead of
    the template's backoff."""

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: Optional[float] = None,
        context: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(message, context=context)
        if retry_after is not None and not is_delay(retry_after):
            raise ValueError(f"retry_after must be a number of seconds >= 0, not {retry_after!r}")
        self.retry_after = retry_after


class SecretError(RetryableError):
    """A secret that the step's handler_config names is not known to this worker (code `unknown_secret`).

    Another worker may know it, and an operator can add it, so the step is tried again.
    """

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: Optional[float] = None,
        context: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after, context=context)
        self.error_code = "unknown_secret"


class TimeoutError(
    RetryableError, builtins.TimeoutError
):  # noqa: A001 - the name is the SDK's in every language
    """The work took too long: raised by a handler, or reported by the worker when timeout_ms is over."""

    def __init__(
        self,
        message: str = "",
        *,
        timeout_duration: Optional[float] = None,
        retry_after: Optional[float] = None,
        context: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after, context=context)
        self.timeout_duration = timeout_duration


class NetworkError(RetryableError):
    """A remote service could not be reached, or answered `status_code`."""

    def __init__(
        self,
        message: str = "",
        *,
        status_code: Optional[int] = None,
        retry_after: Optional[float] = None,
        context: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after, context=context)
        self.status_code = status_code
        if status_code is not None:
            self.error_code = f"HTTP_{status_code}"


class PermanentError(StepError):
    """Trying again cannot help: the step ends in `error`."""

    retryable = False

    def __init__(
        self,
        message: str = "",
        *,
        error_code: Optional[str] = None,
        context: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(message, context=context)
        self.error_code = None if error_code is None else str(error_code)


class ValidationError(PermanentError):
    """The task's data is wrong; `field` names where."""

    def __init__(
        self,
        message: str = "",
        *,
        field: Optional[str] = None,
        error_code: str = "validation_error",
        context: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(message, error_code=error_code, context=context)
        self.field = field
        if field is not None:
            self.context.setdefault("field", field)


class NotFoundError(PermanentError):
    """Something the step needs does not exist; `resource_type` says what kind of thing."""

    def __init__(
        self,
        message: str = "",
        *,
        resource_type: Optional[str] = None,
        error_code: str = "not_found",
        context: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(message, error_code=error_code, context=context)
        self.resource_type = resource_type
        if resource_type is not None:
            self.context.setdefault("resource_type", resource_type)
