"""Messages that are wrong get a clear answer and change nothing else: every other row stays as it was."""

from __future__ import annotations

import json
import uuid
from typing import Any, Iterator

import pytest

from checks import LEDGER, REJECTED, added, assert_all_consistent, assert_unchanged, snapshot
from fake_worker import FakeWorker
from parts import System, SystemFactory, wait_until
from workers import NOOP, chain

UNKNOWN_BATCH = "0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21"


class Scene:
    """A worker that has accepted a batch of one step and reported nothing yet."""

    def __init__(self, system: System, worker: FakeWorker) -> None:
        self.system = system
        self.worker = worker
        system.load_template(
            chain("one", NOOP, 1, default_retry_limit=2, retry_backoff={"base_seconds": 0.05})
        )
        self.task_id = system.submit("tests/one", {})
        self.batch = worker.batch()
        self.step = self.batch["steps"][0]
        self.before = snapshot(system)

    def new_row(self, table: str) -> dict[str, Any]:
        """The one row that a message adds to `table`; nothing else may have changed."""
        count = len(self.before[table])
        self.system_wait(lambda: len(self.system.rows(f"SELECT 1 FROM {table}")) > count, f"a row in {table}")
        (row,) = added(self.system, self.before, table)
        assert isinstance(row, dict)
        return row

    def system_wait(self, condition: Any, what: str) -> None:
        wait_until(condition, what, on_fail=self.system.describe)

    def end_well(self) -> None:
        """The worker's session is none the worse: the same batch still ends as it should."""
        self.worker.partial(self.batch, self.step, 1, output={"fine": True})
        self.worker.completion(self.batch, 2, ["completed"])
        self.worker.wait_for_ack(self.batch, 1)
        self.worker.wait_for_ack(self.batch, 2)
        self.system.wait_for_task(self.task_id, "complete")
        self.system.wait_for_verdicts()


@pytest.fixture
def scene(make_system: SystemFactory) -> Iterator[Scene]:
    system = make_system(settings={"limits": {"result_bytes": 2048}, "timers": {"reconcile_grace_ms": 300}})
    with FakeWorker(system, [NOOP]) as worker:
        yield Scene(system, worker)


UNDECODABLE = {
    "malformed_json": (b'results {"message_type": "partial_result", ', "malformed_json"),
    "not_an_object": (b"results [1, 2]", "wrong_type"),
    "unknown_type": (b'results {"message_type": "surprise", "protocol_version": "1.0"}', "unknown_type"),
    "future_version": (
        b'results {"message_type": "partial_result", "protocol_version": "2.0"}',
        "unsupported_version",
    ),
    "missing_field": (
        b'results {"message_type": "partial_result", "protocol_version": "1.0"}',
        "missing_field",
    ),
    "invalid_utf8": (b'results {"message_type": "partial_result", "worker_id": "\xff\xfe"}', "invalid_utf8"),
    "empty_body": (b"results ", "malformed_json"),
    "too_deep": (b"results " + b"[" * 65 + b"]" * 65, "too_deep"),
}


@pytest.mark.parametrize("fault", UNDECODABLE)
def test_a_message_that_cannot_be_read_is_recorded_with_its_reason(scene: Scene, fault: str) -> None:
    frame, code = UNDECODABLE[fault]
    scene.worker.send(frame)
    row = scene.new_row(REJECTED)
    assert row["code"] == code and row["reason"]
    kept = scene.system.value(f"SELECT raw FROM {REJECTED}")
    assert kept == frame.partition(b" ")[2], "the bytes are kept as they came"
    scene.end_well()


def test_a_report_on_the_wrong_topic_is_refused(scene: Scene) -> None:
    message = scene.worker.partial_message(scene.batch, scene.step, 1)
    scene.worker.send(b"workers " + json.dumps(message).encode())
    row = scene.new_row(REJECTED)
    assert row["code"] == "bad_frame" and "partial_result" in row["reason"] and row["topic"] == "workers"
    scene.end_well()


def test_a_report_for_an_unknown_batch_is_recorded_and_refused(scene: Scene) -> None:
    scene.worker.partial(scene.batch, scene.step, 7, batch_id=UNKNOWN_BATCH)
    row = scene.new_row(REJECTED)
    assert row["code"] == "unknown_batch" and UNKNOWN_BATCH in row["reason"]
    assert row["session"] == scene.worker.session
    assert scene.worker.wait_for_refusal(UNKNOWN_BATCH, 7) == "unknown_batch"
    scene.end_well()


def test_a_completion_for_an_unknown_batch_is_recorded_and_refused(scene: Scene) -> None:
    scene.worker.completion(scene.batch, 8, ["completed"], batch_id=UNKNOWN_BATCH)
    assert scene.new_row(REJECTED)["code"] == "unknown_batch"
    assert scene.worker.wait_for_refusal(UNKNOWN_BATCH, 8) == "unknown_batch"
    scene.end_well()


def test_a_report_for_a_step_that_is_not_in_the_batch_is_refused(scene: Scene) -> None:
    scene.worker.partial(scene.batch, scene.step, 9, step_id=scene.step["step_id"] + 1000)
    row = scene.new_row(LEDGER)
    assert row["disposition"] == "unknown" and row["batch_step_id"] is None
    assert scene.worker.wait_for_refusal(scene.batch["batch_id"], 9) == "unknown_step"
    scene.end_well()


def test_a_report_for_another_attempt_is_stale_and_refused(scene: Scene) -> None:
    scene.worker.partial(scene.batch, scene.step, 9, attempt=2)
    assert scene.new_row(LEDGER)["disposition"] == "stale_attempt"
    assert scene.worker.wait_for_refusal(scene.batch["batch_id"], 9) == "wrong_attempt"
    scene.end_well()


def test_a_report_for_another_sessions_batch_is_refused(scene: Scene) -> None:
    with FakeWorker(scene.system, ["Somebody::Else"]) as stranger:
        stranger.partial(scene.batch, scene.step, 1, output={"stolen": True})
        row = scene.new_row(LEDGER)
        assert row["disposition"] == "unknown" and row["session"] == stranger.session
        assert stranger.wait_for_refusal(scene.batch["batch_id"], 1) == "wrong_session"
    scene.end_well()


def test_a_report_without_a_session_for_a_sessions_batch_is_refused(scene: Scene) -> None:
    scene.worker.partial(scene.batch, scene.step, 1, session=None)
    assert scene.new_row(LEDGER)["disposition"] == "unknown"
    scene.end_well()


def test_a_completion_of_another_sessions_batch_changes_nothing(scene: Scene) -> None:
    with FakeWorker(scene.system, ["Somebody::Else"]) as stranger:
        stranger.completion(scene.batch, 2, ["completed"])
        assert scene.new_row(LEDGER)["disposition"] == "unknown"
        assert stranger.wait_for_refusal(scene.batch["batch_id"], 2) == "wrong_session"
    scene.end_well()


def test_the_acceptance_of_another_sessions_batch_is_recorded(scene: Scene) -> None:
    with FakeWorker(scene.system, ["Somebody::Else"]) as stranger:
        stranger.say("batch_accepted", batch_id=scene.batch["batch_id"])
        assert scene.new_row(REJECTED)["code"] == "wrong_session"
    scene.end_well()


def test_an_output_that_postgresql_cannot_hold_ends_its_step(scene: Scene) -> None:
    scene.worker.partial(scene.batch, scene.step, 1, output={"nul": "a\u0000b"})
    scene.worker.wait_for_ack(scene.batch, 1)
    scene.worker.completion(scene.batch, 2, ["completed"])
    scene.system.wait_for_task(scene.task_id, "error")
    step = scene.system.steps(scene.task_id)["s1"]
    assert (step["state"], step["attempts"], step["results"]) == ("error", 1, None)
    assert step["error"]["error_code"] == "unstorable_output" and step["error"]["retryable"] is False
    raw = scene.system.value(
        f"SELECT raw_message_json::text FROM {LEDGER} WHERE message_type = 'partial_result'"
    )
    assert "\\u0000" in raw, "the message is kept as it came"
    assert_all_consistent(scene.system)  # what the worker said of itself agrees


def test_a_message_that_is_not_even_read_ends_its_connection_and_nothing_else(scene: Scene) -> None:
    """libzmq drops the connection; the session comes back by itself and the batch still ends."""
    # More than twice limits.inventory_bytes.
    scene.worker.partial(scene.batch, scene.step, 1, output="x" * 9_000_000)
    # What follows on the same connection is lost with it, so it is said again until it is heard.
    frame = b"results " + json.dumps(scene.worker.partial_message(scene.batch, scene.step, 1)).encode()
    assert scene.worker.acked == []
    assert_unchanged(scene.system, scene.before)

    def said_again() -> bool:
        scene.worker.send(frame)
        return bool(scene.worker.acked)

    wait_until(said_again, "the worker is heard again", on_fail=scene.system.describe)
    ended = scene.worker.completion(scene.batch, 2, ["completed"])
    assert ended
    scene.system.wait_for_task(scene.task_id, "complete")
    scene.system.wait_for_verdicts()


def test_an_output_over_the_limit_ends_its_step(scene: Scene) -> None:
    """The sender checks first; one that does not is not stored either."""
    scene.worker.partial(scene.batch, scene.step, 1, output="x" * 3000)
    scene.worker.wait_for_ack(scene.batch, 1)
    scene.worker.completion(scene.batch, 2, ["completed"])
    scene.system.wait_for_task(scene.task_id, "error")
    assert scene.system.steps(scene.task_id)["s1"]["error"]["error_code"] == "output_too_large"
    assert_all_consistent(scene.system)


def test_a_result_sent_five_times_counts_once_and_is_acked_each_time(scene: Scene) -> None:
    frame = scene.worker.partial(scene.batch, scene.step, 1, output={"n": 1})
    scene.worker.wait_for_ack(scene.batch, 1)
    scene.worker.completion(scene.batch, 2, ["completed"])
    scene.system.wait_for_task(scene.task_id, "complete")
    scene.system.wait_for_verdicts()
    before = snapshot(scene.system)
    for _ in range(4):
        scene.worker.send(frame)
    scene.system_wait(
        lambda: len(dispositions(scene)) == 6, "five entries, and the completion, in the ledger"
    )
    assert dispositions(scene) == ["applied", "noted", "duplicate", "duplicate", "duplicate", "duplicate"]
    assert len(added(scene.system, before, LEDGER)) == 4
    scene.worker.wait_for_ack(scene.batch, 1, times=2)


def test_a_result_that_got_lost_counts_when_it_is_sent_again(scene: Scene) -> None:
    """The completion tells that it is missing; until it comes nothing is decided."""
    scene.worker.completion(scene.batch, 2, ["completed"])
    scene.worker.wait_for_ack(scene.batch, 2)
    assert scene.system.task_state(scene.task_id) == "in_progress"
    status = "SELECT reconciliation_status FROM tasker_step_execution_batches"
    assert scene.system.value(status) == "pending"
    scene.worker.partial(scene.batch, scene.step, 1, output={"late": False})
    scene.system.wait_for_task(scene.task_id, "complete")
    scene.system_wait(lambda: scene.system.value(status) == "consistent", "a verdict")


def test_what_is_missing_after_a_completion_is_asked_for_and_then_stored_as_a_discrepancy(
    scene: Scene,
) -> None:
    scene.worker.completion(scene.batch, 2, ["completed"])
    scene.system_wait(lambda: requests(scene), "a report_request")
    assert requests(scene)[0]["batch_id"] == scene.batch["batch_id"]
    scene.system_wait(lambda: kinds(scene) == ["missing_partial"], "a discrepancy")
    assert scene.system.task_state(scene.task_id) == "in_progress", "a summary alone moves no step"
    scene.worker.partial(scene.batch, scene.step, 1)
    scene.system.wait_for_task(scene.task_id, "complete")
    scene.system_wait(lambda: kinds(scene) == [], "the verdict is corrected")


def test_two_different_results_for_one_attempt_are_a_discrepancy(scene: Scene) -> None:
    scene.worker.partial(scene.batch, scene.step, 1, output={"n": 1})
    scene.worker.wait_for_ack(scene.batch, 1)
    scene.worker.partial(scene.batch, scene.step, 1, output={"n": 2})
    scene.worker.wait_for_ack(scene.batch, 1, times=2)
    scene.worker.completion(scene.batch, 2, ["completed"])
    scene.system_wait(lambda: kinds(scene) == ["duplicate_conflict"], "a discrepancy")
    assert scene.system.steps(scene.task_id)["s1"]["results"] == {"n": 1}, "the first one counts"


def test_a_refused_report_of_another_attempt_is_no_conflict_after_a_restart(scene: Scene) -> None:
    """What the orchestrator reads back about an open batch must not hold a refused report against it."""
    scene.worker.partial(scene.batch, scene.step, 9, attempt=2, status="failed")
    assert scene.worker.wait_for_refusal(scene.batch["batch_id"], 9) == "wrong_attempt"
    scene.worker.partial(scene.batch, scene.step, 1)
    scene.worker.wait_for_ack(scene.batch, 1)
    assert scene.system.orchestrator
    scene.system.orchestrator.kill()
    scene.system.start_orchestrator()

    def acked() -> bool:
        scene.worker.send(completion)
        return (scene.batch["batch_id"], 2) in scene.worker.acked

    completion = scene.worker.completion(scene.batch, 2, ["completed"])
    wait_until(acked, "the completion is heard", on_fail=scene.system.describe)
    scene.system.wait_for_verdicts()
    assert kinds(scene) == []


def test_a_different_result_after_the_batch_is_settled_is_a_discrepancy_too(scene: Scene) -> None:
    scene.end_well()
    scene.worker.partial(scene.batch, scene.step, 1, output={"fine": False})
    scene.system_wait(lambda: "duplicate" in dispositions(scene), "the second result is in the ledger")
    assert scene.system.steps(scene.task_id)["s1"]["results"] == {"fine": True}
    scene.system_wait(lambda: kinds(scene) == ["duplicate_conflict"], "a discrepancy")


def test_a_completion_that_contradicts_the_partial_result_is_a_discrepancy(scene: Scene) -> None:
    scene.worker.partial(scene.batch, scene.step, 1)
    scene.worker.completion(scene.batch, 2, ["error"])
    scene.system.wait_for_task(scene.task_id, "complete")
    scene.system_wait(lambda: "status_mismatch" in kinds(scene), "a discrepancy")


def test_the_old_response_form_of_a_session_is_refused(scene: Scene) -> None:
    """It names no session, so it cannot speak for a batch that a session has."""
    results = [{"step_id": scene.step["step_id"], "status": "completed", "output": {"old": 1}}]
    scene.worker.say(
        "step_batch_response", topic="results", batch_id=scene.batch["batch_id"], results=results
    )
    scene.system_wait(
        lambda: len(dispositions(scene)) == 2, "partial result and completion are in the ledger"
    )
    assert dispositions(scene) == ["unknown", "unknown"]
    added(scene.system, scene.before, LEDGER)
    scene.end_well()


def test_a_hello_with_a_malformed_session_is_recorded(scene: Scene) -> None:
    scene.worker.say("goodbye", session="not-hexadecimal", reason="none")
    row = scene.new_row(REJECTED)
    assert row["code"] == "out_of_range" and "session" in row["reason"]
    scene.end_well()


def test_a_failed_report_without_an_error_is_given_one(scene: Scene) -> None:
    scene.worker.partial(scene.batch, scene.step, 1, status="error")
    scene.worker.completion(scene.batch, 2, ["error"])
    scene.system.wait_for_task(scene.task_id, "error")
    assert scene.system.steps(scene.task_id)["s1"]["error"]["message"]
    scene.system.wait_for_verdicts()


def test_garbage_between_good_messages_takes_none_of_them_along(scene: Scene) -> None:
    """A burst in which every second message is broken: the good ones all count."""
    contexts = 30
    scene.end_well()
    scene.system.submit_many("tests", "one", [{}] * contexts)
    reported: set[str] = set()

    def report_all() -> bool:
        for number in range(2, len(scene.worker.batch_frames) + 1):
            batch = scene.worker.batch(number)
            if batch["batch_id"] in reported:
                continue
            reported.add(batch["batch_id"])
            for sequence, step in enumerate(batch["steps"], 1):
                scene.worker.send(b"results {broken")
                scene.worker.partial(batch, step, sequence, output={"id": step["step_id"]})
            scene.worker.completion(batch, len(batch["steps"]) + 1, ["completed"] * len(batch["steps"]))
        return scene.system.open_tasks() == 0

    wait_until(report_all, "every task has ended", on_fail=scene.system.describe)
    recorded = f"SELECT count(*) FROM {REJECTED}"
    scene.system_wait(lambda: scene.system.value(recorded) == contexts, "every broken message is recorded")
    assert scene.system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == contexts + 1
    scene.system.wait_for_verdicts()


def dispositions(scene: Scene) -> list[str]:
    return [row["disposition"] for row in scene.system.rows(f"SELECT disposition FROM {LEDGER} ORDER BY id")]


def kinds(scene: Scene) -> list[str]:
    return [row["kind"] for row in scene.system.rows("SELECT kind FROM tasker_reconciliation_discrepancies")]


def requests(scene: Scene) -> list[dict[str, Any]]:
    return [message for message in scene.worker.heard if message["message_type"] == "report_request"]


def test_a_batch_that_nobody_accepts_is_sent_three_times_unchanged(make_system: SystemFactory) -> None:
    system = make_system(settings={"timers": {"accept_timeout_ms": 200}})
    system.load_template(chain("one", NOOP, 1))
    with FakeWorker(system, [NOOP], accepts=False) as worker:
        system.submit("tests/one", {})
        wait_until(
            lambda: len(worker.batch_frames) >= 3, "the batch comes three times", on_fail=system.describe
        )
        states = "SELECT state FROM tasker_workers WHERE session = %s"
        wait_until(lambda: system.value(states, worker.session) == "suspect", "the session is suspect")
        assert len(worker.batch_frames) == 3 and len(set(worker.batch_frames)) == 1
        assert system.value("SELECT count(*) FROM tasker_step_execution_batches") == 1


def test_a_batch_id_is_a_uuid_and_the_database_knows_it(make_system: SystemFactory) -> None:
    system = make_system()
    system.load_template(chain("one", NOOP, 1))
    with FakeWorker(system, [NOOP]) as worker:
        system.submit("tests/one", {"given": [1, None, "x"]})
        batch = worker.batch()
        assert str(uuid.UUID(batch["batch_id"])) == batch["batch_id"]
        assert system.value("SELECT batch_uuid FROM tasker_step_execution_batches") == batch["batch_id"]
        (step,) = batch["steps"]
        assert step["task_context"] == {"given": [1, None, "x"]} and step["previous_results"] == {}
        installation = system.value("SELECT installation_uuid::text FROM tasker_installation")
        assert step["metadata"]["idempotency_key"] == f"{installation}-{step['step_id']}"
        worker.partial(batch, step, 1)
        worker.completion(batch, 2, ["completed"])
        system.wait_for_end()
        system.wait_for_verdicts()
