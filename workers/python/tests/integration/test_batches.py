"""Batches, reports, resending, capacity and time-outs."""

import os
import time

from tests.support.effects import effects_in
from tests.support.fake_orchestrator import a_step


def test_a_batch_without_steps_is_accepted_and_completed(fake, start):
    start()
    fake.handshake()
    batch = fake.batch([])
    completion = fake.wait_for("batch_completion").body
    assert [m.body["batch_id"] for m in fake.of("batch_accepted")] == [batch]
    assert (completion["batch_id"], completion["sequence"], completion["total_steps"]) == (batch, 1, 0)


def test_a_step_is_run_by_the_handler_that_it_names(fake, start):
    """Whatever class its batch has."""
    start()
    fake.handshake()
    fake.batch([a_step(1, "Nobody::Here"), a_step(2, "Tests::Echo")])
    assert fake.wait_for("partial_result").body["step_id"] == 2
    rejected = fake.wait_for("batch_rejected").body["steps"]
    assert [(step["step_id"], step["reason"]) for step in rejected] == [(1, "unknown_handler")]


def test_one_batch_from_acceptance_to_completion(fake, start):
    start()
    fake.handshake()
    batch = fake.batch(
        [
            a_step(1, "Tests::Echo", task_context={"n": 1}, attempt=2),
            a_step(2, "Tests::Fail", handler_config={"kind": "permanent"}),
            a_step(3, "Tests::Fail", handler_config={"kind": "retryable"}),
            a_step(4, "Tests::Fail", handler_config={"kind": "nan"}),
            a_step(5, "Tests::Fail", handler_config={"kind": "exit"}),
        ]
    )
    completion = fake.wait_for("batch_completion").body
    assert fake.received.index(fake.of("batch_accepted")[0]) < fake.received.index(
        fake.of("partial_result")[0]
    )
    reports = {m.body["step_id"]: m.body for m in fake.of("partial_result", batch_id=batch)}
    assert reports[1]["status"] == "completed" and reports[1]["attempt"] == 2
    assert reports[1]["output"] == {"context": {"n": 1}, "attempt": 2}
    assert (reports[2]["status"], reports[2]["error"]["error_code"]) == ("error", "no_way")
    assert (reports[3]["status"], reports[3]["error"]["retry_after_seconds"]) == ("failed", 2.5)
    assert (reports[4]["status"], reports[4]["error"]["error_code"]) == ("error", "unserialisable_output")
    assert (reports[5]["status"], reports[5]["error"]["error_type"]) == ("failed", "SystemExit")
    assert sorted(report["sequence"] for report in reports.values()) == [1, 2, 3, 4, 5]
    assert all(r["session"] == fake.session and r["worker_id"] == "w-1" for r in reports.values())
    assert (completion["total_steps"], completion["completed_steps"], completion["failed_steps"]) == (5, 1, 4)
    assert completion["sequence"] == 6 and completion["in_progress_steps"] == 0
    finals = {summary["step_id"]: summary["final_status"] for summary in completion["step_summaries"]}
    assert finals == {1: "completed", 2: "error", 3: "failed", 4: "error", 5: "failed"}


def test_a_batch_that_comes_again_is_answered_again_and_not_run_again(fake, start, folder):
    effects = os.path.join(folder, "effects")
    start(env={"TASKER_EFFECTS_LOG": effects})
    fake.handshake()
    fake.auto_ack = False
    steps = [a_step(1, "Tests::Echo"), a_step(2, "Tests::Unknown")]
    batch = fake.batch(steps)
    fake.wait_for("batch_completion", batch_id=batch)
    frames = {
        kind: fake.of(kind, batch_id=batch)[0].frame
        for kind in ("batch_accepted", "batch_rejected", "partial_result", "batch_completion")
    }
    since = len(fake.received)
    fake.batch(steps, batch)
    for kind, frame in frames.items():
        assert fake.wait_for(kind, since, batch_id=batch).frame == frame
    # Acknowledged and long finished: accepted again, and still not run.
    fake.auto_ack = True
    fake.wait("an empty outbox", lambda: (m := fake.of("worker_heartbeat")) and m[-1].body["unacked"] == [])
    since = len(fake.received)
    fake.batch(steps, batch)
    fake.wait_for("batch_accepted", since, batch_id=batch)
    other = fake.batch([a_step(3, "Tests::Echo")])
    fake.wait_for("batch_completion", since, batch_id=other)
    assert not fake.of("partial_result", since, batch_id=batch)
    assert [line["step_id"] for line in effects_in(effects) if line["event"] == "start"] == [1, 3]


def test_reports_are_sent_again_unchanged_until_they_are_acknowledged(fake, start):
    start()
    fake.handshake()
    fake.auto_ack = False
    fake.batch([a_step(1, "Tests::Echo")])
    fake.wait_for("partial_result", count=3)
    reports = fake.of("partial_result")
    assert len({report.frame for report in reports}) == 1
    gaps = [b.at - a.at for a, b in zip(reports, reports[1:])]
    assert 0.2 < gaps[0] < 0.6 and 0.5 < gaps[1] < 1.0  # 300 ms, then twice that
    beat = fake.wait_for("worker_heartbeat", len(fake.received))
    assert [step["step_id"] for step in beat.body["unacked"]] == [1]
    assert beat.body["oldest_unacked_ms"] > 500
    for message in (reports[0], fake.of("batch_completion")[0]):
        fake.ack(message)
    clean = lambda: fake.of("worker_heartbeat")[-1].body["oldest_unacked_ms"] == 0  # noqa: E731
    fake.wait("a heartbeat without unacked reports", clean)
    since = len(fake.received)
    end = time.monotonic() + 1.5  # the next resend would have been due within 1.2 s
    fake.wait("the time of a resend", lambda: time.monotonic() > end)
    assert not fake.of("partial_result", since) and not fake.of("batch_completion", since)


def test_a_report_that_is_refused_is_not_sent_again(fake, start):
    worker = start()
    fake.handshake()
    fake.auto_ack = False
    batch = fake.batch([a_step(1, "Tests::Echo")])
    fake.wait_for("batch_completion")
    rejected = [{"batch_id": batch, "sequence": number, "code": "wrong_session"} for number in (1, 2)]
    fake.control("ack", session=fake.session, batches=[], rejected=rejected)
    since = len(fake.received)
    fake.wait("the refusal in the log", lambda: worker.log().count("wrong_session") == 2)
    end = time.monotonic() + 1.0
    fake.wait("the time of a resend", lambda: time.monotonic() > end)
    assert not fake.of("partial_result", since)


def test_a_report_request_brings_what_is_asked_for_at_once(fake, start):
    start()
    fake.resend_ms = 20_000
    fake.handshake()
    fake.auto_ack = False
    batch = fake.batch([a_step(1, "Tests::Echo"), a_step(2, "Tests::Echo")])
    fake.wait_for("batch_completion")
    sequence = fake.of("partial_result", step_id=2)[0].body["sequence"]
    since = len(fake.received)
    fake.control("report_request", session=fake.session, batch_id=batch, step_ids=[2])
    fake.wait_for("partial_result", since, step_id=2)
    fake.control("report_request", session=fake.session, batch_id=batch, sequences=[3])
    fake.wait_for("batch_completion", since)
    fake.control("report_request", session=fake.session, batch_id=batch, sequences=[sequence])
    fake.wait_for("partial_result", since, count=2, step_id=2)
    assert not fake.of("partial_result", since, step_id=1)
    fake.control("report_request", session=fake.session, batch_id=batch)
    fake.wait_for("partial_result", since, step_id=1)


def test_what_cannot_be_taken_is_handed_back_with_reasons(fake, start, folder):
    start("--capacity", "1", "--prefetch", "2")
    fake.handshake()
    gate = os.path.join(folder, "gate")
    held = {"handler_config": {"file": gate}}
    batch = fake.batch(
        [a_step(1, "Tests::Unknown")] + [a_step(n, "Tests::WaitForFile", **held) for n in (2, 3, 4)]
    )
    rejected = fake.wait_for("batch_rejected").body
    reasons = {step["step_id"]: step["reason"] for step in rejected["steps"]}
    assert reasons == {1: "unknown_handler", 4: "over_capacity"}
    fake.wait_for("batch_accepted", batch_id=batch)
    open(gate, "w").close()
    completion = fake.wait_for("batch_completion").body
    assert completion["total_steps"] == 2 and completion["sequence"] > rejected["sequence"]
    nothing = fake.batch([a_step(9, "Tests::Unknown")])
    fake.wait_for("batch_rejected", batch_id=nothing)
    last = fake.batch([a_step(10, "Tests::Echo")])
    fake.wait_for("batch_completion", batch_id=last)
    assert not fake.of("batch_accepted", batch_id=nothing) and not fake.of(
        "batch_completion", batch_id=nothing
    )


def test_an_oversized_batch_is_handed_back(fake, start):
    fake.limits["batch_bytes"] = 2000
    start()
    fake.handshake()
    batch = fake.batch([a_step(n, "Tests::Echo", task_context={"x": "y" * 1000}) for n in (1, 2)])
    rejected = fake.wait_for("batch_rejected", batch_id=batch)
    reasons = [{"step_id": n, "attempt": 1, "reason": "too_large"} for n in (1, 2)]
    assert (rejected.body["sequence"], rejected.body["steps"]) == (1, reasons)
    # Sent again, it is answered with the same bytes and nothing else.
    since = len(fake.received)
    fake.batch([a_step(n, "Tests::Echo", task_context={"x": "y" * 1000}) for n in (1, 2)], batch)
    assert fake.wait_for("batch_rejected", since, batch_id=batch).frame == rejected.frame
    small = fake.batch([a_step(3, "Tests::Echo")])
    fake.wait_for("batch_completion", batch_id=small)
    assert not fake.of("batch_accepted", batch_id=batch) and not fake.of("batch_completion", batch_id=batch)


def nested(depth):
    value = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def test_a_batch_over_the_announced_depth_is_handed_back(fake, start):
    fake.limits["depth"] = 20
    worker = start()
    fake.handshake()
    # The context itself stands at the fourth level of the message.
    fits = fake.batch([a_step(1, "Tests::Echo", task_context=nested(17))])
    fake.wait_for("batch_accepted", batch_id=fits)
    deep = fake.batch([a_step(2, "Tests::Echo", task_context=nested(18))])
    assert fake.wait_for("batch_rejected", batch_id=deep).body["steps"][0]["reason"] == "too_large"
    # More than twice the default cannot be read: it is logged and dropped.
    deeper = fake.batch([a_step(3, "Tests::Echo", task_context=nested(130))])
    fake.wait("the log line", lambda: "code=too_deep" in worker.log())
    last = fake.batch([a_step(4, "Tests::Echo")])
    fake.wait_for("batch_completion", batch_id=last)
    assert not fake.of("batch_rejected", batch_id=deeper) and not fake.of("batch_accepted", batch_id=deeper)


def test_a_batch_of_twice_the_default_size_is_handed_back(fake, start):
    start()
    fake.handshake()
    batch = fake.batch([a_step(1, "Tests::Echo", task_context={"x": "y" * (20 * 2**20)})])
    assert fake.wait_for("batch_rejected", batch_id=batch).body["steps"][0]["reason"] == "too_large"


def test_an_announced_limit_above_the_default_holds(fake, start):
    fake.limits["batch_bytes"] = 48 * 2**20
    fake.limits["result_bytes"] = 48 * 2**20
    start(handlers="Tests::Fail")
    fake.handshake()
    batch = fake.batch([a_step(1, "Tests::Fail", task_context={"x": "y" * (34 * 2**20)})])
    fake.wait_for("batch_completion", batch_id=batch)


def test_an_output_over_the_announced_limit_is_an_error(fake, start):
    fake.limits["result_bytes"] = 1000
    start()
    fake.handshake()
    fake.batch([a_step(1, "Tests::Echo", task_context={"x": "y" * 1000})])
    # On a busy machine the step may be announced before.
    report = fake.wait_for("partial_result", status="error").body
    assert report["error"]["error_code"] == "output_too_large"


def test_long_steps_are_announced_and_short_ones_are_not(fake, start, folder):
    start()
    fake.handshake()
    gate = os.path.join(folder, "gate")
    batch = fake.batch(
        [a_step(1, "Tests::Echo"), a_step(2, "Tests::WaitForFile", handler_config={"file": gate})]
    )
    hint = fake.wait_for("partial_result", status="in_progress").body
    assert hint["step_id"] == 2 and 150 <= hint["execution_time_ms"] < 1000
    open(gate, "w").close()
    completion = fake.wait_for("batch_completion").body
    assert not fake.of("partial_result", step_id=1, status="in_progress")
    assert len(fake.of("partial_result", status="in_progress")) == 1
    sequences = [m.body["sequence"] for m in fake.of("partial_result", batch_id=batch)]
    assert sequences == [1, 2, 3] and completion["sequence"] == 4


def test_a_timed_out_step_is_reported_while_its_handler_runs_and_its_late_result_is_dropped(
    fake, start, folder
):
    worker = start("--capacity", "1")
    fake.handshake()
    gate = os.path.join(folder, "gate")
    fake.auto_ack = False
    fake.batch([a_step(1, "Tests::WaitForFile", handler_config={"file": gate}, timeout_ms=300)])
    report = fake.wait_for("partial_result", status="failed").body
    assert report["error"]["error_type"] == "TimeoutError"
    assert report["error"]["retryable"] is True and report["error"]["handler_stopped"] is False
    assert 300 <= report["execution_time_ms"] < 1500
    assert fake.wait_for("batch_completion").body["failed_steps"] == 1
    # Its thread is still taken: the only one, so the next step has to wait. The inventory names the step
    # once, as running, although its report is not acknowledged yet.
    other = fake.batch([a_step(2, "Tests::Echo")])
    fake.wait_for("batch_accepted", batch_id=other)
    beat = fake.wait_for("worker_heartbeat", len(fake.received)).body
    assert [step["step_id"] for step in beat["running"]] == [1]
    assert [step["step_id"] for step in beat["held"]] == [2]
    assert beat["unacked"] == [] and beat["oldest_unacked_ms"] > 0
    fake.auto_ack = True
    open(gate, "w").close()
    fake.wait_for("batch_completion", batch_id=other)
    fake.wait("the log line", lambda: "late result dropped" in worker.log())
    finals = {m.frame for m in fake.of("partial_result", step_id=1) if m.body["status"] != "in_progress"}
    assert len(finals) == 1


def test_a_handler_that_notices_its_time_out_is_reported_once_as_stopped(fake, start, folder):
    start("--capacity", "1")
    fake.handshake()
    config = {"file": os.path.join(folder, "never"), "obey": True}
    batch = fake.batch([a_step(1, "Tests::WaitForFile", handler_config=config, timeout_ms=250)])
    report = fake.wait_for("partial_result", status="failed").body
    error = report["error"]
    assert (error["error_type"], error["error_code"]) == ("TimeoutError", "timeout")
    assert error["retryable"] is True and error["handler_stopped"] is True
    assert 250 <= report["execution_time_ms"] < 1500
    fake.wait_for("batch_completion", batch_id=batch)
    beat = fake.wait_for("worker_heartbeat", len(fake.received)).body
    assert beat["running"] == [] and beat["free"] == 1
    other = fake.batch([a_step(2, "Tests::Echo")])
    fake.wait_for("batch_completion", batch_id=other)
    assert len(fake.of("partial_result", step_id=1, status="failed")) == 1


def test_a_busy_handler_does_not_starve_the_heartbeat(fake, start):
    start("--capacity", "2")
    fake.handshake()
    since = len(fake.received)
    fake.batch([a_step(n, "Tests::Busy", handler_config={"seconds": 1.5}) for n in (1, 2)])
    fake.wait_for("batch_completion", since)
    beats = [m for m in fake.of("worker_heartbeat", since) if len(m.body["running"]) == 2]
    assert len(beats) >= 4
    assert max(b.at - a.at for a, b in zip(beats, beats[1:])) < 0.6  # 200 ms are asked for


def test_steps_of_a_batch_run_at_once(fake, start, folder):
    effects = os.path.join(folder, "effects")
    start("--capacity", "8", env={"TASKER_EFFECTS_LOG": effects})
    fake.handshake()
    gate = os.path.join(folder, "gate")
    for round_number in range(2):  # the second time the pool knows how long the handler takes
        first = round_number * 8 + 1
        fake.batch(
            [a_step(n, "Tests::WaitForFile", handler_config={"file": gate}) for n in range(first, first + 8)]
        )
        started = lambda: len([e for e in effects_in(effects) if e["event"] == "start"]) == first + 7  # noqa
        fake.wait("eight started steps", started)
        open(gate, "w").close()
        fake.wait_for("batch_completion", count=round_number + 1)
        os.unlink(gate)
    lines = effects_in(effects)
    assert len(lines) == 32 and {line["worker"] for line in lines} == {"w-1"}
    assert all(line["session"] == fake.session and line["at"].endswith("Z") for line in lines)
    assert all(line["idempotency_key"] == f"installation-{line['step_id']}" for line in lines)
    times = {(line["step_id"], line["event"]): line["monotonic_ns"] for line in lines}
    assert all(times[number, "start"] < times[number, "end"] for number in range(1, 17))


def test_a_handler_that_suddenly_takes_long_does_not_hold_up_the_others(fake, start, folder):
    start("--capacity", "4")
    fake.handshake()
    gate = os.path.join(folder, "gate")
    open(gate, "w").close()
    # The gate is open: the pool learns that this handler takes microseconds and wakes one thread only.
    for number in range(10):
        fake.batch([a_step(1000 + number, "Tests::WaitForFile", handler_config={"file": gate})])
        fake.wait_for("batch_completion", count=number + 1)
    closed = os.path.join(folder, "closed")
    fake.batch(
        [a_step(1, "Tests::WaitForFile", handler_config={"file": closed})]
        + [a_step(n, "Tests::WaitForFile", handler_config={"file": gate}) for n in (2, 3, 4)]
    )
    for number in (2, 3, 4):
        fake.wait_for("partial_result", step_id=number, status="completed", count=1)
    assert not fake.of("partial_result", step_id=1, status="completed")
    open(closed, "w").close()
    fake.wait_for("partial_result", step_id=1, status="completed")


def test_a_full_outbox_stops_new_steps_until_acks_make_room(fake, start):
    start("--capacity", "2", "--prefetch", "10", "--outbox-limit", "8")
    fake.handshake()
    fake.auto_ack = False
    for number in range(1, 11):
        fake.batch([a_step(number, "Tests::Echo")])
    fake.wait_for("batch_accepted", count=10)
    held = lambda: (m := fake.of("worker_heartbeat")) and len(m[-1].body["held"]) >= 6 and m[-1]  # noqa: E731
    beat = fake.wait("steps held back", held)
    ran = {m.body["step_id"] for m in fake.of("partial_result")}
    assert len(ran) == 4 and beat.body["free"] == 0
    fake.auto_ack = True
    fake.wait(
        "all ten completions", lambda: len({m.body["batch_id"] for m in fake.of("batch_completion")}) == 10
    )


def test_an_outbox_full_of_bytes_stops_new_steps_and_loses_nothing(fake, start):
    start("--capacity", "2", "--prefetch", "20", "--outbox-bytes", str(2**20))
    fake.handshake()
    fake.auto_ack = False
    large = {"x": "y" * 150_000}
    for number in range(1, 21):
        fake.batch([a_step(number, "Tests::Echo", task_context=large)])
    fake.wait_for("batch_accepted", count=20)

    def full() -> object:
        beats = fake.of("worker_heartbeat")
        last = beats[-1].body if beats else {"held": [], "unacked": [], "running": []}
        of_all = len(last["held"]) + len(last["unacked"]) == 20
        return of_all and len(last["unacked"]) >= 7 and not last["running"] and beats[-1]

    # Seven reports fill the window; what was running when the seventh came is kept as well. A heartbeat may
    # also go out before that, or before the last batch has come.
    beat = fake.wait("steps held back", full)
    assert beat.body["free"] == 0
    assert 7 <= len(beat.body["unacked"]) <= 9
    since = len(fake.received)
    fake.wait("three more heartbeats", lambda: len(fake.of("worker_heartbeat", since)) >= 3)
    assert fake.of("worker_heartbeat")[-1].body["held"] == beat.body["held"]
    fake.auto_ack = True
    fake.wait("all", lambda: len({m.body["batch_id"] for m in fake.of("batch_completion")}) == 20)
    assert {m.body["step_id"] for m in fake.of("partial_result")} == set(range(1, 21))


def test_nothing_is_sent_again_to_an_orchestrator_that_does_not_answer(fake, start):
    start("--silence-ms", "1000")
    fake.handshake()
    fake.auto_ack = False
    fake.batch([a_step(1, "Tests::Echo")])
    fake.wait_for("batch_completion")
    fake.beats = fake.answers_hello = False
    since = len(fake.received)
    fake.wait_for("hello", since)
    # Its sockets are new and nobody welcomes it: the reports wait.
    silent = len(fake.received)
    fake.wait_for("hello", silent, count=3)
    assert not fake.of("partial_result", silent)
    fake.beats = fake.answers_hello = True
    fake.wait_for("partial_result", silent)


# ---------------------------------------------------------------------- bad input


def test_bad_messages_are_logged_and_change_nothing(fake, start):
    worker = start()
    fake.handshake()
    topic = f"steps.{fake.session} ".encode()
    for body in (
        b"{",
        b"\xff",
        b"[" * 5000,
        b'{"message_type":"nonsense"}',
        b'{"message_type":"probe"}',
        b"",
    ):
        fake._steps.send(topic + body)
    fake._steps.send(f"control.{fake.session} ".encode() + b'{"message_type":"step_batch_request"}')
    fake.control("probe", nonce="wrong topic")
    fake.control("cancel", session="0" * 16, steps=[], reason="another's")
    batch = fake.batch([a_step(1, "Tests::Echo")])
    fake.wait_for("batch_completion", batch_id=batch)
    said = "malformed_json", "invalid_utf8", "unknown_type", "missing_field", "wrong topic", "another session"
    fake.wait("a log line for each", lambda: all(words in worker.log() for words in said))
    assert not fake.of("ready", nonce="wrong topic")
