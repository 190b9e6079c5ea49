import json

import pytest

from tasker_worker.wire.errors import DecodeError
from tasker_worker.wire.messages import StepBatchRequest
from tasker_worker.wire.reader import Reader
from tests.support.fake_orchestrator import a_step

HEAD = {"protocol_version": "1.0", "orchestrator_id": "o", "epoch": 1}
# The context stands at the fourth level of a batch.
ABOVE = 3


def batch(levels=1, filler=""):
    context = {"x": filler}
    for _ in range(levels - 1):
        context = {"n": context}
    head = {**HEAD, "batch_id": "0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21", "handler_class": "X"}
    body = {"message_type": "step_batch_request", **head, "steps": [a_step(1, "X", task_context=context)]}
    return json.dumps(body).encode()


def heartbeat(more):
    return json.dumps({"message_type": "heartbeat", **HEAD, "n": 1, "more": more}).encode()


def code_of(reader, body):
    try:
        reader.read(body)
    except DecodeError as error:
        return error.code
    return None


@pytest.fixture
def reader():
    return Reader()


def test_a_batch_within_the_limits_is_told_from_one_that_is_over_them(reader):
    message, over = reader.read(batch())
    assert isinstance(message, StepBatchRequest) and not over
    reader.announce(batch_bytes=len(batch()), depth=ABOVE + 1)
    assert [reader.read(body)[1] for body in (batch(), batch(filler="x"), batch(levels=2))] == [
        False,
        True,
        True,
    ]


def test_a_batch_is_read_up_to_twice_the_announced_limit_or_twice_the_default(reader):
    reader.announce(batch_bytes=100, depth=ABOVE + 1)
    assert reader.read(batch(levels=128 - ABOVE))[1]
    assert code_of(reader, batch(levels=129 - ABOVE)) == "too_deep"
    reader.announce(batch_bytes=20 * 2**20, depth=80)
    assert not reader.read(batch(levels=80 - ABOVE))[1]
    assert reader.read(batch(levels=160 - ABOVE))[1]
    assert code_of(reader, batch(levels=161 - ABOVE)) == "too_deep"
    assert reader.read(batch(filler="x" * (39 * 2**20)))[1]
    assert code_of(reader, batch(filler="x" * (40 * 2**20))) == "too_large"


def test_any_other_message_over_a_limit_is_refused(reader):
    reader.announce(batch_bytes=200, depth=3)
    assert code_of(reader, heartbeat([[1]])) is None
    assert code_of(reader, heartbeat([[[1]]])) == "too_deep"
    assert code_of(reader, heartbeat("x" * 200)) == "too_large"
