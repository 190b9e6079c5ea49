"""Steps that ask before they start (claim_first)."""

import os
import signal
import time

from tests.support.effects import effects_in
from tests.support.fake_orchestrator import a_step


def granted(fake, request, **changes):
    fields = {key: request.body[key] for key in ("batch_id", "step_id", "attempt", "n")}
    fake.control("start_granted", session=fake.session, **{"start_window_ms": 5000, **fields, **changes})


def test_a_claimed_step_asks_until_it_is_granted(fake, start, folder):
    effects = os.path.join(folder, "effects")
    start(env={"TASKER_EFFECTS_LOG": effects})
    fake.handshake()
    batch = fake.batch([a_step(1, "Tests::Echo", claim_first=True)])
    first = fake.wait_for("start_request", n=1)
    second = fake.wait_for("start_request", n=2)
    assert 0.2 < second.at - first.at < 0.7  # each resend_ms
    granted(fake, second, n=77)  # nobody asked so
    granted(fake, second, attempt=5)
    granted(fake, first, start_window_ms=0)  # over, but the second request has a window of its own
    fake.wait_for("start_request", n=3)
    assert effects_in(effects) == [] and not fake.of("batch_rejected")
    granted(fake, fake.of("start_request")[-1])
    fake.wait_for("batch_completion", batch_id=batch)
    assert [line["event"] for line in effects_in(effects)] == ["start", "end"]


def wait_until(fake, moment):
    fake.wait("that moment", lambda: time.monotonic() > moment)


def test_the_window_counts_from_the_request_and_not_from_the_grant(fake, start, folder):
    effects = os.path.join(folder, "effects")
    fake.resend_ms = 20_000
    start(env={"TASKER_EFFECTS_LOG": effects})
    fake.handshake()
    batch = fake.batch([a_step(1, "Tests::Echo", claim_first=True)])
    request = fake.wait_for("start_request")
    wait_until(fake, request.at + 0.4)
    granted(fake, request, start_window_ms=300)
    rejected = fake.wait_for("batch_rejected", batch_id=batch).body
    assert rejected["steps"] == [{"step_id": 1, "attempt": 1, "reason": "start_window_missed"}]
    granted(fake, request, start_window_ms=60_000)  # too late to change its mind
    other = fake.batch([a_step(2, "Tests::Echo")])
    fake.wait_for("batch_completion", batch_id=other)
    assert {line["step_id"] for line in effects_in(effects)} == {2}
    assert not fake.of("batch_completion", batch_id=batch)


def test_a_worker_frozen_past_its_window_does_not_start_what_it_was_granted(fake, start, folder):
    effects = os.path.join(folder, "effects")
    fake.resend_ms = 20_000
    worker = start(env={"TASKER_EFFECTS_LOG": effects})
    fake.handshake()
    batch = fake.batch([a_step(1, "Tests::Echo", claim_first=True)])
    request = fake.wait_for("start_request")
    worker.process.send_signal(signal.SIGSTOP)
    os.waitpid(worker.process.pid, os.WUNTRACED)
    granted(fake, request, start_window_ms=500)  # in time, but it is not read in time
    wait_until(fake, request.at + 0.7)
    worker.process.send_signal(signal.SIGCONT)
    rejected = fake.wait_for("batch_rejected", batch_id=batch).body
    assert rejected["steps"][0]["reason"] == "start_window_missed"
    other = fake.batch([a_step(2, "Tests::Echo")])
    fake.wait_for("batch_completion", batch_id=other)
    assert {line["step_id"] for line in effects_in(effects)} == {2}


def test_a_denied_step_is_handed_back(fake, start):
    start()
    fake.handshake()
    fake.batch([a_step(1, "Tests::Echo", claim_first=True)])
    body = fake.wait_for("start_request").body
    fields = {key: body[key] for key in ("batch_id", "step_id", "attempt", "n")}
    fake.control("start_denied", session=fake.session, reason="stale", **fields)
    assert fake.wait_for("batch_rejected").body["steps"][0]["reason"] == "start_denied"


def test_a_claimed_step_asks_only_when_a_thread_is_free_and_then_comes_first(fake, start, folder):
    start("--capacity", "1", "--prefetch", "4")
    fake.handshake()
    gate = os.path.join(folder, "gate")
    first = a_step(1, "Tests::WaitForFile", handler_config={"file": gate})
    fake.batch([first])
    fake.wait_for("partial_result", status="in_progress")
    claimed = fake.batch([a_step(2, "Tests::Echo", claim_first=True)])
    fake.wait_for("batch_accepted", batch_id=claimed)
    behind = fake.batch([a_step(3, "Tests::Echo")])
    fake.wait_for("batch_accepted", batch_id=behind)
    assert not fake.of("start_request")
    open(gate, "w").close()
    request = fake.wait_for("start_request", step_id=2)
    granted(fake, request)
    fake.wait_for("batch_completion", batch_id=claimed)
    fake.wait_for("batch_completion", batch_id=behind)
