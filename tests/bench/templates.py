"""The workflows that benchmarks run, registered as `tasker template load` would."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import psycopg

NAMESPACE = "bench"
NOOP = "Bench::NoopHandler"
# Nobody serves this one: its steps wait for ever.
UNSERVED = "Bench::UnservedHandler"

Template = dict[str, Any]


def _step(position: int, name: str, parents: list[int], handler_class: str) -> dict[str, Any]:
    return {
        "position": position,
        "name": name,
        "handler_class": handler_class,
        "dependent_system": "bench",
        "retryable": True,
        "retry_limit": 3,
        "timeout_ms": 30000,
        "on_orphan": "retry",
        "claim_first": False,
        "parents": parents,
    }


def chain(name: str, length: int, handler_class: str = NOOP) -> Template:
    """step_1 → step_2 → … → step_LENGTH"""
    steps = [
        _step(place, f"step_{place}", [place - 1] if place > 1 else [], handler_class)
        for place in range(1, length + 1)
    ]
    return {"name": name, "steps": steps}


def fan_out(name: str, width: int, handler_class: str = NOOP) -> Template:
    """begin → part_1 … part_WIDTH → end"""
    steps = [_step(1, "begin", [], handler_class)]
    steps += [_step(1 + part, f"part_{part}", [1], handler_class) for part in range(1, width + 1)]
    steps.append(_step(width + 2, "end", list(range(2, width + 2)), handler_class))
    return {"name": name, "steps": steps}


def register(connection: psycopg.Connection, template: Template) -> int:
    """Registers it and returns the number of its steps."""
    steps = json.dumps(template["steps"])
    configuration = {
        "name": template["name"],
        "namespace_name": NAMESPACE,
        "version": "1.0.0",
        "step_templates": [
            {"name": step["name"], "handler_class": step["handler_class"]} for step in template["steps"]
        ],
    }
    connection.execute(
        "SELECT * FROM tasker_register_template(%s, %s, '1.0.0', 'benchmark', %s::jsonb, %s, %s::jsonb)",
        (
            NAMESPACE,
            template["name"],
            json.dumps(configuration),
            hashlib.sha256(steps.encode()).hexdigest(),
            steps,
        ),
    )
    return len(template["steps"])


def submit(
    connection: psycopg.Connection, name: str, count: int, chunk: int = 500, priority: int = 0
) -> list[int]:
    """Creates `count` tasks through the function that every caller uses; returns their ids, ascending."""
    request = {
        "namespace": NAMESPACE,
        "name": name,
        "version": "1.0.0",
        "context": {"order": 1, "note": "benchmark"},
        "priority": priority,
    }
    ids: list[int] = []
    while count > 0:
        part = min(chunk, count)
        rows = connection.execute(
            "SELECT task_id FROM tasker_create_tasks(%s::jsonb)", (json.dumps([request] * part),)
        ).fetchall()
        if any(row[0] is None for row in rows):
            raise SystemExit(f"task {NAMESPACE}/{name} could not be created: its template is not registered")
        ids.extend(row[0] for row in rows)
        count -= part
    return ids
