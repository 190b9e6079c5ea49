"""How many no-op steps per second one worker process turns around (not a test; prints one line per run).

    /usr/bin/python3 tests/throughput.py [SECONDS] [BATCH_SIZE] [CAPACITY]

Batches arrive over ipc as fast as the worker's credit allows; every report is acknowledged.
"""

import json
import os
import resource
import sys
import tempfile
import time
import uuid
from typing import Dict

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tests.support.fake_orchestrator import FakeOrchestrator, a_step  # noqa: E402
from tests.support.worker_process import PACKAGE_ROOT, WorkerProcess  # noqa: E402

HANDLER = "Bench::NoopHandler"


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    batch_size = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    capacity = int(sys.argv[3]) if len(sys.argv) > 3 else 10
    with tempfile.TemporaryDirectory() as folder:
        fake = FakeOrchestrator(folder, heartbeat_ms=1000, resend_ms=1000)
        arguments = ["--import", os.path.join(PACKAGE_ROOT, "samples", "noop.py"), "--handlers", HANDLER]
        arguments += ["--steps-endpoint", fake.steps_endpoint, "--results-endpoint", fake.results_endpoint]
        arguments += ["--capacity", str(capacity)]
        with WorkerProcess(folder, arguments) as worker:
            fake.handshake()
            done, took = run(fake, seconds, batch_size, capacity * 2)
            worker.terminate()
            fake.wait("the worker's end", lambda: worker.ended)
        fake.close()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    print(f"{done / took:,.0f} steps/s  {cpu / done * 1e6:.1f} us of worker CPU per step (start included)")


def run(fake: FakeOrchestrator, seconds: float, batch_size: int, credit: int) -> "tuple[int, float]":
    context = {"order": 17, "customer": {"id": 7, "name": "Ada"}, "items": [1, 2, 3]}
    parents = {"step_1": {"ok": True, "payload": "x" * 180}}
    steps = [
        a_step(number, HANDLER, task_context=context, previous_results=parents)
        for number in range(1, batch_size + 1)
    ]
    mark = str(uuid.uuid4())
    head = {
        "message_type": "step_batch_request",
        "protocol_version": "1.0",
        "orchestrator_id": "fake",
        "epoch": 1,
    }
    template = json.dumps({**head, "batch_id": mark, "handler_class": HANDLER, "steps": steps})
    before, _, after = f"steps.{fake.session} {template}".partition(mark)
    acks: Dict[str, list] = {}
    in_flight = done = number = 0
    started = last_beat = time.monotonic()
    results, publish = fake._results, fake._steps
    while True:
        now = time.monotonic()
        if now - started >= seconds and in_flight == 0:
            return done, now - started
        if now - last_beat > 0.5:
            last_beat = now
            fake.heartbeat()
        while in_flight + batch_size <= credit and now - started < seconds:
            number += 1
            publish.send(f"{before}{number:08x}-0000-4000-8000-000000000000{after}".encode())
            in_flight += batch_size
        fake._poller.poll(100)
        for frame in fake._drain(results):
            if b'"partial_result"' in frame[:60]:
                done += 1
                in_flight -= 1
            at = frame.find(b'"batch_id":"') + 12
            sequence = frame.rfind(b'"sequence":')
            if b"heartbeat" not in frame[:60] and sequence > 0:
                digits = frame[sequence + 11 : sequence + 17].split(b",")[0].rstrip(b"}")
                acks.setdefault(frame[at : at + 36].decode(), []).append(int(digits))
        if acks:
            batches = [{"batch_id": key, "sequences": value} for key, value in acks.items()]
            fake.control("ack", session=fake.session, batches=batches, rejected=[])
            acks.clear()


if __name__ == "__main__":
    main()
