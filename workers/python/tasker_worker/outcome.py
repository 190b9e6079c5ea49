"""Running a handler, and what its return value or exception means on the wire.

What a handler raises is judged by verdict.py; nothing a handler does escapes as an exception.
"""

import json
import os
import re
import sys
import sysconfig
import time
import traceback
from asyncio import CancelledError
from dataclasses import dataclass, field
from types import CoroutineType, MappingProxyType
from typing import Any, Dict, List, Mapping, NoReturn, Optional, Tuple

from . import event_loop, verdict
from .errors import RetryableError, SnoozeError, StepError, is_delay
from .values import CancelFlag, sequence_of, step_of, task_of
from .registry import HandlerEntry
from .secrets import shared as secrets
from .wire import jsontext
from .wire.codec import DEPTH_MAX, RESULT_BYTES_MAX
from .wire.orchestrator_messages import StepRequest

BACKTRACE_LINES_MAX = 20
BACKTRACE_LINE_CHARACTERS_MAX = 500
CAUSES_MAX = 4
CAUSE_LINES_MAX = 10
TEXT_CHARACTERS_MAX = 4096
SNOOZE_CHARACTERS_MAX = 1000
# Of an error's type and code.
NAME_CHARACTERS_MAX = 256
CONTEXT_BYTES_MAX = 16 * 1024
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# A place in these says little: this library, the standard library, installed packages.
_FOREIGN_CODE = tuple(
    {os.path.dirname(__file__) + os.sep, "<frozen "}
    | {sysconfig.get_paths()[name] + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {path + os.sep for path in sys.path if path.endswith(("dist-packages", "site-packages"))}
)

# Of an outcome, beside the statuses of reports: the handler asked to be called again later.
SNOOZED = "snoozed"

# Message, steps, step, previous_results.
LEVELS_AROUND_OUTPUT = 4


@dataclass
class Limits:
    """What a result may weigh; the orchestrator's `welcome` sets it."""

    result_bytes: int = RESULT_BYTES_MAX
    # An output goes into the requests of later steps, four levels deep.
    output_depth: int = DEPTH_MAX - LEVELS_AROUND_OUTPUT

    def announce(self, result_bytes: int, depth: int) -> None:
        """Takes over the limits of a `welcome`; `depth` is that of a whole message."""
        self.result_bytes = result_bytes
        self.output_depth = max(1, depth - LEVELS_AROUND_OUTPUT)


@dataclass(slots=True)
class Outcome:
    """How an attempt ended: wire status, and either the output as JSON text or the error object.

    An attempt that is SNOOZED has neither: it waits `retry_after` seconds, for the reason in `message`.
    """

    status: str
    output_json: Optional[str]
    error: Optional[Dict[str, Any]]
    seconds: float
    #: seconds of delay the error asks for, for people who read the log
    retry_after: Optional[float] = field(default=None)
    #: the words of a snooze
    message: str = ""


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


def encode_output(value: Any, limits: Limits) -> str:
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


class _Fork:
    """Whether this process is a child that a handler made, and not one that runs a worker of its own."""

    in_child = False


def _after_fork() -> None:
    # Asked only here, of the stack, so that it costs nothing for each step.
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code in (run_handler.__code__, _run.__code__):
            _Fork.in_child = True
            return
        frame = frame.f_back  # type: ignore[assignment]


os.register_at_fork(after_in_child=_after_fork)


def _end_child(raised: Optional[BaseException]) -> NoReturn:
    """Ends a child that came back out of its handler: here it would go on as a second, unknown worker."""
    code = 0 if raised is None else 1
    if isinstance(raised, SystemExit):
        code = raised.code if isinstance(raised.code, int) else int(raised.code is not None)
    elif raised is not None:
        traceback.print_exception(raised)
        sys.stderr.flush()
    os._exit(code & 0xFF)


def run_handler(entry: HandlerEntry, request: StepRequest, flag: CancelFlag, limits: Limits) -> Outcome:
    """Runs one attempt in the calling thread and says how it ended. Raises nothing."""
    started = time.monotonic()
    try:
        process = entry.process or entry.build()
        step = step_of(request, flag)
        output = process(task_of(request), sequence_of(request), step)
        if type(output) is CoroutineType:
            output = _awaited(output, flag)
        if _Fork.in_child:
            _end_child(None)
        if entry.process_results is not None:
            output = entry.process_results(step, output, None)
            if type(output) is CoroutineType:
                output = _awaited(output, flag)
        text = encode_output(output, limits)
        return Outcome("completed", None if text == "null" else text, None, time.monotonic() - started)
    except OutputRefused as refused:
        if _Fork.in_child:
            _end_child(refused)
        error = {
            "message": clean_text(refused),
            "error_type": "OutputError",
            "error_code": refused.code,
            "retryable": False,
        }
        return Outcome("error", None, error, time.monotonic() - started)
    # SystemExit and its like too: a handler may not end the worker's thread.
    except BaseException as raised:
        if _Fork.in_child:
            _end_child(raised)
        return failure(raised, time.monotonic() - started, entry.handler)


def _awaited(coroutine: Any, flag: CancelFlag) -> Any:
    """The end of an `async def process`, which is cancelled with its step."""
    try:
        return event_loop.finish(_run(coroutine), flag)
    except CancelledError as cancelled:
        raise RetryableError(f"stopped: {flag.reason or 'cancelled by itself'}") from cancelled
    finally:
        coroutine.close()  # one that was cancelled before its begin


async def _run(coroutine: Any) -> Any:
    try:
        result = await coroutine
    except BaseException as raised:
        if _Fork.in_child:
            _end_child(raised)
        raise
    if _Fork.in_child:
        _end_child(None)
    return result


def failure(raised: BaseException, seconds: float, handler: Any = None) -> Outcome:
    """The outcome of an attempt that ended with an exception, by the lists of its handler. Raises nothing."""
    if isinstance(raised, SnoozeError):
        return _snooze(raised, seconds)
    try:
        error, retryable = _error_of(raised, handler)
    except Exception as second:  # an exception that overrides what is read of it, and raises there
        kind = clean_text(type(raised).__name__, NAME_CHARACTERS_MAX)
        message = f"{kind} could not be described: {type(second).__name__}"
        error, retryable = {"message": message, "error_type": kind, "retryable": True}, True
    return Outcome("failed" if retryable else "error", None, error, seconds, error.get("retry_after_seconds"))


def _snooze(raised: SnoozeError, seconds: float) -> Outcome:
    # A class of its own may have left them out.
    wait = getattr(raised, "seconds", 0)
    try:
        message = clean_text(raised, SNOOZE_CHARACTERS_MAX)
    except Exception:  # an exception that overrides its text, and raises there
        message = ""
    return Outcome(SNOOZED, None, None, seconds, wait if is_delay(wait) else 0, message)


def thread_ended(raised: BaseException, seconds: float) -> Outcome:
    """The outcome of an attempt whose thread was ended from outside; it may be tried again."""
    error = {
        "message": clean_text(f"the handler's thread was ended: {type(raised).__name__}"),
        "error_type": "ThreadEnded",
        "error_code": "thread_ended",
        "retryable": True,
    }
    return Outcome("failed", None, error, seconds)


def _error_of(raised: BaseException, handler: Any) -> Tuple[Dict[str, Any], bool]:
    """(the error object of a report, whether the attempt may be tried again)."""
    retryable, code = verdict.of(raised, handler)
    retry_after: Optional[float] = None
    context: Dict[str, Any] = {}
    if isinstance(raised, StepError):
        context = raised.context
        retry_after = raised.retry_after if is_delay(raised.retry_after) else None
    error: Dict[str, Any] = {
        "message": _message_of(raised),
        "error_type": _type_of(raised),
        "retryable": retryable,
    }
    if code is not None:
        error["error_code"] = clean_text(code, NAME_CHARACTERS_MAX)
    if retry_after is not None:
        error["retry_after_seconds"] = retry_after
    if context:
        error["context"] = _clean_context(context)
    error["backtrace"] = _backtrace_of(raised)
    return error, retryable


# ------------------------------------------------------------------ texts, by the rule of all SDKs


def _storable(text: str) -> str:
    """U+FFFD stands for U+0000 and for each half of a surrogate pair: no receiver can store those."""
    return _UNSTORABLE.sub("\ufffd", text)


def clean_text(value: Any, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
    """Text that any receiver can store; what is longer than `characters_max` ends with an ellipsis."""
    text = secrets.mask(str(value))
    cleaned = _storable(text[: characters_max + 1])
    return cleaned if len(cleaned) <= characters_max else cleaned[: characters_max - 1] + "…"


def clean_frame(text: str) -> str:
    """The same for a line of a backtrace, whose end says more."""
    text = secrets.mask(text)
    cut = text[-BACKTRACE_LINE_CHARACTERS_MAX:]
    return _storable(cut if cut == text else "…" + cut[1:])


def _type_of(raised: BaseException) -> str:
    return clean_text(type(raised).__name__, NAME_CHARACTERS_MAX)


def _message_of(raised: BaseException, as_cause: bool = False) -> str:
    """What a handler raised on purpose stands as it is. Any other error, and each cause, also has its type
    and place, since a bare 'nope' names no fault."""
    try:
        text = str(raised)
    except Exception as second:
        text = f"(its message cannot be read: {type(second).__name__})"
    kind = _type_of(raised)
    if isinstance(raised, StepError) and not as_cause:
        return clean_text(text) or kind
    place = _place_of(raised)
    return clean_text(f"{kind}: {text}" if text else kind, TEXT_CHARACTERS_MAX - len(place)) + place


def _place_of(raised: BaseException) -> str:
    """The end of a message, ` (file.py:29)`: where in the handler's code it was raised, else where at all."""
    frames = _frames_of(raised)
    own = [frame for frame in frames if not frame.filename.startswith(_FOREIGN_CODE)]
    for frame in (own or frames)[-1:]:
        name = os.path.basename(frame.filename)
        return f" ({clean_text(f'{name}:{frame.lineno}', NAME_CHARACTERS_MAX)})"
    return ""


def _frames_of(raised: BaseException) -> List[traceback.FrameSummary]:
    """Outermost first, without those of this file."""
    frames = traceback.extract_tb(raised.__traceback__)
    return [frame for frame in frames if frame.filename != __file__]


def _backtrace_of(raised: BaseException) -> List[str]:
    """The innermost frames, innermost first; then those of its causes, each behind its message."""
    lines = _lines_of(raised, BACKTRACE_LINES_MAX)
    seen = [raised]
    waiting = _causes_of(raised)
    while waiting and len(seen) <= CAUSES_MAX:
        cause = waiting.pop(0)
        if not any(cause is one for one in seen):
            seen.append(cause)
            message = f"caused by {_message_of(cause, as_cause=True)}"
            lines.append(clean_text(message, BACKTRACE_LINE_CHARACTERS_MAX))
            lines.extend(_lines_of(cause, CAUSE_LINES_MAX))
            waiting.extend(_causes_of(cause))
    return lines


def _lines_of(raised: BaseException, limit: int) -> List[str]:
    frames = _frames_of(raised)[-limit:]
    return [clean_frame(f"{frame.filename}:{frame.lineno}:in {frame.name}") for frame in reversed(frames)]


def _causes_of(raised: BaseException) -> List[BaseException]:
    """`raise … from cause`, or the exception that was being handled; of a group, its members."""
    cause = raised.__cause__
    if cause is None and not raised.__suppress_context__:
        cause = raised.__context__
    members = list(raised.exceptions) if isinstance(raised, BaseExceptionGroup) else []
    return ([] if cause is None else [cause]) + members


def _clean_context(context: Dict[str, Any]) -> Any:
    try:
        text = encode_output(context, Limits(result_bytes=CONTEXT_BYTES_MAX, output_depth=16))
    except Exception as refused:  # a mapping of the handler's own may raise anything
        return {"dropped": clean_text(refused, BACKTRACE_LINE_CHARACTERS_MAX)}
    found = json.loads(text)
    return {"dropped": "it holds U+0000"} if _holds_nul(found) else secrets.masked(found)


def _holds_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any("\x00" in key or _holds_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(_holds_nul(item) for item in value)
    return isinstance(value, str) and "\x00" in value
