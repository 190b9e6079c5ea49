"""Running a handler, and what its return value or exception means on the wire.

The one table of errors (errors.py) is applied here; nothing a handler does escapes as an exception.
"""

import json
import time
import traceback
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Dict, List, Mapping, Optional

from .errors import StepError
from .model import CancelFlag, sequence_of, step_of, task_of
from .registry import HandlerEntry
from .wire import jsontext
from .wire.codec import DEPTH_MAX, RESULT_BYTES_MAX
from .wire.orchestrator_messages import StepRequest

BACKTRACE_LINES_MAX = 20
BACKTRACE_LINE_CHARACTERS_MAX = 500
TEXT_CHARACTERS_MAX = 4096

# The same code on the same data fails the same way again. ValueError is here as the counterpart of an
# invalid argument; its children that speak about received bytes are not (see is_programming_error).
PROGRAMMING_ERRORS = (
    TypeError,
    AttributeError,
    NameError,
    ValueError,
    NotImplementedError,
    ImportError,
    SyntaxError,
)
_DATA_ERRORS = (json.JSONDecodeError, UnicodeError)


@dataclass
class ResultLimits:
    """What a result may weigh; the orchestrator's `welcome` sets it."""

    result_bytes: int = RESULT_BYTES_MAX
    # One level belongs to the message around the output.
    output_depth: int = DEPTH_MAX - 1


@dataclass(slots=True)
class Outcome:
    """How an attempt ended: wire status, and either the output as JSON text or the error object."""

    status: str
    output_json: Optional[str]
    error: Optional[Dict[str, Any]]
    seconds: float
    #: seconds of delay the error asks for, for people who read the log
    retry_after: Optional[float] = field(default=None)


class OutputRefused(Exception):
    """An output that may not go out, with its error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _default(value: Any) -> Any:
    if isinstance(value, (MappingProxyType, Mapping)):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_encode = jsontext.encoder(_default)


def encode_output(value: Any, limits: ResultLimits) -> str:
    """The output as JSON text; OutputRefused when it is no JSON, too large or too deep."""
    try:
        text = _encode(value)
        # A character is at most four bytes, so short texts need no second look at their size.
        size = len(text) * 4
        if size > limits.result_bytes or not text.isascii():
            size = len(text.encode("utf-8"))
    except RecursionError:
        raise OutputRefused("output_too_deep", "the output is nested too deep, or holds itself") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise OutputRefused("unserialisable_output", f"the output is not JSON: {error}") from None
    if size > limits.result_bytes:
        raise OutputRefused(
            "output_too_large", f"the output is {size} bytes; the limit is {limits.result_bytes}"
        )
    # Fewer brackets than the limit cannot be too deep; that is the usual case.
    if text.count("{") + text.count("[") > limits.output_depth:
        if not jsontext.depth_within(text.encode("utf-8"), limits.output_depth):
            raise OutputRefused(
                "output_too_deep", f"the output is nested deeper than {limits.output_depth} levels"
            )
    return text


def run_handler(entry: HandlerEntry, request: StepRequest, flag: CancelFlag, limits: ResultLimits) -> Outcome:
    """Runs one attempt in the calling thread and says how it ended. Raises nothing."""
    started = time.monotonic()
    try:
        step = step_of(request, flag)
        output = entry.process(task_of(request), sequence_of(request), step)
        if entry.process_results is not None:
            output = entry.process_results(step, output, None)
        text = encode_output(output, limits)
        return Outcome("completed", None if text == "null" else text, None, time.monotonic() - started)
    except OutputRefused as refused:
        error = {
            "message": str(refused),
            "error_type": "OutputError",
            "error_code": refused.code,
            "retryable": False,
        }
        return Outcome("error", None, error, time.monotonic() - started)
    # SystemExit and its like too: a handler may not end the worker's thread.
    except BaseException as raised:
        return _failure(raised, time.monotonic() - started)


def is_programming_error(raised: BaseException) -> bool:
    return isinstance(raised, PROGRAMMING_ERRORS) and not isinstance(raised, _DATA_ERRORS)


def _failure(raised: BaseException, seconds: float) -> Outcome:
    code: Optional[str] = None
    retry_after: Optional[float] = None
    context: Dict[str, Any] = {}
    if isinstance(raised, StepError):
        retryable, code, retry_after = raised.retryable, raised.error_code, raised.retry_after
        context = raised.context
    else:
        retryable = not is_programming_error(raised)
    error: Dict[str, Any] = {
        "message": _message_of(raised),
        "error_type": type(raised).__name__,
        "retryable": retryable,
    }
    if code is not None:
        error["error_code"] = clean_text(code)
    if retry_after is not None:
        error["retry_after_seconds"] = retry_after
    if context:
        error["context"] = _clean_context(context)
    error["backtrace"] = _backtrace_of(raised)
    return Outcome("failed" if retryable else "error", None, error, seconds, retry_after)


def clean_text(text: str) -> str:
    """Text that any receiver can store: no NUL, no half surrogates, of bounded length."""
    cleaned = text[:TEXT_CHARACTERS_MAX].replace("\x00", "\ufffd")
    return cleaned.encode("utf-8", "replace").decode("utf-8")


def _message_of(raised: BaseException) -> str:
    try:
        text = str(raised)
    except Exception as second:
        text = f"(its message cannot be read: {type(second).__name__})"
    return clean_text(text) or type(raised).__name__


def _clean_context(context: Dict[str, Any]) -> Any:
    try:
        text = encode_output(context, ResultLimits(result_bytes=64 * 1024, output_depth=16))
    except OutputRefused as refused:
        return {"dropped": str(refused)}
    return {"dropped": "it holds a NUL character"} if "\\u0000" in text else json.loads(text)


def _backtrace_of(raised: BaseException) -> List[str]:
    """The innermost frames, innermost first, without those of this file."""
    frames = [frame for frame in traceback.extract_tb(raised.__traceback__) if frame.filename != __file__]
    lines = [f"{frame.filename}:{frame.lineno}:in {frame.name}" for frame in reversed(frames)]
    return [clean_text(line[-BACKTRACE_LINE_CHARACTERS_MAX:]) for line in lines[:BACKTRACE_LINES_MAX]]
