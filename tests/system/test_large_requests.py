"""Requests that cannot be sent, whoever is to blame, end their own step; everything else goes on."""

from __future__ import annotations

import json
from typing import Any

from checks import assert_all_consistent
from fake_worker import FakeWorker
from parts import System, SystemFactory, tasker, wait_until
from workers import NOOP

# 81 KB of text that arrives, 1.2 GB of digits in a request.
HUGE = "(SELECT jsonb_build_object('n', jsonb_agg(1e131071::numeric)) FROM generate_series(1, 9000))"


def template(name: str, *steps: tuple[str, list[str]], **options: Any) -> dict[str, Any]:
    return {
        "name": name,
        "namespace_name": "tests",
        "version": "1.0.0",
        "step_templates": [
            {"name": step, "handler_class": NOOP, "depends_on_steps": parents, **options}
            for step, parents in steps
        ],
    }


class Finisher(FakeWorker):
    """Finishes each step that comes with the wanted output, and takes no batch with a poisoned one."""

    def __init__(self, system: System, output: Any = True, **options: Any) -> None:
        super().__init__(system, [NOOP], **options)
        self.output = output
        self.sequences = 0
        self.sizes: list[int] = []

    def hear(self, frame: bytes) -> None:
        message = json.loads(frame.partition(b" ")[2])
        if message["message_type"] != "step_batch_request":
            super().hear(frame)
            return
        self.sizes.append(len(message["steps"]))
        self.sequences += 10
        if any(step["task_context"].get("poison") for step in message["steps"]):
            steps = [
                {"step_id": s["step_id"], "attempt": s["metadata"]["attempt"], "reason": "too_large"}
                for s in message["steps"]
            ]
            self.say("batch_rejected", batch_id=message["batch_id"], sequence=self.sequences, steps=steps)
            return
        super().hear(frame)
        for number, step in enumerate(message["steps"], 1):
            self.partial(message, step, self.sequences + number, output=self.output)
        statuses = ["completed"] * len(message["steps"])
        self.completion(message, self.sequences + len(statuses) + 1, statuses)
        self.sequences += len(statuses)


def test_a_context_that_the_server_cannot_write_ends_its_step_and_stops_nobody(
    make_system: SystemFactory,
) -> None:
    """A row that no function of ours has written: its size is not known before it is built."""
    system = make_system(settings={"database": {"lanes": 1}})
    system.load_template(template("one", ("s1", [])))
    culprit, *others = system.submit_many("tests", "one", [{}] * 5)
    system.rows(f"UPDATE tasker_tasks SET context = {HUGE} WHERE task_id = %s RETURNING 1", culprit)
    with Finisher(system):
        for task_id in others:
            system.wait_for_task(task_id, "complete", limit_s=90)
        system.wait_for_task(culprit, "error", limit_s=90)
        later = system.submit("tests/one", {})
        system.wait_for_task(later, "complete", limit_s=90)
    step = system.steps(culprit)["s1"]
    assert step["error"]["error_code"] == "request_too_large"
    assert step["attempts"] == step["unstarted_attempts"] == 1, "no worker saw it"
    assert f"step_id={step['workflow_step_id']}" in system.logs()
    assert "request_too_large" in tasker(system.url, "dlq", "list").stdout
    assert "limits.batch_bytes" in tasker(system.url, "task", "explain", str(culprit)).stdout
    assert system.value("SELECT count(*) FROM tasker_rejected_messages") == 0
    system.wait_for_verdicts()
    assert_all_consistent(system)


def test_results_that_are_too_large_together_end_the_child_and_not_the_report_that_made_it_ready(
    make_system: SystemFactory,
) -> None:
    system = make_system(settings={"limits": {"batch_bytes": 65536, "result_bytes": 32768}})
    parents = [f"p{number}" for number in range(5)]
    system.load_template(template("wide", *((name, []) for name in parents), ("child", parents)))
    with Finisher(system, "x" * 20_000):
        task_id = system.submit("tests/wide", {})
        system.wait_for_task(task_id, "error")
    steps = system.steps(task_id)
    assert {steps[name]["state"] for name in parents} == {"complete"}
    assert steps["child"]["error"]["error_code"] == "request_too_large"
    assert steps["child"]["input_bytes"] == 2 + 5 * 20_002, "known, and never built"
    assert system.value("SELECT count(*) FROM tasker_rejected_messages") == 0
    reasons = system.rows("SELECT reason FROM tasker_dead_letters")
    assert [row["reason"] for row in reasons] == ["request_too_large"]
    system.wait_for_verdicts()
    assert_all_consistent(system)


def test_an_output_of_huge_numbers_or_too_many_levels_fails_its_own_attempt(
    make_system: SystemFactory,
) -> None:
    system = make_system()
    system.load_template(template("pair", ("s1", []), ("s2", ["s1"]), default_retry_limit=1))
    marks = {"digits": "[1e131071]", "depth": "[" * 61 + "]" * 61}
    for words, output in marks.items():
        with FakeWorker(system, [NOOP]) as worker:
            task_id = system.submit("tests/pair", {})
            batch = worker.batch()
            message = worker.partial_message(batch, batch["steps"][0], 1, output="OUTPUT")
            worker.send(b"results " + json.dumps(message).replace('"OUTPUT"', output).encode())
            worker.completion(batch, 2, ["completed"])
            worker.wait_for_ack(batch, 1)
            worker.held.clear()
            system.wait_for_task(task_id, "error")
        error = system.steps(task_id)["s1"]["error"]
        assert error["error_code"] == "unstorable_output"
        assert {"digits": "1000 digits", "depth": "61 levels"}[words] in error["message"]
    system.wait_for_verdicts()


def test_one_request_that_its_worker_cannot_read_costs_its_neighbours_nothing(
    make_system: SystemFactory,
) -> None:
    """The whole batch comes back as too large; each of its steps is then sent alone."""
    system = make_system()
    system.load_template(template("one", ("s1", []), default_retry_limit=1))
    tasks = system.submit_many("tests", "one", [{}, {"poison": True}, {}, {}])
    with Finisher(system) as worker:
        for task_id in (tasks[0], tasks[2], tasks[3]):
            system.wait_for_task(task_id, "complete")
        system.wait_for_task(tasks[1], "error")
        wait_until(lambda: sum(worker.sizes) >= 4, "all were sent")
    error = system.steps(tasks[1])["s1"]["error"]
    assert error["error_code"] == "request_too_large" and "worker" in error["message"]
    assert system.steps(tasks[0])["s1"]["retry_limit"] == 1
    system.wait_for_verdicts()
    assert_all_consistent(system)
