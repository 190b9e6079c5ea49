"""Field types of wire messages, and the reader that applies them.

A check is a function of one value that returns it (converted if need be) or raises DecodeError. The path
of a bad field is built only while an error unwinds, so valid messages pay nothing for it.
"""

import re
import sys
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, Callable, Dict, List, Tuple, Type, TypeVar

from .errors import DecodeError

Check = Callable[[Any], Any]
T = TypeVar("T")

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
_DOUBLE_MAX = sys.float_info.max

_SESSION = re.compile(r"[0-9a-f]{16}\Z")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII
)


def _name_of(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number" if isinstance(value, (int, float)) else "null")


def _wrong(wanted: str, value: Any) -> DecodeError:
    return DecodeError("wrong_type", f"must be {wanted}, not {_name_of(value)}")


def text(value: Any) -> str:
    if type(value) is not str:
        raise _wrong("a string", value)
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise DecodeError("invalid_utf8", "a \\u escape is half a surrogate pair") from None
    return value


def identifier(value: Any) -> str:
    """Text that names something: not empty, and without U+0000, which PostgreSQL cannot store."""
    checked = text(value)
    if not checked or "\0" in checked:
        raise DecodeError("out_of_range", "must not be empty and must not contain \\u0000")
    return checked


def batch_uuid(value: Any) -> str:
    text(value)
    if not _UUID.match(value):
        raise DecodeError("out_of_range", f"must be a UUID, not {value[:60]!r}")
    return str(value)


def boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise _wrong("a boolean", value)
    return value


def json_object(value: Any) -> Dict[str, Any]:
    if type(value) is not dict:
        raise _wrong("an object", value)
    return value


def anything(value: Any) -> Any:
    return value


def integer(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if type(value) is not int:
            raise _wrong("an integer", value)
        if not low <= value <= high:
            raise DecodeError("out_of_range", f"must be between {low} and {high}, not {value}")
        return value

    return check


def number_from_zero(value: Any) -> float:
    if type(value) is not int and type(value) is not float:
        raise _wrong("a number", value)
    if not 0 <= value <= _DOUBLE_MAX:
        raise DecodeError("out_of_range", f"must be a finite number from 0 on, not {str(value)[:40]}")
    return value


def choice(*allowed: str) -> Check:
    names = frozenset(allowed)

    def check(value: Any) -> str:
        if type(value) is not str:
            raise _wrong("a string", value)
        if value not in names:
            raise DecodeError("out_of_range", f"must be one of {', '.join(allowed)}, not {value[:60]!r}")
        return value

    return check


def session_id(value: Any) -> str:
    if type(value) is not str:
        raise _wrong("a string", value)
    if not _SESSION.match(value):
        raise DecodeError("out_of_range", f"must be 16 lower-case hex digits, not {value[:60]!r}")
    return value


def timestamp(value: Any) -> str:
    """RFC 3339 text; kept as it came."""
    if type(value) is not str:
        raise _wrong("a string", value)
    return _checked_time(value)


@lru_cache(maxsize=256)  # the steps of one batch mostly share their times
def _checked_time(value: str) -> str:
    match = _TIME.match(value)
    if match is None or not _is_a_time(match):
        raise DecodeError("out_of_range", f"must be an RFC 3339 time, not {value[:60]!r}")
    return value


def _is_a_time(match: "re.Match[str]") -> bool:
    year, month, day, hour, minute, second = (int(part) for part in match.group(1, 2, 3, 4, 5, 6))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if year < 1 or not 1 <= month <= 12 or not 1 <= day <= days[month - 1]:
        return False
    zone = match.group(8)
    if zone not in "Zz" and (int(zone[1:3]) > 23 or int(zone[4:6]) > 59):
        return False
    return hour <= 23 and minute <= 59 and second <= 60


def list_of(check: Check) -> Check:
    def check_list(value: Any) -> List[Any]:
        if type(value) is not list:
            raise _wrong("an array", value)
        position = 0
        try:
            checked = []
            for position, item in enumerate(value):
                checked.append(check(item))
            return checked
        except DecodeError as error:
            raise error.inside(f"[{position}]") from None

    return check_list


def list_or_none(check: Check) -> Check:
    """An optional list; an empty one counts as absent."""
    check_list = list_of(check)
    return lambda value: check_list(value) or None


def checked_as(kind: type) -> Check:
    """An object that must have the fields of `kind`, kept whole: unknown fields and nulls stay."""

    def check(value: Any) -> Dict[str, Any]:
        read_record(kind, json_object(value))
        return json_object(value)

    return check


# Ids and attempts count from 1, durations and clocks from 0. Sequences and counts of steps are held to 32
# bits, since the tables store them so.
STEP_ID = POSITIVE = integer(1, INT64_MAX)
FROM_ZERO = integer(0, INT64_MAX)
ATTEMPT = SEQUENCE = POSITIVE_32 = integer(1, INT32_MAX)
COUNT = integer(0, INT32_MAX)
REPORT_STATUS = choice("in_progress", "completed", "failed", "error")


def required(check: Check, name: str = "") -> Any:
    """A dataclass field that must be present and not null; `name` where the wire's differs."""
    return field(metadata={"check": check, "required": True, "name": name})


def optional(check: Check, name: str = "") -> Any:
    """A dataclass field that may be absent or null, which mean the same: None."""
    return field(default=None, metadata={"check": check, "required": False, "name": name})


@dataclass(frozen=True)
class WireField:
    """One field of a message: its name on the wire and in Python, and how it is checked."""

    wire_name: str
    name: str
    check: Check
    required: bool


_layouts: Dict[type, Tuple[WireField, ...]] = {}


def layout(kind: type) -> Tuple[WireField, ...]:
    """The wire fields of a message dataclass, in order of declaration."""
    known = _layouts.get(kind)
    if known is None:
        known = _layouts[kind] = tuple(
            WireField(f.metadata["name"] or f.name, f.name, f.metadata["check"], f.metadata["required"])
            for f in fields(kind)
        )
    return known


def read_record(kind: Type[T], data: Dict[str, Any]) -> T:
    """An object of the dataclass `kind` from a JSON object; unknown fields are ignored."""
    values: Dict[str, Any] = {}
    for wire_field in layout(kind):
        value = data.get(wire_field.wire_name)
        if value is None:
            if wire_field.required:
                raise DecodeError("missing_field", "is required", wire_field.wire_name)
            continue
        try:
            values[wire_field.name] = wire_field.check(value)
        except DecodeError as error:
            raise error.inside(wire_field.wire_name) from None
    return kind(**values)


def record(kind: Type[T]) -> Check:
    """A nested object."""

    def check(value: Any) -> T:
        return read_record(kind, json_object(value))

    return check
