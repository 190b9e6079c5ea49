"""Reads the handlers' side-effect log: a line at the start and at the end of each handler."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Iterable


@dataclass(frozen=True)
class Effect:
    """`at` is wall-clock time in seconds; `key` is empty where the log has none."""

    event: str  # start | end
    step_id: int
    attempt: int
    at: float
    worker: str = ""
    pid: int = 0
    key: str = ""
    session: str = ""

    def __str__(self) -> str:
        moment = datetime.utcfromtimestamp(self.at).isoformat(timespec="milliseconds")
        return (
            f"{moment} {self.event} step {self.step_id} attempt {self.attempt}"
            f" by {self.worker} session {self.session} pid {self.pid}"
        )


def parse_line(line: str) -> Effect:
    """ValueError or KeyError when it is no line of the log."""
    entry = json.loads(line)
    return Effect(
        event=str(entry["event"]).lower(),
        step_id=int(entry["step_id"]),
        attempt=int(entry["attempt"]),
        at=datetime.fromisoformat(entry["at"].replace("Z", "+00:00")).timestamp(),
        worker=entry.get("worker", ""),
        pid=int(entry.get("pid", 0)),
        key=entry.get("idempotency_key", ""),
        session=entry.get("session", ""),
    )


def parse(lines: Iterable[str]) -> tuple[list[Effect], list[str]]:
    """(what the log says, lines that are none of it)"""
    effects, bad = [], []
    for line in lines:
        try:
            effects.append(parse_line(line))
        except (ValueError, KeyError, TypeError):
            bad.append(line)
    return effects, bad
