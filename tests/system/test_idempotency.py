"""An idempotency key names one task."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from checks import assert_unchanged, snapshot
from parts import System, SystemFactory, tasker

DIAMOND = "patterns/diamond"


def submit(system: System, context: str, key: str = "k-1", code: int = 0) -> tuple[str, str]:
    done = tasker(
        system.url,
        "task",
        "submit",
        DIAMOND,
        "--context",
        context,
        "--idempotency-key",
        key,
        "--json",
        code=code,
    )
    return done.stdout, done.stderr


def test_a_key_that_is_used_again_returns_the_task_that_exists(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    first = json.loads(submit(system, '{"value": 1}')[0])
    before = snapshot(system)
    again = json.loads(submit(system, '{ "value" : 1 }')[0])
    assert again["task_id"] == first["task_id"]
    assert (first["existing"], again["existing"]) == (False, True)
    assert (
        again["step_mapping"] == first["step_mapping"]
        and len(first["step_mapping"]) == first["step_count"] == 4
    )
    assert_unchanged(system, before)


def test_a_key_that_is_used_again_with_another_context_is_refused(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    first = json.loads(submit(system, '{"value": 1}')[0])
    before = snapshot(system)
    out, error = submit(system, '{"value": 2}', code=2)
    assert "idempotency" in (out + error).lower() and str(first["task_id"]) in out + error
    assert_unchanged(system, before)


def test_submissions_with_one_key_at_the_same_time_make_one_task(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: json.loads(submit(system, '{"value": 7}')[0]), range(8)))
    assert len({answer["task_id"] for answer in answers}) == 1
    assert sum(not answer["existing"] for answer in answers) == 1
    assert system.value("SELECT count(*) FROM tasker_tasks") == 1
