import json
import os

import pytest

from tasker_worker import conformance
from tasker_worker.attempt import Attempt
from tasker_worker.batch import Batch
from tasker_worker.registry import HandlerEntry
from tasker_worker.reports import Reports, sent_by
from tasker_worker.wire import codec, quick
from tasker_worker.wire.errors import DecodeError
from tasker_worker.wire.jsontext import depth_within
from tests.support.fake_orchestrator import a_step

VECTORS = os.path.join(os.path.dirname(__file__), "..", "..", "..", "..", "protocol", "vectors")
BATCH_ID = "0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21"
SESSION = "00ff12ab34cd56ef"


def batch_body(steps, **changes):
    body = {
        "message_type": "step_batch_request",
        "protocol_version": "1.0",
        "orchestrator_id": "o",
        "epoch": 3,
        "batch_id": BATCH_ID,
        "handler_class": "X",
        "steps": steps,
    }
    return {**body, **changes}


def encoded(value):
    return json.dumps(value).encode()


@pytest.mark.parametrize("vector", conformance.vectors_in(VECTORS), ids=lambda vector: vector["name"])
def test_golden_vectors(vector):
    line = conformance.judge(vector)
    expected = {"name": vector["name"], "accept": vector["accept"]}
    if vector["accept"]:
        expected["canonical"] = vector["canonical"]
    else:
        expected["code"] = vector["code"]
    assert line == expected


def test_the_vectors_cover_every_message_type():
    from tasker_worker.wire.messages import MESSAGE_TYPES

    seen = {v["canonical"]["message_type"] for v in conformance.vectors_in(VECTORS) if v["accept"]}
    assert seen == set(MESSAGE_TYPES.values())


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"task_context": {"a": [1, {"b": [2.5, None, True, "x"]}]}},
        {"claim_first": True},
        {"claim_first": None},
        {"handler_config": {"é": "ü\u0000"}},
    ],
)
def test_the_short_way_and_the_general_one_read_the_same(change, monkeypatch):
    body = encoded(batch_body([a_step(1, "X", **change), a_step(2, "X")]))
    short = codec.decode_orchestrator_message(body)
    assert quick.read_step_batch(json.loads(body), 64) is not None
    monkeypatch.setattr(codec, "read_step_batch", lambda data, depth: None)
    assert codec.decode_orchestrator_message(body) == short


FAULTS = [
    ({"step_id": 0}, "out_of_range"),
    ({"step_id": "1"}, "wrong_type"),
    ({"step_id": True}, "wrong_type"),
    ({"step_id": 2**63}, "out_of_range"),
    ({"task_id": None}, "missing_field"),
    ({"namespace": ""}, "out_of_range"),
    ({"step_name": "a\u0000"}, "out_of_range"),
    ({"handler_class": 3}, "wrong_type"),
    ({"task_context": []}, "wrong_type"),
    ({"previous_results": None}, "missing_field"),
    ({"attempt": 0}, "out_of_range"),
    ({"attempt": 2**31}, "out_of_range"),
    ({"retry_limit": 0}, "out_of_range"),
    ({"timeout_ms": 0}, "out_of_range"),
    ({"sequence": 0}, "out_of_range"),
    ({"created_at": "yesterday"}, "out_of_range"),
    ({"created_at": "2026-02-30T00:00:00Z"}, "out_of_range"),
    ({"idempotency_key": ""}, "out_of_range"),
    ({"claim_first": 1}, "wrong_type"),
    ({"metadata": 7}, "wrong_type"),
]


@pytest.mark.parametrize("change, code", FAULTS)
def test_a_faulty_step_is_refused_with_its_place(change, code):
    with pytest.raises(DecodeError) as caught:
        codec.decode_orchestrator_message(encoded(batch_body([a_step(1, "X"), a_step(2, "X", **change)])))
    assert caught.value.code == code
    assert caught.value.field.startswith("steps[1].")
    assert caught.value.field.endswith(next(iter(change)))


def deep(levels):
    return json.loads("[" * levels + "]" * levels)


@pytest.mark.parametrize("field", ["task_context", "handler_config", "previous_results"])
def test_depth_counts_from_the_message(field):
    # message, steps, step and the field's own object are four levels
    ok = batch_body([a_step(1, "X", **{field: {"x": deep(60)}})])
    codec.decode_orchestrator_message(encoded(ok))
    too_deep = batch_body([a_step(1, "X", **{field: {"x": deep(61)}})])
    with pytest.raises(DecodeError) as caught:
        codec.decode_orchestrator_message(encoded(too_deep))
    assert caught.value.code == "too_deep"


def test_an_unknown_field_is_ignored_but_its_depth_counts():
    codec.decode_orchestrator_message(encoded(batch_body([{**a_step(1, "X"), "later": {"a": 1}}])))
    with pytest.raises(DecodeError) as caught:
        codec.decode_orchestrator_message(encoded(batch_body([{**a_step(1, "X"), "later": deep(62)}])))
    assert caught.value.code == "too_deep"


def true_depth(value):
    if isinstance(value, dict):
        return 1 + max(map(true_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(true_depth, value), default=0)
    return 0


def test_depth_of_text_agrees_with_a_walk():
    import random

    seed = int(os.environ.get("TEST_SEED", random.randrange(2**32)))
    print(f"TEST_SEED={seed}")
    chance = random.Random(seed)
    texts = ["", "[", "]]", "{}", 'a"b', "\\", '\\"[', "}{"]

    def value(budget):
        kind = chance.random()
        if budget == 0 or kind < 0.3:
            return chance.choice(texts + [1, None, 2.5])
        if kind < 0.65:
            return [value(budget - 1) for _ in range(chance.randrange(4))]
        return {chance.choice(texts) + str(i): value(budget - 1) for i in range(chance.randrange(4))}

    for _ in range(500):
        sample = value(6)
        text = json.dumps(sample, ensure_ascii=chance.random() < 0.5).encode()
        depth = true_depth(sample)
        for limit in (depth - 1, depth, depth + 1):
            if limit >= 0:
                assert depth_within(text, limit) == (depth <= limit), (seed, text, limit)


@pytest.mark.parametrize(
    "body, code",
    [
        (b'{"message_type": "heartbeat"', "malformed_json"),
        (b"\xff{}", "invalid_utf8"),
        (b"[1]", "wrong_type"),
        (b'{"message_type": "heartbeat", "n": NaN}', "malformed_json"),
        (b'{"message_type": "hello"}', "unknown_type"),
        (b'{"message_type": "heartbeat", "protocol_version": "2.0"}', "unsupported_version"),
        (b"[" * 100_000, "too_deep"),
        (b"[" * 100 + b"]" * 100, "too_deep"),
        (b" " * (16 * 1024 * 1024 + 1), "too_large"),
    ],
)
def test_nasty_texts(body, code):
    with pytest.raises(DecodeError) as caught:
        codec.decode_orchestrator_message(body)
    assert caught.value.code == code


def context_of(number):
    """What a handler gets for this spelling of a number."""
    text = encoded(batch_body([a_step(1, "X")])).decode()
    huge = text.replace('"task_context": {}', '"task_context": {"a": %s}' % number)
    return codec.decode_orchestrator_message(huge.encode()).steps[0].task_context["a"]


@pytest.mark.parametrize(
    "spelling, value",
    [
        ("9" * 5000, 10**5000 - 1),
        ("-1" + "0" * 5000, -(10**5000)),
        ("1" + "0" * (codec.DIGITS_MAX - 1), 10 ** (codec.DIGITS_MAX - 1)),
        ("1e999", 10**999),
        ("-12.5E+400", -125 * 10**399),
        ("0." + "0" * 500 + "1e900", 10**399),
        ("1" + "0" * 500 + ".5", 10**500),
        ("1" + "0" * 500 + ".25e-100", 10**400),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1e-400", 0.0),
        ("1e-99999999999999999999999", 0.0),
    ],
    ids=lambda value: "",
)
def test_numbers_arrive_as_themselves_however_large(spelling, value):
    found = context_of(spelling)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "spelling",
    ["1" * (codec.DIGITS_MAX + 1), "1e140000", "-1e99999999999999999999999", "1" * 5_000_000],
    ids=["digits", "exponent", "long exponent", "very long"],
)
def test_numbers_that_no_document_of_the_database_holds_are_refused(spelling):
    with pytest.raises(DecodeError) as caught:
        context_of(spelling)
    assert caught.value.code == "out_of_range"


# ---------------------------------------------------------------------- reports written as text


def a_run(**changes):
    step = codec.decode_orchestrator_message(encoded(batch_body([a_step(5, "X", **changes)]))).steps[0]
    writer = Reports('w"\u00e9')
    batch = Batch(BATCH_ID, SESSION, writer.batch_prefix(BATCH_ID, SESSION), 0.0)
    return writer, batch, Attempt(step, batch, HandlerEntry("X", None, None))


def decoded(frame):
    topic, body = codec.split_frame(frame)
    return topic.decode(), codec.decode_worker_message(body)


def test_a_partial_result_decodes_to_what_was_written():
    writer, _, run = a_run(attempt=3)
    sequence, frame = writer.partial(run, "completed", '{"a":"ü"}', None, 12)
    topic, message = decoded(frame)
    assert (topic, sequence) == ("results", 1)
    assert (message.step_id, message.attempt, message.status) == (5, 3, "completed")
    assert (message.batch_id, message.session, message.worker_id) == (BATCH_ID, SESSION, 'w"\u00e9')
    assert (message.output, message.sequence, message.execution_time_ms) == ({"a": "ü"}, 1, 12)


def test_an_error_report_decodes_to_what_was_written():
    writer, _, run = a_run()
    error = {"message": 'a"b', "error_type": "E", "retryable": True, "retry_after_seconds": 0.5}
    _, frame = writer.partial(run, "failed", None, error, 0)
    assert decoded(frame)[1].error == error


def test_a_completion_counts_what_was_reported():
    writer, batch, run = a_run()
    batch.summaries += [writer.summary(run, "completed", 3), writer.summary(run, "failed", 4)]
    batch.completed, batch.failed = 1, 1
    sequence, frame = writer.completion(batch, 9)
    _, message = decoded(frame)
    assert sequence == message.sequence == 1
    counts = (message.total_steps, message.completed_steps, message.failed_steps, message.in_progress_steps)
    assert counts == (2, 1, 1, 0)
    assert [summary.final_status for summary in message.step_summaries] == ["completed", "failed"]


def test_acceptance_and_rejection_decode():
    writer, batch, _ = a_run()
    topic, message = decoded(writer.accepted(BATCH_ID, SESSION))
    assert (topic, message.batch_id, message.session) == ("workers", BATCH_ID, SESSION)
    _, frame = writer.rejection(batch, [(5, 1, "draining"), (6, 2, "draining")])
    topic, message = decoded(frame)
    assert (topic, message.sequence) == ("workers", 1)
    assert [(s.step_id, s.attempt, s.reason) for s in message.steps] == [
        (5, 1, "draining"),
        (6, 2, "draining"),
    ]


def test_a_report_sent_by_another_session_says_so_once():
    writer, _, run = a_run()
    _, frame = writer.partial(run, "completed", '{"sent_by":"x"}', None, 1)
    first = sent_by(frame, "1" * 16)
    assert decoded(first)[1].sent_by == "1" * 16
    second = sent_by(first, "2" * 16)
    message = decoded(second)[1]
    assert (message.sent_by, message.session, message.output) == ("2" * 16, SESSION, {"sent_by": "x"})
    assert second.count(b'"sent_by":"2222222222222222"') == 1 and b"1111111111111111" not in second
