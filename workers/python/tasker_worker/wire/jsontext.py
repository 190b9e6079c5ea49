"""JSON text: written, and judged without walking the parsed value in Python."""

import json
import re
from json import encoder as _json_encoder
from typing import Any, Callable

# Brackets of both kinds become one kind, quotes and backslashes stay, everything else goes.
_KEEP = b'[]{}"\\'
_FOLD = bytes.maketrans(b"[]", b"{}")
_DROP = bytes(byte for byte in range(256) if byte not in _KEEP)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def depth_within(text: bytes, limit: int) -> bool:
    """Whether valid JSON is nested at most `limit` deep; an array or object of scalars has depth 1.

    Runs at the speed of bytes.translate: the innermost pairs are deleted until none is left, and each
    round takes exactly one level away.
    """
    if text.count(b"{") + text.count(b"[") <= limit:
        return True
    brackets = text.translate(_FOLD, _DROP)
    if b"\\" in brackets:
        brackets = _STRING.sub(b"", text).translate(_FOLD, _DROP)
    elif b'"' in brackets:
        brackets = b"".join(brackets.split(b'"')[::2])
    for _ in range(limit):
        if not brackets:
            return True
        brackets = brackets.replace(b"{}", b"")
    return not brackets


def encoder(default: Callable[[Any], Any]) -> Callable[[Any], str]:
    """A function that writes a value as compact JSON, NaN refused; `default` stands in for unknown types.

    It raises what json.dumps raises. json.JSONEncoder builds a new C encoder for each call, for its list of
    open containers; here one without such a list serves all calls, and only a value nested too deep for it
    (perhaps since it holds itself) goes the long way.
    """
    thorough = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default
    ).encode
    make = getattr(_json_encoder, "c_make_encoder", None)
    if make is None:
        return thorough
    write = make(
        None, default, getattr(_json_encoder, "encode_basestring"), None, ":", ",", False, False, False
    )

    def encode(value: Any) -> str:
        try:
            return "".join(write(value, 0))
        except RecursionError:
            return thorough(value)

    return encode
