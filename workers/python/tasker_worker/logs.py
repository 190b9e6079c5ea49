"""Structured log: one line of key=value pairs (logfmt) per event on stderr, the same in every SDK.

    time=2026-01-02T03:04:05.000000Z level=info msg="step failed" worker=w1 task_id=7 step_id=9 attempt=2

Values with spaces, quotes or equals signs are JSON-quoted. It sits on Python's logging, so what a handler
logs with any logger comes out in the same form, with its task_id, step_id and attempt.
"""

import json
import logging
import re
import sys
import threading
from typing import Any, Dict

from .clock import utc_timestamp

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}

_PLAIN = re.compile(r"[\w.:/@%+*,\-]+\Z", re.ASCII)
_LEVEL_NAMES = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warn"}

# What the handler in this thread works on: set by the pool, read by the formatter.
current = threading.local()


def _quote(value: Any) -> str:
    text = str(value)
    return text if _PLAIN.match(text) else json.dumps(text)


class LogfmtFormatter(logging.Formatter):
    """Formats a record as one logfmt line; fixed fields come from the constructor."""

    def __init__(self, **fixed: Any) -> None:
        super().__init__()
        self.fixed = fixed

    def format(self, record: logging.LogRecord) -> str:
        pairs: Dict[str, Any] = {
            "time": utc_timestamp(),
            "level": _LEVEL_NAMES.get(record.levelno, "error"),
            "msg": record.getMessage(),
            **self.fixed,
            **getattr(current, "fields", {}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            pairs["exception"] = self.formatException(record.exc_info)
        return " ".join(f"{key}={_quote(value)}" for key, value in pairs.items() if value is not None)


class Log:
    """The SDK's own log: `log.info("hello sent", session=…)`. Cheap when the level is off."""

    def __init__(self, name: str = "tasker_worker") -> None:
        self._logger = logging.getLogger(name)

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


def configure(level: str, **fixed: Any) -> None:
    """Sends every logger of the process to stderr in this form, from `level` (LEVELS) on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogfmtFormatter(**fixed))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
