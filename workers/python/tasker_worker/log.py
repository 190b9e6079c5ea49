"""Structured log: one line of key=value pairs (logfmt) per event on stderr, the same in every SDK.

    time=2026-01-02T03:04:05.000000Z level=info msg="step failed" worker_id=w1 session=00ff12ab34cd56ef …

Values with spaces, quotes or equals signs are JSON-quoted. It sits on Python's logging, so what a handler
logs with any logger comes out in the same form, with its task_id, step_id and attempt.

Lines wait in a queue for a thread of their own: a pipe that nobody reads must not stop the socket thread,
and with it the heartbeats. When the queue is full, lines are dropped and counted.
"""

import json
import logging
import os
import re
import select
import sys
import threading
from contextvars import ContextVar
from queue import SimpleQueue
from typing import Any, Dict, Optional, Union

from .clock import utc_timestamp
from .secrets import shared as secrets

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}

LINES_MAX = 10_000
BYTES_MAX = 8 * 1024 * 1024
# How long the end of the process waits for lines that nobody reads.
FLUSH_S = 2.0

_PLAIN = re.compile(r"[\w.:/@%+*,\-]+\Z", re.ASCII)
_LEVEL_NAMES = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warn"}

# What the handler here works on: set by the pool, read by the formatter. Coroutines take it along.
current: ContextVar[Dict[str, Any]] = ContextVar("current", default={})


# What JSON lets stand, although a terminal obeys it (DEL, C1 controls, marks of direction), and what no
# terminal can show (halves of surrogate pairs).
_OBEYED = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def _quote(value: Any) -> str:
    text = secrets.mask(str(value))
    if _PLAIN.match(text):
        return text
    return _OBEYED.sub(lambda found: f"\\u{ord(found.group()):04x}", json.dumps(text, ensure_ascii=False))


class LogfmtFormatter(logging.Formatter):
    """Formats a record as one logfmt line; `fixed` are the fields of every line."""

    def __init__(self, **fixed: Any) -> None:
        super().__init__()
        self.fixed = fixed

    def format(self, record: logging.LogRecord) -> str:
        pairs: Dict[str, Any] = {
            "time": utc_timestamp(),
            "level": _LEVEL_NAMES.get(record.levelno, "error"),
            "msg": record.getMessage(),
            **self.fixed,
            **current.get(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            pairs["exception"] = self.formatException(record.exc_info)
        return " ".join(f"{key}={_quote(value)}" for key, value in pairs.items() if value is not None)


class QueueHandler(logging.Handler):
    """Hands lines to a thread that writes them to stderr, and never waits for it."""

    def __init__(self, stream: Any = None, lines_max: int = LINES_MAX, bytes_max: int = BYTES_MAX) -> None:
        super().__init__()
        self._stream = sys.stderr if stream is None else stream
        self._descriptor = _descriptor_of(self._stream)
        self._lines_max = lines_max
        self._bytes_max = bytes_max
        self._queue: "SimpleQueue[Union[bytes, threading.Event]]" = SimpleQueue()
        # What was put is counted under the handler's lock, what was written by the writer alone.
        self._put_bytes = self._written_bytes = 0
        self._dropped = 0
        self._writer: Optional[threading.Thread] = None
        #: in a child of this process, where the writer is not
        self._forked = False
        os.register_at_fork(after_in_child=self._after_fork)

    def emit(self, record: logging.LogRecord) -> None:
        """Logging calls it under the handler's lock."""
        try:
            line = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
        except Exception:
            self.handleError(record)
            return
        if self._forked:
            self._write(line)
        elif self._has_room(len(line)) or threading.current_thread() is self._writer:
            self._put_bytes += len(line)
            self._queue.put(line)
            if self._writer is None:
                self._writer = threading.Thread(target=self._work, name="log", daemon=True)
                self._writer.start()
        else:
            self._dropped += 1

    def flush(self) -> None:
        """Waits until all lines are written, at most FLUSH_S."""
        if self._writer is not None and not self._forked:
            written = threading.Event()
            self._queue.put(written)
            written.wait(FLUSH_S)

    def close(self) -> None:
        self.flush()
        super().close()

    def _has_room(self, size: int) -> bool:
        waiting = self._put_bytes - self._written_bytes
        return waiting == 0 or (waiting + size <= self._bytes_max and self._queue.qsize() < self._lines_max)

    def _work(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            self._write(item)
            self._written_bytes += len(item)
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                log.warn("log lines dropped", lines=dropped)

    def _write(self, line: bytes) -> None:
        try:
            if self._descriptor is None:
                self._stream.write(line.decode("utf-8"))
                return
            # Past the stream: a thread that hangs in it would hold a lock that the end of Python needs.
            while line:
                try:
                    line = line[os.write(self._descriptor, line) :]
                except BlockingIOError:
                    select.select([], [self._descriptor], [])
        except (OSError, ValueError):
            pass  # closed: nobody will ever read it

    def _after_fork(self) -> None:
        self._forked = True
        self._queue = SimpleQueue()


def _descriptor_of(stream: Any) -> Optional[int]:
    try:
        return int(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return None  # the stream of a test


class Log:
    """The SDK's own log: `log.info("hello sent", session=…)`. Cheap when the level is off."""

    def __init__(self, name: str = "tasker_worker") -> None:
        self._logger = logging.getLogger(name)

    @property
    def debug_enabled(self) -> bool:
        """Whether a debug line is worth the making of its fields."""
        return self._logger.isEnabledFor(logging.DEBUG)

    def _write(self, level: int, message: str, fields: Dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", message, extra={"fields": fields})

    def debug(self, message: str, **fields: Any) -> None:
        self._write(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: Any) -> None:
        self._write(logging.INFO, message, fields)

    def warn(self, message: str, **fields: Any) -> None:
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, **fields: Any) -> None:
        self._write(logging.ERROR, message, fields)


_formatter = LogfmtFormatter()
log = Log(__name__)


def configure(level: str, **fixed: Any) -> None:
    """Sends every logger of the process to stderr in this form, from `level` (LEVELS) on."""
    _formatter.fixed = fixed
    handler = QueueHandler()
    handler.setFormatter(_formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])


def set_fields(**fields: Any) -> None:
    """Adds fields to every line of the process from now on, or replaces them."""
    _formatter.fixed = {**_formatter.fixed, **fields}
