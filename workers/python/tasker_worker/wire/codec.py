"""Bytes to messages and back.

Strict about form: the whole text must be valid JSON in UTF-8 and within the limits, also the parts that
are only passed on. Lenient about additions: unknown fields are ignored.
"""

import json
import re
from dataclasses import is_dataclass
from typing import Any, Dict, Tuple

from .errors import DecodeError
from .jsontext import depth_within
from .messages import MESSAGE_TYPES, ORCHESTRATOR_MESSAGES, WORKER_MESSAGES, OrchestratorMessage
from .quick import read_step_batch
from .schema import layout, read_record

BATCH_BYTES_MAX = 16 * 1024 * 1024
RESULT_BYTES_MAX = 1024 * 1024
INVENTORY_BYTES_MAX = 4 * 1024 * 1024
# What a message may add around a result.
ENVELOPE_BYTES_MAX = 256 * 1024
DEPTH_MAX = 64
# What PostgreSQL's numeric holds before the point; no number of a stored document is longer.
DIGITS_MAX = 131_072
# So many digits Python converts under any limit.
_DIGITS_AT_ONCE = 600
_VERSION = re.compile(r"1\.[0-9]+\Z")


def _refuse_constant(name: str) -> Any:
    raise DecodeError("malformed_json", f"{name} is not JSON")


def _integer(literal: str) -> int:
    if literal.startswith("-"):
        return -_digits(literal[1:])
    return _digits(literal)


def _digits(text: str) -> int:
    """By halves: int() refuses long texts, and takes a time that grows with the square of their length."""
    if len(text) > DIGITS_MAX:
        raise DecodeError("out_of_range", f"a number has more than {DIGITS_MAX} digits")
    if len(text) <= _DIGITS_AT_ONCE:
        return int(text)
    half = len(text) // 2
    power: int = 10**half
    return _digits(text[:-half]) * power + _digits(text[-half:])


def _number(literal: str) -> Any:
    """A double; what is too large for one arrives as the whole number that it is, never as infinity."""
    value = float(literal)
    if value - value == 0.0:
        return value
    mantissa, _, exponent = literal.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    shift = (int(exponent) if len(exponent) < 20 else DIGITS_MAX + 1) if exponent else 0
    if len(whole) + shift > DIGITS_MAX:
        raise DecodeError("out_of_range", f"a number has more than {DIGITS_MAX} digits")
    # Beyond the doubles there are 309 digits before the point; what stands behind it is cut off.
    digits = _digits((whole + fraction)[: len(whole) + shift].ljust(len(whole) + shift, "0"))
    return -digits if literal.startswith("-") else digits


_decoder = json.JSONDecoder(parse_float=_number, parse_constant=_refuse_constant)
# For texts with an integer of more digits than Python converts by itself.
_patient_decoder = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_refuse_constant)


def split_frame(frame: bytes) -> Tuple[bytes, bytes]:
    """(topic without its space, body); bad_frame when there is no topic."""
    topic, space, body = frame.partition(b" ")
    if not space or not topic:
        raise DecodeError("bad_frame", "a frame is `<topic> <JSON object>`")
    return topic, body


def make_frame(topic: str, body: str) -> bytes:
    """`<topic> <JSON>`; `topic` without the space."""
    return f"{topic} {body}".encode("utf-8")


def _parse(body: bytes, bytes_max: int, depth_max: int) -> Any:
    """Parses one JSON value; NaN, Infinity and oversize texts are refused."""
    if len(body) > bytes_max:
        raise DecodeError("too_large", f"{len(body)} bytes; the limit is {bytes_max}")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DecodeError("invalid_utf8", f"byte {error.start} is not UTF-8") from None
    try:
        try:
            value = _decoder.decode(text)
        except json.JSONDecodeError:
            raise
        except ValueError:
            value = _patient_decoder.decode(text)
    except RecursionError:
        raise DecodeError("too_deep", f"nested deeper than {depth_max}") from None
    except json.JSONDecodeError as error:
        raise DecodeError("malformed_json", f"{error.msg} at offset {error.pos}") from None
    return value


def _check_depth(body: bytes, depth_max: int) -> None:
    if not depth_within(body, depth_max):
        raise DecodeError("too_deep", f"nested deeper than {depth_max}")


def _snake(name: str) -> str:
    """PascalCase to snake_case; other texts as they are."""
    if not name[:1].isupper():
        return name
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


def _speaks_our_version(data: Dict[str, Any]) -> bool:
    version = data.get("protocol_version")
    return version is None or (type(version) is str and _VERSION.match(version) is not None)


def _decode(body: bytes, table: Dict[str, type], bytes_max: int, depth_max: int) -> Any:
    data = _parse(body, bytes_max, depth_max)
    if type(data) is dict and data.get("message_type") == "step_batch_request" and _speaks_our_version(data):
        batch = read_step_batch(data, depth_max) if table is ORCHESTRATOR_MESSAGES else None
        if batch is not None:
            return batch
    _check_depth(body, depth_max)
    if type(data) is not dict:
        raise DecodeError("wrong_type", "a message must be a JSON object")
    if not _speaks_our_version(data):
        version = data["protocol_version"]
        if type(version) is not str:
            raise DecodeError("wrong_type", "must be a string", "protocol_version")
        problem = f"this side speaks 1.x, not {version[:40]!r}"
        raise DecodeError("unsupported_version", problem, "protocol_version")
    name = data.get("message_type")
    if name is None:
        raise DecodeError("missing_field", "is required", "message_type")
    if type(name) is not str:
        raise DecodeError("wrong_type", "must be a string", "message_type")
    kind = table.get(name) or table.get(_snake(name))
    if kind is None:
        raise DecodeError("unknown_type", f"{name[:60]!r} is not known here", "message_type")
    return read_record(kind, data)


def decode_orchestrator_message(
    body: bytes, bytes_max: int = BATCH_BYTES_MAX, depth_max: int = DEPTH_MAX
) -> OrchestratorMessage:
    """A message from the orchestrator; raises DecodeError and nothing else."""
    message: OrchestratorMessage = _decode(body, ORCHESTRATOR_MESSAGES, bytes_max, depth_max)
    return message


def decode_worker_message(
    body: bytes, bytes_max: int = RESULT_BYTES_MAX + ENVELOPE_BYTES_MAX, depth_max: int = DEPTH_MAX
) -> Any:
    """A message from a worker (fake orchestrators and the conformance program read them)."""
    return _decode(body, WORKER_MESSAGES, bytes_max, depth_max)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _fields_of(value)
    if type(value) is list and value and is_dataclass(value[0]):
        return [_fields_of(item) for item in value]
    return value


def _fields_of(message: Any) -> Dict[str, Any]:
    result: Dict[str, Any] = {}
    for wire_field in layout(type(message)):
        value = getattr(message, wire_field.name)
        if value is not None:
            result[wire_field.wire_name] = _plain(value)
    return result


def to_dict(message: Any) -> Dict[str, Any]:
    """The message as a JSON object with its message_type; None fields are left out."""
    return {"message_type": MESSAGE_TYPES[type(message)], **_fields_of(message)}


def encode(message: Any, topic: str) -> bytes:
    """One frame, with the protocol version of this SDK."""
    data = {**to_dict(message), "protocol_version": "1.0"}
    return make_frame(topic, json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


_TOPICS = {b"steps": "plain", b"workers": "workers", b"results": "results"}
_SESSION_TOPIC = re.compile(rb"(steps|control)\.[0-9a-f]{16}\Z")
_BELONGS = {
    "plain": {"step_batch_request"},
    "steps": {"step_batch_request", "probe"},
    "results": {"partial_result", "batch_completion", "step_batch_response"},
}


def topic_kind(topic: bytes) -> str:
    """plain, steps, control, workers or results; empty when it is none of the five forms."""
    match = _SESSION_TOPIC.match(topic)
    return match.group(1).decode() if match else _TOPICS.get(topic, "")


def belongs_on(kind: str, message_type: str) -> bool:
    """Whether a message of this type may travel on a topic of this kind."""
    if kind in _BELONGS:
        return message_type in _BELONGS[kind]
    if kind == "workers":
        return message_type in WORKER_MESSAGES and message_type not in _BELONGS["results"]
    return (
        kind == "control" and message_type in ORCHESTRATOR_MESSAGES and message_type not in _BELONGS["steps"]
    )
