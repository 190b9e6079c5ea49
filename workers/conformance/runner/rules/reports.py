"""Chapter "Reports, acks and the outbox"."""

from typing import Any, Dict, List, Tuple

from ..frames import Received, inventory
from ..orchestrator import Orchestrator
from ..rulebook import rule
from ..trial import Trial, refs, require
from .hello import gaps, shown
from .work import REPORTS


def _reported(trial: Trial, **settings: int) -> Tuple[Orchestrator, Received, Received]:
    """A worker with one report and one completion that nobody has acked."""
    orchestrator, _worker = trial.session(heartbeat_ms=150, **settings)
    orchestrator.acks = False
    batch = orchestrator.batch([trial.step(1)])
    completion = orchestrator.get("batch_completion", batch_id=batch)
    return orchestrator, orchestrator.final(batch, 1), completion


def _require_same(messages: List[Received]) -> None:
    frames = {message.frame for message in messages}
    require(len(frames) == 1, f"a {messages[0].kind} was sent again with other bytes")


@rule(REPORTS)
def resend_same_bytes(trial: Trial) -> str:
    """An unacked report is sent again after resend_ms, byte for byte the same, and each pause is twice as
    long as the one before."""
    first = 300
    orchestrator, report, completion = _reported(trial, resend_ms=first)
    batch = report.body["batch_id"]
    orchestrator.get("partial_result", count=4, batch_id=batch, status="completed")
    orchestrator.get("batch_completion", count=4, batch_id=batch)
    for kind in ("partial_result", "batch_completion"):
        messages = orchestrator.of(kind, batch_id=batch)[:4]
        _require_same(messages)
        pauses = gaps(messages)
        for number, pause in enumerate(pauses):
            wanted = first / 1000 * 2**number
            high = wanted * 1.5 + 0.3 * trial.setup.patience
            require(
                0.75 * wanted <= pause <= high,
                f"{kind} was sent again after {shown(pauses)}; resend_ms is {first}, doubling",
            )
    return f"after {shown(pauses)} with resend_ms {first}"


@rule(REPORTS)
def ack_ends_resend(trial: Trial) -> str:
    """What an ack names is not sent again and no longer listed as unacked; what it does not name is; an ack
    for something unknown is no error."""
    orchestrator, report, completion = _reported(trial, resend_ms=200)
    unknown = {"batch_id": "0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21", "sequences": [1, 99]}
    orchestrator.control("ack", batches=[unknown], rejected=[])
    orchestrator.ack(report)
    beat = orchestrator.beat_of_now()
    require(not inventory(beat, "unacked"), f"unacked is {inventory(beat, 'unacked')} after the ack")
    since = orchestrator.mark()
    orchestrator.get("batch_completion", since, batch_id=completion.body["batch_id"])
    require(not orchestrator.of("partial_result", since), "a report was sent again after its ack")
    orchestrator.ack(completion)
    orchestrator.beat_of_now()
    since = orchestrator.mark()
    orchestrator.pass_time(1.2)
    again = {message.kind for message in orchestrator.received[since:]} - {"worker_heartbeat"}
    require(not again, f"after the acks it sent {', '.join(sorted(again))}")
    return "nothing within 1.2 s after the acks"


@rule(REPORTS)
def rejected_ends_resend(trial: Trial) -> str:
    """What an ack lists as rejected is taken out of the outbox and not sent again."""
    orchestrator, report, completion = _reported(trial, resend_ms=200)
    listed = [
        {"batch_id": one.body["batch_id"], "sequence": one.body["sequence"], "code": code}
        for one, code in ((report, "wrong_session"), (completion, "a_later_code"))
    ]
    orchestrator.control("ack", batches=[], rejected=listed)
    beat = orchestrator.beat_of_now()
    require(not inventory(beat, "unacked"), f"unacked is {inventory(beat, 'unacked')} after the refusal")
    since = orchestrator.mark()
    orchestrator.pass_time(1.2)
    again = {message.kind for message in orchestrator.received[since:]} - {"worker_heartbeat"}
    require(not again, f"after the refusal it sent {', '.join(sorted(again))}")
    return "nothing within 1.2 s after rejected"


@rule(REPORTS)
def hand_back_is_resent(trial: Trial) -> str:
    """A batch_rejected waits in the outbox like a report: it is listed as unacked and sent again
    unchanged."""
    orchestrator, _worker = trial.session(resend_ms=250)
    orchestrator.acks = False
    batch = orchestrator.batch([trial.step(1, handler_class="Conformance::NobodyHasThisHandler")])
    orchestrator.get("batch_rejected", batch_id=batch)
    listed = inventory(orchestrator.beat_of_now(), "unacked")
    require(listed == refs((batch, 1, 1)), f"unacked is {listed}; the hand-back of step 1 is not acked")
    orchestrator.get("batch_rejected", count=3, batch_id=batch)
    _require_same(orchestrator.of("batch_rejected", batch_id=batch))
    orchestrator.ack(orchestrator.of("batch_rejected")[0])
    orchestrator.wait("acked hand-back", lambda: not inventory(orchestrator.beat_of_now(), "unacked"))
    return "listed, sent again unchanged, ended by its ack"


@rule(REPORTS)
def ready_restarts_waits(trial: Trial) -> str:
    """After each ready the pauses between repetitions start anew."""
    first = 200
    orchestrator, report, _completion = _reported(trial, resend_ms=first)
    batch = report.body["batch_id"]
    # The pauses are 200, 400, 800, 1600 ms: the next one after the fifth message would be 3200 ms.
    orchestrator.get("partial_result", count=5, batch_id=batch)
    since = orchestrator.mark()
    ready = orchestrator.ready("anew")
    again = orchestrator.get("partial_result", since, batch_id=batch, limit_s=2)
    late = again.at - ready.at
    require(late <= first / 1000 + 0.5 * trial.setup.patience, f"sent again {late * 1000:.0f} ms after ready")
    return f"sent again {max(late, 0) * 1000:.0f} ms after ready; without it, 3200 ms"


@rule(REPORTS)
def report_request_answered(trial: Trial) -> str:
    """report_request brings what it asks for at once: by sequences, by steps, or all of the batch; what is
    gone is ignored."""
    orchestrator, _worker = trial.session(resend_ms=20_000, heartbeat_ms=100)
    orchestrator.acks = False
    batch = orchestrator.batch([trial.step(1), trial.step(2)])
    completion = orchestrator.get("batch_completion", batch_id=batch)
    reports = {number: orchestrator.final(batch, number) for number in (1, 2)}
    asked: List[Tuple[Dict[str, Any], List[Received]]] = [
        ({"step_ids": [2]}, [reports[2]]),
        ({"sequences": [completion.body["sequence"], 99]}, [completion]),
        ({"sequences": [reports[1].body["sequence"]]}, [reports[1]]),
        ({}, [reports[1], reports[2], completion]),
    ]
    for fields, wanted in asked:
        since = orchestrator.mark()
        orchestrator.control("report_request", batch_id=batch, **fields)
        orchestrator.beat_of_now()
        came = {one.frame for one in orchestrator.received[since:] if one.kind != "worker_heartbeat"}
        require(
            came == {one.frame for one in wanted},
            f"asked for {fields or 'all'}: {len(came)} messages came, {len(wanted)} were expected, unchanged",
        )
    orchestrator.ack(*reports.values(), completion)
    orchestrator.beat_of_now()
    since = orchestrator.mark()
    orchestrator.control("report_request", batch_id=batch)
    orchestrator.beat_of_now()
    again = [one.kind for one in orchestrator.received[since:] if one.kind != "worker_heartbeat"]
    require(not again, f"asked for what was acked it sent {again}")
    return "by step, by sequence, all; nothing of what was acked"


@rule(REPORTS, needs=("capacity", "outbox_limit"))
def outbox_full(trial: Trial) -> str:
    """When the outbox is full no step starts: it stays held until there is room again."""
    orchestrator, _worker = trial.session("--outbox-limit", "4", capacity=1)
    orchestrator.acks = False
    done = []
    for number in (1, 2):
        batch = orchestrator.batch([trial.step(number)])
        done.append(orchestrator.get("batch_completion", batch_id=batch))
    batch = orchestrator.batch([trial.step(3)])
    orchestrator.get("batch_accepted", batch_id=batch)
    orchestrator.pass_time(0.6)
    beat = orchestrator.beat_of_now()
    require(trial.starts() == [1, 2], "a step started although 4 reports of at most 4 wait in the outbox")
    require(inventory(beat, "held") == refs((batch, 3, 1)), f"held is {inventory(beat, 'held')}")
    waiting = sorted({one.body["step_id"] for one in orchestrator.of("partial_result")})
    orchestrator.ack(*orchestrator.of("partial_result"), *done)
    orchestrator.acks = True
    orchestrator.final(batch, 3)
    return f"reports of steps {waiting} waited, step 3 was held until the acks"
