"""A worker without sessions: 30 lines, no SDK, no acks."""

from __future__ import annotations

import json

import zmq

from checks import assert_all_consistent
from fake_worker import FakeWorker
from parts import PATIENCE, ROOT, Process, System, SystemFactory
from workers import ECHO, NOOP, chain

# Plain mode waits one lease after the start for sessions that may come back.
QUICK = {
    "timers": {
        "heartbeat_ms": 100,
        "suspect_after_ms": 300,
        "accept_timeout_ms": 300,
        "disconnect_grace_ms": 300,
        "start_window_ms": 300,
        "lease_ms": 500,
    }
}


def plain_worker(system: System) -> Process:
    """Ended by kill() in the test: it knows no orderly end."""
    script = str(ROOT / "workers/python/examples/plain_worker.py")
    return system.start("plain", ["/usr/bin/python3", script], PLAIN_HANDLER=ECHO)


def test_the_shipped_plain_worker_runs_a_task_to_its_end(make_system: SystemFactory) -> None:
    system = make_system(settings=QUICK)
    system.load_template(chain("plain", ECHO, 3))
    worker = plain_worker(system)
    task_id = system.submit("tests/plain", {"said": "äöü"})
    system.wait_for_task(task_id, "complete")
    assert all(step["results"] == {"said": "äöü"} for step in system.steps(task_id).values())
    assert system.value("SELECT count(*) FROM tasker_step_execution_batches WHERE session IS NOT NULL") == 0
    assert_all_consistent(system)
    worker.kill()


def test_a_second_plain_worker_stops_plain_publishing_so_nothing_runs_twice(
    make_system: SystemFactory,
) -> None:
    system = make_system(settings=QUICK)
    assert system.orchestrator
    system.load_template(chain("plain", ECHO, 3))
    first = plain_worker(system)
    system.wait_for_task(system.submit("tests/plain", {}), "complete")
    second = plain_worker(system)
    system.orchestrator.wait_for_log("second plain subscription")
    # Only plain ones: a batch of the other worker that comes back is made anew, and counts twice.
    batches = "SELECT count(*) FROM tasker_step_execution_batches WHERE session IS NULL"
    before = system.value(batches)
    waiting = system.submit("tests/plain", {})
    # The listener is one thread: once it has served a later task, it has looked at the waiting one.
    system.load_template(chain("later", NOOP, 1))
    with FakeWorker(system, [NOOP]) as other:
        later = system.submit("tests/later", {})
        batch = other.batch()
        other.partial(batch, batch["steps"][0], 1)
        other.completion(batch, 2, ["completed"])
        system.wait_for_task(later, "complete")
    assert system.value(batches) == before and system.task_state(waiting) == "pending"

    second.kill()
    system.wait_for_task(waiting, "complete")
    runs = system.rows(
        "SELECT s.workflow_step_id, count(*) AS reports FROM tasker_step_execution_batch_steps s"
        " JOIN tasker_step_execution_batch_received_results r ON r.batch_step_id = s.id GROUP BY 1"
    )
    assert len(runs) == 7 and all(row["reports"] == 1 for row in runs), runs
    first.kill()


def test_the_old_response_form_of_a_plain_worker_ends_its_batch(make_system: SystemFactory) -> None:
    """It subscribes without the space, compares the topic, and answers a batch with one message."""
    system = make_system(settings=QUICK)
    system.load_template(chain("old", ECHO, 1))
    with system.context.socket(zmq.SUB) as steps, system.context.socket(zmq.PUB) as results:
        results.setsockopt(zmq.LINGER, 1000)
        results.connect(system.endpoints["results"])
        steps.connect(system.endpoints["steps"])
        steps.subscribe(b"steps")
        task_id = system.submit("tests/old", {"n": 5})
        assert steps.poll(int(30_000 * PATIENCE)), "no batch came\n" + system.describe()
        topic, _, body = steps.recv().partition(b" ")
        assert topic == b"steps"
        batch = json.loads(body)
        answers = [
            {"step_id": s["step_id"], "status": "completed", "output": {"n": 5}} for s in batch["steps"]
        ]
        answer = {"message_type": "StepBatchResponse", "batch_id": batch["batch_id"], "results": answers}
        results.send(b"results " + json.dumps(answer).encode())
        system.wait_for_task(task_id, "complete")
    assert system.steps(task_id)["s1"]["results"] == {"n": 5}
    assert_all_consistent(system)
