"""Handshake, epochs, heartbeats, silence, refusal."""

import os
import re
import time

from tests.support.fake_orchestrator import a_step


def test_hello_welcome_probe_ready(fake, start):
    worker = start("--capacity", "3", "--prefetch", "4", "--namespace", "shop")
    hello = fake.handshake()
    assert hello["worker_id"] == "w-1" and hello["language"] == "python"
    assert hello["handlers"] == ["Tests::Busy", "Tests::Echo", "Tests::Fail", "Tests::WaitForFile"]
    assert (hello["capacity"], hello["prefetch"], hello["namespaces"]) == (3, 4, ["shop"])
    assert hello["pid"] == worker.process.pid
    assert (hello["held"], hello["running"], hello["unacked"]) == ([], [], [])
    topics = {f"\x01steps.{fake.session} ".encode(), f"\x01control.{fake.session} ".encode()}
    assert topics <= set(fake.subscribed)
    # Logged for the first probe of an epoch only.
    fake.probe("n-2")
    fake.heartbeat()
    fake.epoch += 1
    fake.handshake()
    ready = re.compile(r"level=info msg=ready .*epoch=(\d+) ")
    fake.wait("the second line", lambda: len(ready.findall(worker.log())) > 1)
    assert ready.findall(worker.log()) == [str(fake.epoch - 1), str(fake.epoch)]


def test_the_first_hello_arrives_as_soon_as_the_results_path_stands(fake, start):
    fake.answers_hello = False
    fake.beats = False
    start()
    # Nobody answers, so it says hello again soon, and then each second. The exact times stand in
    # tests/unit/test_session.py: here a busy machine adds to them.
    fake.wait_for("hello", count=4)
    hellos = fake.of("hello")
    soon, second, third = (b.at - a.at for a, b in zip(hellos, hellos[1:4]))
    assert soon < 0.6 < second and 1.6 < second + third
    assert len({hello.body["session"] for hello in hellos}) == 1


def test_the_series_of_hellos_begins_anew_with_a_higher_epoch(fake, start):
    start()
    fake.handshake()
    fake.answers_hello = False
    since = len(fake.received)
    fake.epoch = 5
    asked = time.monotonic()
    fake.heartbeat()
    fake.wait_for("hello", since, count=3)
    first, second, third = fake.of("hello", since)[:3]
    assert first.at - asked < 0.5 and second.at - first.at < 0.6 < third.at - second.at


def test_heartbeats_carry_the_number_seen_and_the_inventory(fake, start, folder):
    start("--capacity", "2")
    fake.handshake()
    gate = os.path.join(folder, "gate")
    batch = fake.batch([a_step(n, "Tests::WaitForFile", handler_config={"file": gate}) for n in (1, 2, 3)])
    fake.wait_for("batch_accepted")

    def busy():
        beats = [m.body for m in fake.of("worker_heartbeat") if len(m.body["running"]) == 2]
        return beats[-1] if beats and beats[-1]["seen_n"] > 0 else None

    beat = fake.wait("a heartbeat with two running steps", busy)
    assert beat["held"] == [{"batch_id": batch, "step_id": 3, "attempt": 1}]
    assert {step["step_id"] for step in beat["running"]} == {1, 2}
    assert beat["free"] == 0
    first_age = beat["running"][0]["age_ms"]
    fake.wait("an older age", lambda: busy()["running"][0]["age_ms"] > first_age)
    open(gate, "w").close()
    fake.wait_for("batch_completion")
    done = lambda: (beats := fake.of("worker_heartbeat")) and beats[-1].body["free"] == 2  # noqa: E731
    fake.wait("a heartbeat with nothing in hand", done)
    intervals = [b.at - a.at for a, b in zip(fake.of("worker_heartbeat"), fake.of("worker_heartbeat")[1:])]
    assert sorted(intervals)[len(intervals) // 2] < 0.4  # 200 ms are asked for


def test_a_higher_epoch_is_greeted_at_once_and_lower_ones_are_dropped(fake, start):
    start()
    fake.handshake()
    since = len(fake.received)
    fake.epoch = 5
    asked = time.monotonic()
    fake.heartbeat()
    hello = fake.wait_for("hello", since)
    assert hello.at - asked < 0.5  # at once, not with the next hello of each second
    fake.probe("n-5")
    since = len(fake.received)
    fake.epoch = 4
    old = fake.batch([a_step(1, "Tests::Echo")])
    fake.epoch = 5
    new = fake.batch([a_step(2, "Tests::Echo")])
    fake.wait_for("batch_completion", since, batch_id=new)
    assert not fake.of("batch_accepted", since, batch_id=old)


def test_a_restarted_orchestrator_is_found_again_with_the_inventory(fake, start, folder):
    start()
    fake.handshake()
    gate = os.path.join(folder, "gate")
    fake.auto_ack = False
    echo = fake.batch([a_step(1, "Tests::Echo")])
    waiting = fake.batch([a_step(2, "Tests::WaitForFile", handler_config={"file": gate})])
    fake.wait_for("batch_completion", batch_id=echo)
    fake.wait_for("partial_result", batch_id=waiting, status="in_progress")
    since = len(fake.received)
    fake.restart(epoch=2)
    hello = fake.wait_for("hello", since)
    assert hello.body["running"] == [{"batch_id": waiting, "step_id": 2, "attempt": 1}]
    assert hello.body["unacked"] == [{"batch_id": echo, "step_id": 1, "attempt": 1}]
    ready = fake.probe("n-2")
    again = fake.wait_for("partial_result", since, batch_id=echo)
    assert again.at - ready.at < 0.25  # before the next resend would be due
    open(gate, "w").close()
    fake.wait_for("batch_completion", since, batch_id=waiting)


def test_a_silent_orchestrator_makes_the_worker_build_new_sockets(fake, start):
    worker = start("--silence-ms", "1500")
    fake.handshake()
    before = len(fake.subscribed)
    session = fake.session
    fake.beats = False
    control = f"control.{session} ".encode()

    def reconnected():
        events = fake.subscribed[before:]
        return b"\x00" + control in events and b"\x01" + control in events

    fake.wait("unsubscribe and subscribe of the same session", reconnected, limit_s=15)
    fake.wait("the log line", lambda: "nothing received from the orchestrator" in worker.log())
    assert worker.log().count("nothing received from the orchestrator") == 1
    since = len(fake.received)
    hello = fake.wait_for("hello", since)
    assert hello.body["session"] == session
    fake.beats = True
    fake.probe("n-back")
    batch = fake.batch([a_step(1, "Tests::Echo")])
    fake.wait_for("batch_completion", batch_id=batch)


def refuse(fake, code, retry_ms=100):
    fake.control("refused", code=code, message="because", retry_ms=retry_ms)


def test_version_and_not_allowed_end_the_worker_with_code_3(fake, start):
    for code in ("version", "not_allowed"):
        fake.answers_hello = False
        since = len(fake.received)
        worker = start()
        fake.wait_for("hello", since)
        fake.wait(f"the worker's end after {code}", lambda: refuse(fake, code) or fake.pump() or worker.ended)
        assert worker.exit_code() == 3
        assert "because" in worker.log()


def test_other_refusals_are_tried_again_after_retry_ms(fake, start):
    fake.answers_hello = False
    start()
    refused = set()

    def refuse_every_hello():
        hellos = fake.of("hello")
        for hello in hellos:
            if hello.at not in refused:
                refused.add(hello.at)
                refuse(fake, "draining", retry_ms=300)
        return len(hellos) >= 5 and hellos

    hellos = fake.wait("five hellos", refuse_every_hello)
    gaps = [b.at - a.at for a, b in zip(hellos, hellos[1:])]
    assert all(0.28 < gap < 0.8 for gap in gaps[-2:]), gaps


def test_a_duplicate_session_goes_on_under_a_new_name_and_replays(fake, start, folder):
    start("--capacity", "1")
    fake.handshake()
    old = fake.session
    gate = os.path.join(folder, "gate")
    fake.auto_ack = False
    done = fake.batch([a_step(1, "Tests::Echo")])
    fake.wait_for("batch_completion", batch_id=done)
    running = fake.batch([a_step(n, "Tests::WaitForFile", handler_config={"file": gate}) for n in (2, 3)])
    fake.wait_for("partial_result", batch_id=running, status="in_progress")
    since = len(fake.received)
    # A refusal of the epoch that has welcomed the worker would be another worker's.
    fake.epoch += 1
    refuse(fake, "duplicate_session")
    hello = fake.wait_for("hello", since)
    fake.wait("another session", lambda: fake.session != old)
    assert hello.body["session"] != old and hello.body["previous_sessions"] == [old]
    replayed = fake.wait_for("partial_result", since, batch_id=done, sent_by=fake.session)
    assert replayed.body["session"] == old
    open(gate, "w").close()
    late = fake.wait_for("partial_result", since, batch_id=running, status="completed")
    assert (late.body["session"], late.body["sent_by"]) == (old, fake.session)
    # Step 3 had not started, and nobody waits for it any more: it never runs.
    completion = fake.wait_for("batch_completion", since, batch_id=running)
    assert completion.body["total_steps"] == 1
    assert not fake.of("partial_result", step_id=3)
