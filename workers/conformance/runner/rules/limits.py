"""Chapters "Work", "Limits": sizes, hints of long steps, time-outs."""

import json
from typing import Any

from ..frames import inventory
from ..rulebook import rule
from ..trial import Trial, reasons, refs, require
from .work import REPORTS, WORK, require_counts, require_in_sequence


def _batch_bytes(trial: Trial, padding: int) -> int:
    """How long the JSON of a batch is whose context holds so many characters; as `Orchestrator.send` writes
    it."""
    orchestrator = trial.orchestrators[0]
    before = orchestrator.send_frame
    sizes = []
    orchestrator.send_frame = lambda frame: sizes.append(len(frame.partition(b" ")[2]))  # type: ignore
    orchestrator.batch([trial.step(1, context={"text": "x" * padding})])
    orchestrator.send_frame = before  # type: ignore
    return sizes[0]


@rule("Limits")
def batch_too_large(trial: Trial) -> str:
    """A batch over limits.batch_bytes is handed back as `too_large`; one of exactly that size is taken."""
    limit = 4000
    orchestrator, _worker = trial.session(limits={"batch_bytes": limit})
    padding = limit - _batch_bytes(trial, 0)
    fits = orchestrator.batch([trial.step(1, context={"text": "x" * padding})])
    orchestrator.final(fits, 1)
    for number, extra in ((2, 1), (3, 3000)):
        over = orchestrator.batch([trial.step(number, context={"text": "x" * (padding + extra)})])
        rejected = orchestrator.get("batch_rejected", batch_id=over)
        require(
            reasons(rejected) == {number: "too_large"}, f"{extra} bytes over the limit: {reasons(rejected)}"
        )
    orchestrator.final(orchestrator.batch([trial.step(4)]), 4)
    require(trial.starts() == [1, 4], f"steps {trial.starts()} ran instead of 1 and 4")
    return f"{limit} bytes taken, {limit + 1} and {limit + 3000} handed back"


@rule("Limits")
def batch_too_deep(trial: Trial) -> str:
    """A batch nested deeper than limits.depth is handed back as `too_large`; one of exactly that depth is
    taken."""
    limit = 20
    orchestrator, _worker = trial.session(limits={"depth": limit})
    # The message, its steps, a step and its context are four levels.
    fits = orchestrator.batch([trial.step(1, context={"x": nested(limit - 4)})])
    orchestrator.final(fits, 1)
    for number, extra in ((2, 1), (3, 10)):
        over = orchestrator.batch([trial.step(number, context={"x": nested(limit - 4 + extra)})])
        rejected = orchestrator.get("batch_rejected", batch_id=over)
        require(reasons(rejected) == {number: "too_large"}, f"{limit + extra} deep: {reasons(rejected)}")
    orchestrator.final(orchestrator.batch([trial.step(4)]), 4)
    require(trial.starts() == [1, 4], f"steps {trial.starts()} ran instead of 1 and 4")
    return f"{limit} deep taken, {limit + 1} and {limit + 10} deep handed back"


def nested(depth: int) -> Any:
    """An array in an array …, so many deep."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@rule("Limits")
def output_too_large(trial: Trial) -> str:
    """An output over limits.result_bytes is reported as `error` with the code `output_too_large`, without the
    output."""
    limit = 5000
    orchestrator, _worker = trial.session(limits={"result_bytes": limit})
    room = limit - len(json.dumps({"text": ""}, separators=(", ", ": ")))
    batch = orchestrator.batch([trial.step(1, output_bytes=room), trial.step(2, output_bytes=limit)])
    status = orchestrator.final(batch, 1).body["status"]
    require(status == "completed", f"an output within the limit was reported as {status}")
    report = orchestrator.final(batch, 2).body
    code = (report.get("error") or {}).get("error_code")
    require(
        (report["status"], code) == ("error", "output_too_large"),
        f"an output over the limit was reported as {report['status']} with the code {code}",
    )
    require("output" not in report, "the output over the limit was sent all the same")
    return f"{limit} bytes sent, more is error output_too_large"


@rule("Limits")
def output_too_deep(trial: Trial) -> str:
    """An output that the request of a later step would nest deeper than limits.depth (four levels are around
    it) is reported as `error`, without the output."""
    orchestrator, _worker = trial.session()
    batch = orchestrator.batch([trial.step(1, output_depth=60), trial.step(2, output_depth=61)])
    status = orchestrator.final(batch, 1).body["status"]
    require(status == "completed", f"an output nested 60 deep was reported as {status}")
    report = orchestrator.final(batch, 2).body
    require(report["status"] == "error", f"an output nested 61 deep was reported as {report['status']}")
    require("output" not in report, "the output that is nested too deep was sent all the same")
    return f"60 deep sent, 61 deep is error {(report.get('error') or {}).get('error_code')}"


@rule(REPORTS)
def in_progress_after_200_ms(trial: Trial) -> str:
    """An in_progress report is sent once a handler has run 200 ms, never before and never for shorter ones;
    it takes a sequence number, and it is not kept for the outbox."""
    orchestrator, _worker = trial.session(resend_ms=200)
    orchestrator.acks = False
    short = orchestrator.batch([trial.step(1, sleep_ms=60)])
    orchestrator.get("batch_completion", batch_id=short)
    batch = orchestrator.batch([trial.step(2, until=trial.gate())])
    trial.wait_for_start(orchestrator, 2)
    hint = orchestrator.get("partial_result", status="in_progress")
    age = hint.body["execution_time_ms"]
    require(hint.body["step_id"] == 2, "a handler of 60 ms was announced as in_progress")
    require(190 <= age <= 900 * trial.setup.patience, f"in_progress came when the handler had run {age} ms")
    orchestrator.pass_time(0.5)
    beat = orchestrator.beat_of_now()
    require(
        inventory(beat, "unacked") == refs((short, 1, 1)), "unacked lists a step that is only in progress"
    )
    trial.open_gate()
    orchestrator.get("batch_completion", batch_id=batch)
    orchestrator.pass_time(0.5)
    count = len(orchestrator.of("partial_result", status="in_progress"))
    require(count == 1, f"in_progress was sent {count} times")
    require_in_sequence(orchestrator, batch)
    return f"once, after {age} ms; not for a handler of 60 ms"


@rule(WORK)
def timeout_handler_stops(trial: Trial) -> str:
    """At timeout_ms a handler is told to stop; one that stops is reported as `failed`, retryable, and not
    with handler_stopped false."""
    orchestrator, _worker = trial.session()
    batch = orchestrator.batch([trial.step(1, timeout_ms=400, until=trial.gate())])
    report = orchestrator.final(batch, 1).body
    error = report.get("error") or {}
    said = (report["status"], error.get("retryable") is not False, error.get("handler_stopped") is not False)
    require(said == ("failed", True, True), f"it was reported as {report['status']} with {error}")
    age = report["execution_time_ms"]
    require(390 <= age <= 2000 * trial.setup.patience, f"timeout_ms 400, reported after {age} ms")
    return f"failed after {age} ms of 400"


@rule(WORK, needs=("capacity",))
def timeout_handler_runs_on(trial: Trial) -> str:
    """A handler that ignores its time-out is reported with handler_stopped false, stays listed as running
    (once) and keeps its slot until it ends; what it returns then is dropped."""
    orchestrator, _worker = trial.session(capacity=1, heartbeat_ms=150)
    orchestrator.acks = False
    batch = orchestrator.batch([trial.step(1, timeout_ms=300, until=trial.gate(), deaf=True)])
    first = orchestrator.final(batch, 1)
    error = first.body.get("error") or {}
    require(
        first.body["status"] == "failed" and error.get("handler_stopped") is False,
        f"it was reported as {first.body['status']} with {error}",
    )
    completion = orchestrator.get("batch_completion", batch_id=batch)
    require_counts(completion, 1, 0, 1)
    behind = orchestrator.batch([trial.step(2)])
    orchestrator.get("batch_accepted", batch_id=behind)
    beat = orchestrator.beat_of_now()
    require(inventory(beat, "running") == refs((batch, 1, 1)), f"running is {inventory(beat, 'running')}")
    require(inventory(beat, "held") == refs((behind, 2, 1)), f"held is {inventory(beat, 'held')}")
    orchestrator.ack(first, completion)
    orchestrator.beat_of_now()
    require(trial.starts() == [1], "another step took the slot of a handler that still runs")
    trial.open_gate()
    orchestrator.final(behind, 2)
    orchestrator.acks = True
    orchestrator.pass_time(0.3)
    finals = {
        one.frame
        for one in orchestrator.of("partial_result", step_id=1)
        if one.body["status"] != "in_progress"
    }
    require(len(finals) == 1, "the late result of a timed-out handler was reported, too")
    require(
        not inventory(orchestrator.beat_of_now(), "running"),
        "a handler that ended late is still listed as running",
    )
    return "failed with handler_stopped false, slot kept, late result dropped"


@rule(WORK, needs=("capacity",))
def timeout_counts_from_start(trial: Trial) -> str:
    """timeout_ms counts from the start of the handler: waiting for a slot does not use it up."""
    orchestrator, _worker = trial.session(capacity=1)
    batch = orchestrator.batch([trial.step(1, sleep_ms=900), trial.step(2, timeout_ms=600, sleep_ms=50)])
    status = orchestrator.final(batch, 2).body["status"]
    require(
        status == "completed", f"a step that waited 900 ms, with timeout_ms 600, was reported as {status}"
    )
    return "waited 900 ms with timeout_ms 600, completed"
