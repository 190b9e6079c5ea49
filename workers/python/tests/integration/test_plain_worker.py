"""The example of about 20 lines that knows nothing of sessions."""

import json
import os
import subprocess
import sys

from tests.support.fake_orchestrator import a_step
from tests.support.worker_process import PACKAGE_ROOT

BATCH = "0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21"


def test_the_plain_worker_answers_a_batch_of_its_class_only(fake):
    env = {"TASKER_STEPS_ENDPOINT": fake.steps_endpoint, "TASKER_RESULTS_ENDPOINT": fake.results_endpoint}
    script = os.path.join(PACKAGE_ROOT, "examples", "plain_worker.py")
    process = subprocess.Popen([sys.executable, script], env={**os.environ, **env, "PLAIN_HANDLER": "Mine"})
    try:
        fake.wait("its subscription", lambda: b"\x01steps " in fake.subscribed)
        # Its reports can be lost until its results path stands; so the batch is sent until it is answered.

        def answered():
            for batch_id, handler in ((BATCH.replace("0198", "ffff"), "Another"), (BATCH, "Mine")):
                steps = [a_step(n, handler, task_context={"n": n}) for n in (1, 2)]
                fields = {"batch_id": batch_id, "handler_class": handler, "steps": steps}
                fake.send("steps", "step_batch_request", **fields)
            fake.pump(50)
            return fake.of("batch_completion")

        completion = fake.wait("the completion", answered)[0].body
        reports = {m.body["step_id"]: m.body for m in fake.of("partial_result")}
        assert {step: report["output"] for step, report in reports.items()} == {1: {"n": 1}, 2: {"n": 2}}
        assert all(
            report["batch_id"] == BATCH and report["status"] == "completed" for report in reports.values()
        )
        assert (completion["total_steps"], completion["completed_steps"]) == (2, 2)
        assert completion["sequence"] == 3
        assert json.dumps(fake.received[0].body).find("session") == -1
    finally:
        process.kill()
        process.wait()
