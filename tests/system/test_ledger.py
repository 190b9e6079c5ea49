"""What is written about every batch: four batch tables, histories, verdict, the messages as they came."""

from __future__ import annotations

from typing import Any

from checks import LEDGER, assert_all_consistent
from fake_worker import FakeWorker
from parts import System, SystemFactory
from workers import NOOP, PYTHON_PATTERNS, RUBY_PATTERNS, chain


def run_some_of_everything(system: System) -> None:
    ruby = system.ruby_worker("ruby", RUBY_PATTERNS, wait=False)
    system.python_worker("python", PYTHON_PATTERNS)
    system.wait_for_worker("ruby", ruby)
    system.submit_many("patterns", "mixed_dag", [{"value": n} for n in range(10)])
    system.submit_many("patterns", "flaky_retry", [{}] * 5)
    system.submit_many("patterns", "permanent_failure", [{}] * 5)
    system.submit_many("patterns", "fan_out_fan_in", [{"value": 1}])
    system.wait_for_end()


def test_every_batch_is_recorded_and_reconciled(make_system: SystemFactory) -> None:
    system = make_system()
    run_some_of_everything(system)
    assert_all_consistent(system)
    for batch in system.rows("SELECT * FROM tasker_step_execution_batches ORDER BY batch_id"):
        assert_batch_is_complete(system, batch)
    # Each attempt is in exactly one batch, with exactly one applied report.
    attempts = system.value("SELECT sum(attempts) FROM tasker_workflow_steps")
    assert system.value("SELECT count(*) FROM tasker_step_execution_batch_steps") == attempts
    assert system.value(f"SELECT count(*) FROM {LEDGER} WHERE disposition = 'applied'") == attempts


def assert_batch_is_complete(system: System, batch: dict[str, Any]) -> None:
    steps = system.rows(
        "SELECT * FROM tasker_step_execution_batch_steps WHERE batch_id = %s", batch["batch_id"]
    )
    ledger = system.rows(f"SELECT * FROM {LEDGER} WHERE batch_id = %s ORDER BY id", batch["batch_id"])
    history = system.rows(
        "SELECT * FROM tasker_step_execution_batch_transitions WHERE batch_id = %s ORDER BY sort_key",
        batch["batch_id"],
    )
    assert len(steps) == batch["batch_size"] >= 1
    assert sorted(step["sequence_order"] for step in steps) == list(range(1, len(steps) + 1))
    assert all(
        step["reported_at"] and step["final_status"] in ("completed", "failed", "error") for step in steps
    )

    applied = [row for row in ledger if row["disposition"] == "applied"]
    completions = [row for row in ledger if row["message_type"] == "batch_completion"]
    assert sorted(row["batch_step_id"] for row in applied) == sorted(step["id"] for step in steps)
    assert batch["partial_results_received"] == len(steps)
    assert completions and batch["final_completion_received"] and completions[0]["batch_step_id"] is None
    assert all(row["session"] == batch["session"] and row["raw_message_json"] for row in ledger)

    words = [row["to_state"] for row in history]
    done = [step["final_status"] == "completed" for step in steps]
    end = "completed" if all(done) else "partially_failed" if any(done) else "failed"
    assert words == ["created", "published", "executing", end] and batch["state"] == end
    assert [row["sort_key"] for row in history] == list(range(1, len(history) + 1))
    assert [row["most_recent"] for row in history] == [False] * (len(history) - 1) + [True]
    assert [row["from_state"] for row in history] == [None, *words[:-1]]


def test_histories_are_gapless_and_agree_with_the_states(make_system: SystemFactory) -> None:
    system = make_system()
    run_some_of_everything(system)
    for table, owner, key in (
        ("tasker_task_transitions", "tasker_tasks", "task_id"),
        ("tasker_workflow_step_transitions", "tasker_workflow_steps", "workflow_step_id"),
    ):
        rows = system.rows(
            f"SELECT o.state, o.transition_count, array_agg(h.sort_key ORDER BY h.sort_key) AS keys,"
            f" array_agg(h.to_state ORDER BY h.sort_key) AS reached,"
            f" array_agg(h.from_state ORDER BY h.sort_key) AS left"
            f" FROM {owner} o JOIN {table} h USING ({key}) GROUP BY o.{key}, o.state, o.transition_count"
        )
        assert len(rows) == system.value(f"SELECT count(*) FROM {owner}")
        for row in rows:
            assert row["keys"] == list(range(1, row["transition_count"] + 1)), row
            assert row["left"] == [None, *row["reached"][:-1]] and row["reached"][-1] == row["state"], row


def test_the_text_of_a_message_is_kept_byte_for_byte(make_system: SystemFactory) -> None:
    """White space, the order of the keys, a key given twice and escapes survive in the ledger; the step's
    results are what the JSON means."""
    system = make_system()
    system.load_template(chain("odd", NOOP, 1))
    with FakeWorker(system, [NOOP]) as worker:
        task_id = system.submit("tests/odd", {})
        batch = worker.batch()
        text = (
            '{ "status":"completed",\n\t"output" : {"z":1,  "a":"\\u00e4 ä", "z":2,'
            ' "big":12345678901234567890.10},'
            f'"sequence":1,"worker_id":"odd", "session":"{worker.session}","attempt":1,'
            f'"step_id":{batch["steps"][0]["step_id"]},"batch_id":"{batch["batch_id"]}",'
            '"execution_time_ms":3,'
            f'"unheard_of":[null],"timestamp":"2026-01-02T03:04:05Z","protocol_version":"1.0",'
            f'"message_type":"PartialResult" }}'
        )
        worker.send(b"results " + text.encode())
        worker.wait_for_ack(batch, 1)
        worker.completion(batch, 2, ["completed"])
        system.wait_for_task(task_id, "complete")
    kept = system.value(f"SELECT raw_message_json::text FROM {LEDGER} WHERE message_type = 'partial_result'")
    assert kept == text
    results = system.value("SELECT results::text FROM tasker_workflow_steps")
    assert results == '{"a": "ä ä", "z": 2, "big": 12345678901234567890.10}'
    assert_all_consistent(system)
