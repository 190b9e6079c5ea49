"""Clocks: wall time for people, monotonic time for timers, boot time for start windows."""

import time
from typing import Tuple

# The last second that was formatted, with its text. One tuple, replaced whole, so that two threads never
# see the second of one and the text of another.
_cached: Tuple[int, str] = (-1, "")


def utc_timestamp() -> str:
    """The wall time as RFC 3339 in UTC with microseconds, as the wire and the logs write it."""
    global _cached
    second, micros = divmod(time.time_ns() // 1000, 1_000_000)
    known, text = _cached
    if known != second:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _cached = (second, text)
    return f"{text}.{micros:06d}Z"


def boottime() -> float:
    """Seconds on a clock that goes on while the machine is suspended (start windows count on it)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
