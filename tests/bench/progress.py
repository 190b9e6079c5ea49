"""Lines on stderr that say what takes so long; results go to stdout."""

from __future__ import annotations

import sys
import time

_started = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _started:6.1f} s] {text}", file=sys.stderr, flush=True)
