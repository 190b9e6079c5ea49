"""Chapter "Work": batches are accepted, run once, reported, completed; what is cancelled does not start."""

from typing import Any, Dict, List

from ..frames import Received, inventory
from ..orchestrator import Orchestrator
from ..rulebook import rule
from ..trial import UNKNOWN_HANDLER, Trial, reasons, ref, refs, require

WORK = "Work"
REPORTS = "Reports, acks and the outbox"


def sequences_of(orchestrator: Orchestrator, batch_id: str) -> List[int]:
    """The sequence numbers of a batch's reports in the order of their first arrival."""
    numbers = [
        message.body["sequence"]
        for message in orchestrator.received
        if message.body.get("batch_id") == batch_id and "sequence" in message.body
    ]
    return list(dict.fromkeys(numbers))


def require_in_sequence(orchestrator: Orchestrator, batch_id: str) -> None:
    numbers = sequences_of(orchestrator, batch_id)
    wanted = list(range(1, len(numbers) + 1))
    require(numbers == wanted, f"the reports of a batch came with the sequences {numbers}")


def require_counts(completion: Received, total: int, completed: int, failed: int) -> None:
    body = completion.body
    counts = tuple(
        body.get(name) for name in ("total_steps", "completed_steps", "failed_steps", "in_progress_steps")
    )
    wanted = (total, completed, failed, 0)
    require(
        counts == wanted,
        f"the completion counts (total, completed, failed, in progress) {counts}, not {wanted}",
    )
    listed = len(body["step_summaries"])
    require(listed == total, f"the completion has {listed} summaries for {total} steps")


@rule(WORK)
def one_batch(trial: Trial) -> str:
    """A batch is accepted before anything is reported; then come its final report and its completion, and the
    handler got its context, results, key and attempt."""
    orchestrator, _worker = trial.session()
    context = {"text": "ü ✓", "list": [1, 2.5, None, True], "nested": {"a": {}}}
    previous: Dict[str, Any] = {"parent": {"sum": 3}, "other": None}
    since = orchestrator.mark()
    batch = orchestrator.batch([trial.step(1, attempt=2, context=context, previous=previous)])
    completion = orchestrator.get("batch_completion", batch_id=batch)
    mine = [one for one in orchestrator.received[since:] if one.body.get("batch_id") == batch]
    kinds = [message.kind for message in mine]
    require(
        kinds == ["batch_accepted", "partial_result", "batch_completion"],
        f"the batch was answered with {kinds}",
    )
    report = mine[1].body
    got = {name: report.get(name) for name in ("status", "attempt", "session")}
    wanted = {"status": "completed", "attempt": 2, "session": orchestrator.session}
    require(got == wanted, f"the report says {got} instead of {wanted}")
    output = {
        "context": context,
        "previous_results": previous,
        "idempotency_key": "conformance-1",
        "attempt": 2,
    }
    require(report.get("output") == output, f"the handler got {report.get('output')} instead of {output}")
    require_in_sequence(orchestrator, batch)
    require_counts(completion, 1, 1, 0)
    return "accepted, completed, batch completed"


@rule(REPORTS)
def outcomes_told_apart(trial: Trial) -> str:
    """A return is `completed`; a failure that may pass, and an exception that nobody planned, are `failed`; a
    failure for good is `error`; the completion counts them."""
    orchestrator, _worker = trial.session()
    steps = [
        trial.step(1, output={"ok": True}),
        trial.step(2, fail="not now", retry_after_seconds=2.5),
        trial.step(3, error="never"),
        trial.step(4, crash="on its own"),
    ]
    batch = orchestrator.batch(steps)
    completion = orchestrator.get("batch_completion", batch_id=batch)
    reports = {number: orchestrator.final(batch, number).body for number in (1, 2, 3, 4)}
    statuses = {number: report["status"] for number, report in reports.items()}
    wanted = {1: "completed", 2: "failed", 3: "error", 4: "failed"}
    require(statuses == wanted, f"the statuses are {statuses} instead of {wanted}")
    require(reports[1].get("output") == {"ok": True}, f"the output is {reports[1].get('output')}")
    for number, retryable in ((2, True), (3, False), (4, True)):
        said = (reports[number].get("error") or {}).get("retryable")
        fits = said is retryable or retryable and said is None
        require(fits, f"step {number} ended as {statuses[number]} with retryable {said}")
    after = reports[2]["error"].get("retry_after_seconds")
    require(after == 2.5, f"retry_after_seconds is {after} instead of 2.5")
    require(
        reports[3]["error"]["message"] == "never",
        f"the error's message is {reports[3]['error']['message']!r}",
    )
    summaries = {one["step_id"]: one["final_status"] for one in completion.body["step_summaries"]}
    require(summaries == wanted, f"the completion's summaries say {summaries}")
    require_counts(completion, 4, 1, 3)
    require_in_sequence(orchestrator, batch)
    return "completed, failed with retry_after_seconds, error, failed"


@rule(WORK)
def handler_exit_survived(trial: Trial) -> str:
    """A handler that tries to end the process ends its own step at most."""
    orchestrator, _worker = trial.session()
    batch = orchestrator.batch([trial.step(1, exit=True)])
    status = orchestrator.final(batch, 1).body["status"]
    require(status in ("failed", "error"), f"a handler that wanted to exit was reported as {status}")
    orchestrator.final(orchestrator.batch([trial.step(2)]), 2)
    return f"reported as {status}, the next step runs"


@rule(WORK, needs=("capacity",))
def order_and_capacity(trial: Trial) -> str:
    """Steps run in the order of the batch, as many at once as the capacity allows, and no more."""
    orchestrator, _worker = trial.session(capacity=2)
    batch = orchestrator.batch(
        [trial.step(number, until=trial.gate(f"gate-{number}")) for number in (9, 4, 7, 2)]
    )
    orchestrator.wait("start of two handlers", lambda: len(trial.starts()) >= 2)
    orchestrator.pass_time(0.4)
    require(
        sorted(trial.starts()) == [4, 9],
        f"with capacity 2 steps {trial.starts()} run; the batch is 9, 4, 7, 2",
    )
    for finished, following in ((4, 7), (9, 2)):
        trial.open_gate(f"gate-{finished}")
        orchestrator.wait(
            "start of the next handler", lambda: len(trial.starts()) > (2 if following == 7 else 3)
        )
        require(
            trial.starts()[-1] == following,
            f"steps started in the order {trial.starts()}; the batch is 9, 4, 7, 2",
        )
    for number in (7, 2):
        trial.open_gate(f"gate-{number}")
    orchestrator.get("batch_completion", batch_id=batch)
    require_in_sequence(orchestrator, batch)
    return f"started {trial.starts()}, two at once"


@rule(WORK)
def repeated_batch_running(trial: Trial) -> str:
    """A batch that comes again while it runs is accepted again and not run again."""
    orchestrator, _worker = trial.session()
    steps = [trial.step(1, until=trial.gate())]
    batch = orchestrator.batch(steps)
    trial.wait_for_start(orchestrator, 1)
    first = orchestrator.get("batch_accepted", batch_id=batch)
    for _ in range(2):
        since = orchestrator.mark()
        orchestrator.batch(steps, batch)
        again = orchestrator.get("batch_accepted", since, batch_id=batch)
        require(again.frame == first.frame, "the second batch_accepted differs from the first")
    trial.open_gate()
    orchestrator.get("batch_completion", batch_id=batch)
    orchestrator.pass_time(0.3)
    require(trial.starts() == [1], f"the handler ran {len(trial.starts())} times")
    finals = [one for one in orchestrator.of("partial_result") if one.body["status"] != "in_progress"]
    require(len({one.frame for one in finals}) == 1, "there are several final reports of one attempt")
    return "sent three times: accepted three times, run once"


@rule(WORK)
def repeated_batch_ended(trial: Trial) -> str:
    """A batch that comes again after its end is accepted again, what is unacked is sent again unchanged, and
    nothing runs again."""
    orchestrator, _worker = trial.session()
    orchestrator.acks = False
    steps = [trial.step(1)]
    batch = orchestrator.batch(steps)
    completion = orchestrator.get("batch_completion", batch_id=batch)
    report = orchestrator.final(batch, 1)
    since = orchestrator.mark()
    orchestrator.batch(steps, batch)
    orchestrator.get("batch_accepted", since, batch_id=batch)
    for message in (report, completion):
        again = orchestrator.get(message.kind, since, batch_id=batch)
        require(again.frame == message.frame, f"the {message.kind} that was sent again has other bytes")
    orchestrator.ack(report, completion)
    orchestrator.wait("acked report", lambda: not inventory(orchestrator.beat_of_now(), "unacked"))
    since = orchestrator.mark()
    orchestrator.batch(steps, batch)
    orchestrator.get("batch_accepted", since, batch_id=batch)
    orchestrator.pass_time(0.4)
    require(trial.starts() == [1], f"the handler ran {len(trial.starts())} times")
    require(not orchestrator.of("partial_result", since), "a report that was acked was sent again")
    return "unacked: all sent again unchanged; acked: accepted again; run once"


@rule(WORK)
def repeated_rejection(trial: Trial) -> str:
    """A batch of which nothing was taken is handed back again with the same bytes, also after the ack."""
    orchestrator, _worker = trial.session()
    steps = [trial.step(1, handler_class=UNKNOWN_HANDLER)]
    batch = orchestrator.batch(steps)
    first = orchestrator.get("batch_rejected", batch_id=batch)
    orchestrator.wait("acked hand-back", lambda: not inventory(orchestrator.beat_of_now(), "unacked"))
    since = orchestrator.mark()
    orchestrator.batch(steps, batch)
    again = orchestrator.get("batch_rejected", since, batch_id=batch)
    require(again.frame == first.frame, "the second batch_rejected differs from the first")
    require(
        not orchestrator.of("batch_accepted", batch_id=batch), "it accepted a batch of which it took nothing"
    )
    return "the same batch_rejected again"


@rule(WORK)
def unknown_handler(trial: Trial) -> str:
    """Steps of an unknown handler are handed back as `unknown_handler`; the rest of the batch runs, and the
    completion leaves them out. When every step was handed back there is none."""
    orchestrator, _worker = trial.session()
    mixed = orchestrator.batch([trial.step(1, handler_class=UNKNOWN_HANDLER), trial.step(2)])
    rejected = orchestrator.get("batch_rejected", batch_id=mixed)
    require(reasons(rejected) == {1: "unknown_handler"}, f"handed back: {reasons(rejected)}")
    require_counts(orchestrator.get("batch_completion", batch_id=mixed), 1, 1, 0)
    require_in_sequence(orchestrator, mixed)
    require(
        orchestrator.of("batch_accepted", batch_id=mixed), "the batch was not accepted, although a step ran"
    )
    whole = orchestrator.batch([trial.step(number, handler_class=UNKNOWN_HANDLER) for number in (3, 4)])
    found: Dict[int, str] = {}
    orchestrator.get("batch_rejected", batch_id=whole)
    orchestrator.pass_time(0.3)
    for message in orchestrator.of("batch_rejected", batch_id=whole):
        found.update(reasons(message))
    require(found == {3: "unknown_handler", 4: "unknown_handler"}, f"handed back: {found}")
    others = [
        kind for kind in ("batch_accepted", "batch_completion") if orchestrator.of(kind, batch_id=whole)
    ]
    require(not others, f"a batch that was handed back whole was answered with {others}")
    return "one of two handed back; two of two handed back"


@rule(WORK, needs=("snooze",))
def snoozed_handed_back(trial: Trial) -> str:
    """A step whose handler asks to be called again later is handed back as `snoozed` with `wait_seconds`,
    also after it was announced. It is not reported, the completion does not count it, and it runs again when
    it comes again."""
    orchestrator, _worker = trial.session()
    asked = trial.step(1, snooze=2.5, snooze_message="the bank is closed", sleep_ms=300)
    batch = orchestrator.batch([asked, trial.step(2)])
    rejected = orchestrator.get("batch_rejected", batch_id=batch)
    wanted = {"step_id": 1, "attempt": 1, "reason": "snoozed", "wait_seconds": 2.5}
    found = [{name: step.get(name) for name in wanted} for step in rejected.body["steps"]]
    require(found == [wanted], f"handed back: {found} instead of {[wanted]}")
    require_counts(orchestrator.get("batch_completion", batch_id=batch), 1, 1, 0)
    require_in_sequence(orchestrator, batch)
    reports = orchestrator.of("partial_result", batch_id=batch, step_id=1)
    finals = [report.body["status"] for report in reports if report.body["status"] != "in_progress"]
    require(not finals, f"a snoozed step was also reported as {finals}")
    alone = orchestrator.batch([trial.step(3, snooze=0.5)])
    orchestrator.get("batch_rejected", batch_id=alone)
    orchestrator.final(orchestrator.batch([trial.step(1, attempt=2)]), 1)
    completions = orchestrator.of("batch_completion", batch_id=alone)
    require(not completions, "a batch whose only step was snoozed has a completion")
    return "handed back with its time, not counted; the next attempt ran"


@rule(WORK)
def over_capacity(trial: Trial) -> str:
    """Steps beyond capacity x prefetch are handed back as `over_capacity`."""
    orchestrator, _worker = trial.session(capacity=2)
    hello = orchestrator.of("hello")[0].body
    room = hello["capacity"] * (hello.get("prefetch") or 2)
    steps = [trial.step(number, until=trial.gate()) for number in range(1, room + 3)]
    batch = orchestrator.batch(steps)
    rejected = orchestrator.get("batch_rejected", batch_id=batch)
    found = reasons(rejected)
    require(
        len(found) == 2 and set(found.values()) == {"over_capacity"},
        f"of {room + 2} steps it gave back {found}",
    )
    trial.open_gate()
    require_counts(orchestrator.get("batch_completion", batch_id=batch), room, room, 0)
    orchestrator.pass_time(0.2)
    ran = set(trial.starts()) & set(found)
    require(not ran, f"steps {sorted(ran)} were handed back and ran all the same")
    return f"2 of {room + 2} handed back, {room} ran"


@rule(WORK, needs=("capacity",))
def cancel_held_and_running(trial: Trial) -> str:
    """A cancel hands back what is held (it never starts) before it signals what runs, which reports as it
    ends."""
    orchestrator, _worker = trial.session(capacity=1)
    batch = orchestrator.batch([trial.step(1, until=trial.gate()), trial.step(2)])
    trial.wait_for_start(orchestrator, 1)
    orchestrator.get("batch_accepted", batch_id=batch)
    orchestrator.control("cancel", steps=[ref(batch, 1), ref(batch, 2)], reason="nobody wants it")
    rejected = orchestrator.get("batch_rejected", batch_id=batch)
    require(reasons(rejected) == {2: "cancelled"}, f"handed back: {reasons(rejected)}")
    report = orchestrator.final(batch, 1).body
    require(
        report["status"] in ("failed", "error"),
        f"a cancelled handler that stopped was reported as {report['status']}",
    )
    require_counts(orchestrator.get("batch_completion", batch_id=batch), 1, 0, 1)
    require_in_sequence(orchestrator, batch)
    orchestrator.pass_time(0.2)
    require(trial.starts() == [1], f"steps {trial.starts()} started; step 2 was cancelled while it was held")
    return "held: handed back as cancelled; running: told to stop, reported"


@rule(WORK, needs=("capacity",))
def cancel_of_others_ignored(trial: Trial) -> str:
    """A cancel for a step that the worker does not have, or has in another attempt, is ignored."""
    orchestrator, _worker = trial.session(capacity=1)
    batch = orchestrator.batch([trial.step(1, until=trial.gate()), trial.step(2, attempt=2)])
    trial.wait_for_start(orchestrator, 1)
    orchestrator.get("batch_accepted", batch_id=batch)
    elsewhere = "0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21"
    steps = [ref(batch, 1, 2), ref(batch, 2, 1), ref(batch, 3), ref(elsewhere, 1), ref(elsewhere, 2)]
    orchestrator.control("cancel", steps=steps, reason="a mistake")
    beat = orchestrator.beat_of_now()
    require(inventory(beat, "running") == refs((batch, 1, 1)), f"running is {inventory(beat, 'running')}")
    require(inventory(beat, "held") == refs((batch, 2, 2)), f"held is {inventory(beat, 'held')}")
    trial.open_gate()
    require_counts(orchestrator.get("batch_completion", batch_id=batch), 2, 2, 0)
    return "5 cancels of other attempts, steps and batches changed nothing"
