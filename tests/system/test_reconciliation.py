"""Every kind of discrepancy between partial results and completion is stored, listed and corrected."""

from __future__ import annotations

import json
from typing import Any, Iterator

import pytest

from fault_tools import OddWorker, assert_all_credit_is_back, one_step, short
from parts import System, SystemFactory, tasker, wait_until
from workers import NOOP

STATUS = "SELECT reconciliation_status FROM tasker_step_execution_batches ORDER BY batch_id DESC LIMIT 1"


class Scene:
    """A worker that has accepted a batch of two steps."""

    def __init__(self, system: System, worker: OddWorker) -> None:
        self.system = system
        self.worker = worker
        system.load_template(one_step("one", NOOP))
        self.tasks = system.submit_many("tests", "one", [{}, {}])
        self.batch = worker.batch()
        self.first, self.second = self.batch["steps"]

    def partials(self, *steps: dict[str, Any], **fields: Any) -> None:
        for step in steps:
            self.worker.partial(self.batch, step, self.batch["steps"].index(step) + 1, **fields)

    def completion(self, **fields: Any) -> bytes:
        return self.worker.completion(self.batch, 3, ["completed"] * 2, **fields)

    def wait_for_kinds(self, *kinds: str) -> list[dict[str, Any]]:
        """As the command line lists them."""

        def listed() -> list[dict[str, Any]]:
            answer = tasker(self.system.url, "batch", "discrepancies", "--json").stdout
            rows: list[dict[str, Any]] = json.loads(answer)
            return rows

        def there() -> bool:
            return sorted(row["kind"] for row in listed()) == sorted(kinds)

        wait_until(there, f"discrepancies {kinds}", 15, lambda: f"{listed()}\n{self.system.describe()}")
        if kinds:
            assert self.system.value(STATUS) == "discrepancy"
        rows = listed()
        assert all(row["batch_uuid"] == self.batch["batch_id"] for row in rows)
        return rows

    def wait_for_consistency(self) -> None:
        wait_until(lambda: self.system.value(STATUS) == "consistent", "a verdict", 15, self.system.describe)
        assert self.wait_for_kinds() == []

    def requests(self) -> list[dict[str, Any]]:
        return self.worker.heard_of("report_request")

    def alerts(self) -> int:
        return int(self.system.health()["listener"]["discrepancies"])


@pytest.fixture
def scene(make_system: SystemFactory) -> Iterator[Scene]:
    system = make_system(settings=short())
    with OddWorker(system, [NOOP]) as worker:
        yield Scene(system, worker)
        assert_all_credit_is_back(system)


def test_a_missing_partial_is_asked_for_first_and_a_later_one_corrects_the_verdict(scene: Scene) -> None:
    scene.partials(scene.first)
    scene.completion()
    (row,) = scene.wait_for_kinds("missing_partial")
    assert row["workflow_step_id"] == scene.second["step_id"]
    assert [request["step_ids"] for request in scene.requests()] == [[scene.second["step_id"]]]
    assert scene.alerts() == 1
    scene.partials(scene.second)
    scene.wait_for_consistency()
    scene.system.wait_for_end()


def test_a_partial_that_comes_when_it_is_asked_for_is_no_discrepancy(scene: Scene) -> None:
    scene.partials(scene.first)
    scene.completion()
    scene.worker.wait_to_hear("report_request", batch_id=scene.batch["batch_id"])
    scene.partials(scene.second)
    scene.wait_for_consistency()
    assert scene.alerts() == 0
    scene.system.wait_for_end()


def test_a_missing_completion_is_asked_for_first_and_a_later_one_corrects_the_verdict(scene: Scene) -> None:
    scene.partials(scene.first, scene.second)
    scene.wait_for_kinds("missing_completion")
    assert len(scene.requests()) == 1 and scene.alerts() == 1
    scene.system.wait_for_end()
    scene.completion()
    scene.wait_for_consistency()


def test_a_status_mismatch_names_both_words(scene: Scene) -> None:
    scene.partials(scene.first, scene.second)
    summaries = [
        {"step_id": step["step_id"], "final_status": status}
        for step, status in ((scene.first, "completed"), (scene.second, "failed"))
    ]
    scene.completion(step_summaries=summaries)
    (row,) = scene.wait_for_kinds("status_mismatch")
    assert row["workflow_step_id"] == scene.second["step_id"]
    assert row["detail"] == "partial says completed, completion says failed"
    scene.system.wait_for_end()


@pytest.mark.parametrize(
    "counts",
    [{"total_steps": 3}, {"completed_steps": 1, "failed_steps": 1}],
    ids=["total", "completed_and_failed"],
)
def test_a_count_mismatch_is_found_though_every_step_agrees(scene: Scene, counts: dict[str, int]) -> None:
    scene.partials(scene.first, scene.second)
    scene.completion(**counts)
    (row,) = scene.wait_for_kinds("count_mismatch")
    assert row["workflow_step_id"] is None and "completion counts" in row["detail"]
    scene.system.wait_for_end()


def test_a_step_that_is_not_of_the_batch_is_named(scene: Scene) -> None:
    scene.partials(scene.first, scene.second)
    stranger = scene.second["step_id"] + 1000
    summaries = [
        {"step_id": step_id, "final_status": "completed"}
        for step_id in (scene.first["step_id"], scene.second["step_id"], stranger)
    ]
    scene.completion(step_summaries=summaries)
    (row,) = scene.wait_for_kinds("unknown_step")
    assert row["workflow_step_id"] == stranger
    scene.system.wait_for_end()


def test_two_results_for_one_attempt_stay_a_conflict_whatever_comes_later(scene: Scene) -> None:
    scene.partials(scene.first, scene.second, output={"n": 1})
    scene.partials(scene.first, output={"n": 2})
    scene.completion()
    (row,) = scene.wait_for_kinds("duplicate_conflict")
    assert row["workflow_step_id"] == scene.first["step_id"]
    scene.partials(scene.first, output={"n": 1})
    scene.worker.wait_for_ack(scene.batch, 1, times=3)
    scene.wait_for_kinds("duplicate_conflict")
    scene.system.wait_for_end()


def test_several_kinds_at_once_are_all_listed_and_the_later_arrival_removes_its_own(scene: Scene) -> None:
    scene.partials(scene.first, status="error")
    scene.completion()
    scene.wait_for_kinds("missing_partial", "status_mismatch")
    scene.partials(scene.second)
    scene.wait_for_kinds("status_mismatch", "count_mismatch")
    scene.system.wait_for_end()


def test_everything_said_five_times_and_out_of_order_counts_once(scene: Scene) -> None:
    """Completion before its partials, and an in_progress after the end: five of each."""
    frames = [scene.completion()]
    for number, step in enumerate((scene.first, scene.second), 1):
        frames.append(scene.worker.partial(scene.batch, step, number, output={"n": number}))
    running = scene.worker.partial_message(scene.batch, scene.first, 4, status="in_progress")
    frames.append(b"results " + json.dumps(running).encode())
    for _ in range(4):
        for frame in frames:
            scene.worker.send(frame)
    for sequence in (1, 2, 3):
        scene.worker.wait_for_ack(scene.batch, sequence, times=2)
    scene.system.wait_for_end()
    counted = "SELECT disposition, count(*) FROM tasker_step_execution_batch_received_results GROUP BY 1"
    expected = {"applied": 2, "duplicate": 8, "noted": 9}
    wait_until(
        lambda: {row["disposition"]: row["count"] for row in scene.system.rows(counted)} == expected,
        f"the ledger holds {expected}",
        on_fail=lambda: f"{scene.system.rows(counted)}",
    )
    scene.wait_for_consistency()
    assert scene.system.value("SELECT max(attempts) FROM tasker_workflow_steps") == 1


def test_a_hand_back_said_five_times_counts_once(scene: Scene) -> None:
    for _ in range(5):
        scene.worker.reject(scene.batch, scene.first, "cancelled")
    scene.worker.wait_for_ack(scene.batch, 1)
    again = scene.worker.batch(2)
    assert [step["step_id"] for step in again["steps"]] == [scene.first["step_id"]]
    scene.worker.finish(again)
    scene.partials(scene.second)
    scene.worker.completion(
        scene.batch,
        3,
        ["completed"],
        step_summaries=[{"step_id": scene.second["step_id"], "final_status": "completed"}],
    )
    scene.system.wait_for_end()
    spent = "SELECT attempts, unstarted_attempts FROM tasker_workflow_steps ORDER BY workflow_step_id"
    assert [tuple(row.values()) for row in scene.system.rows(spent)] == [(2, 1), (1, 0)]
    scene.wait_for_consistency()


def test_what_a_lost_worker_did_not_say_is_stored_without_an_alert(make_system: SystemFactory) -> None:
    """In the middle of its batch: one step is reported, the other one runs elsewhere."""
    system = make_system(settings=short())
    assert system.orchestrator
    with OddWorker(system, [NOOP]) as worker:
        scene = Scene(system, worker)
        scene.partials(scene.first)
        worker.wait_for_ack(scene.batch, 1)
        worker.die()
    with OddWorker(system, [NOOP]) as heir:
        again = heir.batch()
        assert [step["step_id"] for step in again["steps"]] == [scene.second["step_id"]]
        heir.finish(again)
        system.wait_for_end()
    system.wait_for_verdicts()
    assert json.loads(tasker(system.url, "batch", "discrepancies", "--json").stdout) == []
    listed = json.loads(tasker(system.url, "batch", "discrepancies", "--all", "--json").stdout)
    assert sorted(row["kind"] for row in listed) == ["missing_completion", "missing_partial"]
    assert system.health()["listener"]["discrepancies"] == 0
    assert "do not agree" not in system.orchestrator.output()
    assert_all_credit_is_back(system)


def test_a_batch_handed_back_whole_is_consistent_without_a_completion(make_system: SystemFactory) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP]) as worker:
        system.submit("tests/one", {})
        batch = worker.batch()
        worker.reject(batch, batch["steps"][0], "cancelled")
        again = worker.batch(2)
        worker.finish(again)
        system.wait_for_end()
    system.wait_for_verdicts()
    states = "SELECT state, reconciliation_status FROM tasker_step_execution_batches ORDER BY batch_id"
    assert [tuple(row.values()) for row in system.rows(states)] == [
        ("cancelled", "consistent"),
        ("completed", "consistent"),
    ]


def test_the_verdict_of_a_batch_is_still_made_after_a_restart(scene: Scene) -> None:
    system = scene.system
    assert system.orchestrator
    scene.partials(scene.first, scene.second)
    scene.worker.wait_for_ack(scene.batch, 2)
    system.wait_for_end()
    system.orchestrator.kill()
    scene.worker.heard.clear()
    system.start_orchestrator()
    scene.wait_for_kinds("missing_completion")
    scene.completion()
    scene.wait_for_consistency()
