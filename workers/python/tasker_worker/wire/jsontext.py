"""Facts about JSON text that can be had without walking the parsed value in Python."""

import re

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
