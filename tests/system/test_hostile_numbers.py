"""Numbers and names that fit the schema and nothing else: a running orchestrator clamps or refuses them, and
serves everybody else as before."""

from __future__ import annotations

import json
import os
import secrets
import uuid
from typing import Any

import pytest

from fake_worker import FakeWorker, now
from parts import System, SystemFactory, wait_until
from workers import NOOP, chain

BORDERS = [-1, 0, 1, 2, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64]
BATCH = "0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21"


def messages(session: str, batch_id: str, step_id: int) -> list[dict[str, Any]]:
    """One of each that a worker sends, as an attacker who knows a session, a batch and a step would."""
    ref = {"batch_id": batch_id, "step_id": step_id, "attempt": 1}
    return of_the_session(session, ref) + of_the_batch(session, batch_id, step_id)


def of_the_session(session: str, ref: dict[str, Any]) -> list[dict[str, Any]]:
    inventory: dict[str, Any] = {"held": [ref], "running": [ref], "unacked": [ref]}
    return [
        {
            "message_type": "hello",
            "worker_id": "x",
            "session": session,
            "language": "x",
            "sdk_version": "x",
            "namespaces": ["other"],
            "handlers": ["X"],
            "capacity": 1,
            "prefetch": 1,
            "host": "elsewhere",
            "pid": 1,
            **inventory,
        },
        {"message_type": "ready", "session": session, "nonce": "x", **inventory},
        {
            "message_type": "worker_heartbeat",
            "session": session,
            "seen_n": 0,
            "held": [ref],
            "running": [{**ref, "age_ms": 1}],
            "unacked": [ref],
            "oldest_unacked_ms": 0,
            "free": 0,
        },
        {"message_type": "start_request", "session": session, **ref, "n": 1},
    ]


def of_the_batch(session: str, batch_id: str, step_id: int) -> list[dict[str, Any]]:
    report = {"batch_id": batch_id, "worker_id": "x", "session": session, "sequence": 9}
    return [
        {
            "message_type": "partial_result",
            **report,
            "step_id": step_id,
            "attempt": 1,
            "status": "in_progress",
            "timestamp": now(),
            "execution_time_ms": 1,
        },
        {
            "message_type": "partial_result",
            **report,
            "step_id": step_id,
            "attempt": 1,
            "status": "failed",
            "error": {"message": "x", "error_type": "x", "retry_after_seconds": 1},
            "timestamp": now(),
            "execution_time_ms": 1,
        },
        {
            "message_type": "batch_completion",
            **report,
            "total_steps": 1,
            "completed_steps": 1,
            "failed_steps": 1,
            "in_progress_steps": 1,
            "step_summaries": [
                {"step_id": step_id, "attempt": 1, "final_status": "completed", "execution_time_ms": 1}
            ],
            "total_execution_time_ms": 1,
            "completed_at": now(),
        },
        {
            "message_type": "step_batch_response",
            "batch_id": batch_id,
            "results": [{"step_id": step_id, "status": "completed", "metadata": {"execution_time_ms": 1}}],
        },
        {
            "message_type": "batch_rejected",
            "session": session,
            "batch_id": batch_id,
            "sequence": 9,
            "steps": [{"step_id": step_id, "attempt": 1, "reason": "x"}],
        },
    ]


def with_borders(message: Any) -> list[Any]:
    """The message once for each number in it and each border, with that number at that border."""
    if type(message) is int:
        return list(BORDERS)
    items = (
        message.items() if isinstance(message, dict) else enumerate(message) if type(message) is list else ()
    )
    variants = []
    for place, value in items:
        for changed in with_borders(value):
            copy = dict(message) if isinstance(message, dict) else list(message)
            copy[place] = changed
            variants.append(copy)
    return variants


def frames(session: str, batch_id: str, step_id: int) -> list[bytes]:
    made = []
    for message in messages(session, batch_id, step_id):
        reports = "partial_result", "batch_completion", "step_batch_response"
        topic = b"results " if message["message_type"] in reports else b"workers "
        made += [topic + json.dumps(variant).encode() for variant in with_borders(message)]
    return made


def one_task_ends(system: System, worker: FakeWorker) -> None:
    seen = len(worker.batch_frames)
    task = system.submit("tests/one", {})
    batch = worker.batch(seen + 1)
    worker.partial(batch, batch["steps"][0], 1)
    worker.completion(batch, 2, ["completed"])
    system.wait_for_task(task, "complete")


@pytest.mark.parametrize("known", [False, True], ids=["nobody", "its_own_batch"])
def test_every_number_of_every_message_at_its_borders(make_system: SystemFactory, known: bool) -> None:
    """The process, its lanes and its worker list go on, whatever a session says of itself."""
    system = make_system()
    system.load_template(chain("one", NOOP, 1, default_retry_limit=100, retry_backoff={"base_seconds": 0.05}))
    with FakeWorker(system, [NOOP]) as healthy:
        one_task_ends(system, healthy)
        with FakeWorker(system, ["Tests::Other"]) as hostile:
            system.load_template(chain("other", "Tests::Other", 1, default_retry_limit=100))
            system.submit("tests/other", {})
            batch = hostile.batch()
            step_id = batch["steps"][0]["step_id"]
            if known:
                sent = frames(hostile.session, batch["batch_id"], step_id)
            else:
                sent = frames(secrets.token_hex(8), BATCH, 41)
            for frame in sent:
                hostile.send(frame)
            one_task_ends(system, healthy)
            # The last of them is known to have been read once what follows on the same connection is.
            marker = str(uuid.uuid4())
            hostile.partial(batch, batch["steps"][0], 77, batch_id=marker)
            assert hostile.wait_for_refusal(marker, 77) == "unknown_batch"
            one_task_ends(system, healthy)
            assert system.orchestrator and system.orchestrator.running()
            most = "SELECT max(credit_limit) FROM tasker_workers"
            # The rows of workers are written once a second.
            wait_until(lambda: system.value(most) is not None, "the workers are written", 20, system.logs)
            assert system.value(most) <= 20_000


def test_a_capacity_beyond_all_bounds_is_cut_and_said_so(make_system: SystemFactory) -> None:
    system = make_system(settings={"limits": {"capacity": 50}})
    system.load_template(chain("one", NOOP, 1))
    with FakeWorker(system, [NOOP], capacity=2**31 - 1) as worker:
        welcome = next(message for message in worker.heard if message["message_type"] == "welcome")
        assert welcome["capacity"] == 50 and welcome["prefetch"] == 2
        assert (
            welcome["disconnect_grace_ms"] == 2000 and welcome["limits"]["inventory_bytes"] == 4 * 1024 * 1024
        )
        one_task_ends(system, worker)
        limit = "SELECT credit_limit FROM tasker_workers WHERE session = %s"
        wait_until(lambda: system.value(limit, worker.session) == 100, "the list has its limit")


@pytest.mark.parametrize("field", ["worker_id", "host", "language", "sdk_version"])
def test_a_name_with_a_line_break_stops_nobodys_worker_list(make_system: SystemFactory, field: str) -> None:
    system = make_system()
    with FakeWorker(system, [NOOP]) as healthy:
        hello = {
            "message_type": "hello",
            "worker_id": "w",
            "session": "00000000000000bb",
            "language": "x",
            "sdk_version": "x",
            "namespaces": ["*"],
            "handlers": ["Other"],
            "capacity": 1,
            "host": "h",
            "pid": os.getpid(),
            "held": [],
            "running": [],
            "unacked": [],
            field: "one\ntwo",
        }
        healthy.send(b"workers " + json.dumps(hello).encode())
        recorded = "SELECT reason FROM tasker_rejected_messages WHERE session = '00000000000000bb'"
        wait_until(lambda: system.rows(recorded), "it is recorded", on_fail=system.describe)
        assert field in system.value(recorded)
        assert system.value("SELECT count(*) FROM tasker_workers WHERE session = '00000000000000bb'") == 0
        newest = "SELECT max(last_heartbeat_at) FROM tasker_workers WHERE session = %s"
        since = wait_until(lambda: system.value(newest, healthy.session), "the list has it")
        wait_until(lambda: system.value(newest, healthy.session) > since, "the list goes on")
