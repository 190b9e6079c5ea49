"""The Celery application under measurement: no-op tasks that return the same 200 bytes as Tasker's."""

import json
import os

from celery import Celery

SETTINGS = json.loads(os.environ["PEER_SETTINGS"])
SOCKET = os.environ["PEER_REDIS"]
PAYLOAD = "x" * 180
CHAIN = ("step_1", "step_2", "step_3", "step_4")
WIDTH = 10

app = Celery("bench", broker=f"redis+socket://{SOCKET}", backend=f"redis+socket://{SOCKET}")
app.conf.update(
    worker_prefetch_multiplier=SETTINGS["prefetch"],
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


def work(*previous):
    """What a step builds upon must have arrived."""
    for result in previous:
        if not isinstance(result, dict) or result.get("payload") != PAYLOAD:
            raise ValueError(f"a step got {result!r} from the one before it")
    return {"ok": True, "payload": PAYLOAD}


@app.task
def first(order):
    return work()


@app.task
def following(previous):
    return work(previous)


@app.task
def join(results):
    if len(results) != WIDTH:
        raise ValueError(f"the join got {len(results)} results of {WIDTH}")
    return work(*results)
