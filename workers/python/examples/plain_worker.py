"""A worker in plain mode: one topic to hear, two messages to send. At most one may be connected."""

import json
import os
from datetime import datetime, timezone

import zmq

HANDLER = os.environ.get("PLAIN_HANDLER", "Patterns::StepHandlers::EchoHandler")
steps, results = zmq.Context.instance().socket(zmq.SUB), zmq.Context.instance().socket(zmq.PUB)
results.connect(os.environ.get("TASKER_RESULTS_ENDPOINT", "tcp://127.0.0.1:5556").replace("*", "127.0.0.1"))
steps.connect(os.environ.get("TASKER_STEPS_ENDPOINT", "tcp://127.0.0.1:5555").replace("*", "127.0.0.1"))
steps.subscribe(b"steps ")


def report(kind, **fields):
    fields.update(message_type=kind, protocol_version="1.0", batch_id=batch["batch_id"], worker_id="plain")
    results.send_string("results " + json.dumps(fields))


while True:
    batch = json.loads(steps.recv().partition(b" ")[2])
    if batch["handler_class"] != HANDLER:
        continue
    for number, step in enumerate(batch["steps"], 1):
        done = dict(step_id=step["step_id"], status="completed", output=step["task_context"])  # the work
        now = datetime.now(timezone.utc).isoformat()
        report("partial_result", sequence=number, timestamp=now, execution_time_ms=0, **done)
    count = len(batch["steps"])
    summaries = [{"step_id": step["step_id"], "final_status": "completed"} for step in batch["steps"]]
    counts = dict(total_steps=count, completed_steps=count, failed_steps=0, in_progress_steps=0)
    now = datetime.now(timezone.utc).isoformat()
    report("batch_completion", sequence=count + 1, completed_at=now, step_summaries=summaries, **counts)
