"""Chapters "Frames and topics", "Rules for every message", "Errors": what is ignored, and what is not."""

import json
import uuid
from typing import Any, Dict, List

from ..frames import TOPICS
from ..orchestrator import Orchestrator
from ..rulebook import rule
from ..trial import UNKNOWN_HANDLER, Trial, require

RULES_FOR_ALL = "Rules for every message"


def _still_works(trial: Trial, orchestrator: Orchestrator, step_id: int, forbidden: str) -> None:
    """A good batch runs, and it is the only one that ran."""
    batch = orchestrator.batch([trial.step(step_id)])
    orchestrator.final(batch, step_id)
    started = trial.starts()
    require(started == [step_id], f"steps {[one for one in started if one != step_id]} ran {forbidden}")
    require(not orchestrator.of("goodbye"), f"it said goodbye {forbidden}")


@rule("Errors")
def garbage_ignored(trial: Trial) -> str:
    """Frames that cannot be understood are dropped, change nothing, and are never answered."""
    orchestrator, _worker = trial.session()
    session = orchestrator.session
    since = orchestrator.mark()
    texts = [
        b"",
        b"no json",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe{}",
        b"{}",
        b'{"message_type":"dance"}',
        b'{"message_type":17}',
        b'{"message_type":"step_batch_request","protocol_version":"1.0","orchestrator_id":"x","epoch":1}',
        b'{"message_type":"probe","orchestrator_id":"x","epoch":"one","nonce":"n"}',
        b'{"message_type":"probe","orchestrator_id":"x","epoch":1,"nonce":null}',
        b'{"message_type":"heartbeat","orchestrator_id":"x","epoch":1,"n":-1}',
        b"[" * 2000 + b"]" * 2000,
        b'{"message_type":"probe","orchestrator_id":"x","epoch":1,"nonce":"a"} trailing',
    ]
    for topic in (f"steps.{session} ", f"control.{session} "):
        orchestrator.send_frame(topic.encode()[:-1] + b" ")
        for text in texts:
            orchestrator.send_frame(topic.encode() + text)
    _still_works(trial, orchestrator, 1, "because of garbage")
    answered = {message.kind for message in orchestrator.received[since:]} - {
        "worker_heartbeat",
        "batch_accepted",
        "partial_result",
        "batch_completion",
    }
    require(not answered, f"garbage was answered with {', '.join(sorted(answered))}")
    return f"{2 * len(texts)} bad frames dropped, work goes on"


@rule(RULES_FOR_ALL)
def wrong_version_ignored(trial: Trial) -> str:
    """A message whose protocol_version is not 1.<digits> is dropped."""
    orchestrator, _worker = trial.session()
    for number, version in enumerate(("2.0", "1", "1.x", "01.0", " 1.0"), 101):
        orchestrator.batch([trial.step(number)], protocol_version=version)
        orchestrator.control("drain", deadline_ms=0, protocol_version=version)
    _still_works(trial, orchestrator, 1, "of another protocol_version")
    return "batches and drains of 5 wrong versions dropped"


@rule("Frames and topics")
def topics_compared(trial: Trial) -> str:
    """The worker compares topics for equality: frames for other sessions, for `steps`, and messages on a
    topic where they do not belong are dropped."""
    orchestrator, _worker = trial.session(delivers_all=True)
    session = orchestrator.session
    topics = ["steps", f"steps.{session}0", f"steps.{session[:-1]}", "steps.0000000000000000", "steps."]
    for number, topic in enumerate([*topics, f"control.{session}"], 101):
        orchestrator.batch([trial.step(number)], topic=topic)
    for topic in (f"control.{session}0", "control.0000000000000000", f"steps.{session}"):
        orchestrator.send(topic, "drain", session=session, deadline_ms=0)
    _still_works(trial, orchestrator, 1, "that came on another topic")
    return f"{len(topics) + 1} batches and 3 drains on other topics dropped"


@rule(RULES_FOR_ALL)
def other_session_ignored(trial: Trial) -> str:
    """A message on the worker's own topic that names another session is dropped."""
    orchestrator, _worker = trial.session()
    other = "0123456789abcdef"
    orchestrator.control("drain", session=other, deadline_ms=0)
    _still_works(trial, orchestrator, 1, "of another session")
    return "a drain for another session dropped"


@rule(RULES_FOR_ALL)
def reader_tolerant(trial: Trial) -> str:
    """Unknown fields, later versions 1.<digits>, an absent version, PascalCase types, null for optional
    fields, and white space in the JSON are accepted."""
    orchestrator, _worker = trial.session()
    ways: List[Dict[str, Any]] = [
        {"protocol_version": "1.7", "a_later_field": {"x": [1]}},
        {"protocol_version": None},
        {"message_type": "StepBatchRequest"},
    ]
    for number, way in enumerate(ways, 1):
        step = trial.step(number)
        step["a_later_field"] = 1
        step["metadata"].update(a_later_field=True, traceparent=None, claim_first=None)
        orchestrator.final(orchestrator.batch([step], **way), number)
    body: Dict[str, Any] = {
        "message_type": "step_batch_request",
        "orchestrator_id": "conformance",
        "epoch": orchestrator.epoch,
    }
    batch = str(uuid.uuid4())
    step = trial.step(9)
    body.update(batch_id=batch, handler_class=step["handler_class"], steps=[step])
    text = json.dumps(body, indent=2).replace("\n", "\r\n")
    orchestrator.send_frame(f"steps.{orchestrator.session}  \n{text}\n ".encode())
    orchestrator.final(batch, 9)
    require(trial.starts() == [1, 2, 3, 9], f"steps {trial.starts()} ran instead of 1, 2, 3, 9")
    return f"{len(ways) + 1} unusual but legal batches ran"


@rule(RULES_FOR_ALL)
def numbers_exact(trial: Trial) -> str:
    """Ids reach to 2^63-1 and come back exactly, as does the batch_id with its capital letters."""
    orchestrator, _worker = trial.session()
    big = 2**63 - 1
    batch = str(uuid.uuid4()).upper()
    orchestrator.batch([trial.step(big, attempt=2**31 - 1)], batch_id=batch)
    report = orchestrator.final(batch, big)
    require(report.body.get("attempt") == 2**31 - 1, f"attempt came back as {report.body.get('attempt')}")
    return f"step_id {big}, attempt {2**31 - 1}"


@rule(RULES_FOR_ALL)
def every_frame_valid(trial: Trial) -> str:
    """Every frame fits its JSON Schema, its topic, the version and the limits; this rule answers for the
    frames of the whole run."""
    orchestrator, _worker = trial.session()
    steps = [
        trial.step(1),
        trial.step(2, fail="not now", retry_after_seconds=2.5),
        trial.step(3, error="never"),
        trial.step(4, crash="on its own"),
        trial.step(5, handler_class=UNKNOWN_HANDLER),
        trial.step(6, sleep_ms=300),
    ]
    batch = orchestrator.batch(steps)
    orchestrator.get("batch_completion", batch_id=batch)
    orchestrator.control("drain", deadline_ms=5000)
    orchestrator.get("goodbye")
    kinds = {message.kind for message in orchestrator.received} & set(TOPICS)
    return f"{len(orchestrator.received)} frames of {len(kinds)} types here, and those of all other rules"
