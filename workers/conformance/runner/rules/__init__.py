"""The rules by chapter; importing this package enters them all, in the order in which they are listed."""

from . import hello, session, messages, work, limits, reports, claims, restarts, leaving, outbox_file

__all__ = [
    "hello",
    "session",
    "messages",
    "work",
    "limits",
    "reports",
    "claims",
    "restarts",
    "leaving",
    "outbox_file",
]
