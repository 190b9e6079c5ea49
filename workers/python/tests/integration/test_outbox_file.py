"""`--outbox PATH`: reports that outlive the process that made them."""

import os
import resource
import signal

from tests.support.effects import effects_in
from tests.support.fake_orchestrator import a_step


def killed(fake, worker):
    worker.process.send_signal(signal.SIGKILL)
    fake.wait("its death", lambda: worker.ended)


def test_a_successor_sends_what_a_killed_worker_could_not_and_runs_nothing_again(fake, start, folder):
    effects, path = os.path.join(folder, "effects"), os.path.join(folder, "outbox")
    env = {"TASKER_EFFECTS_LOG": effects}
    worker = start("--outbox", path, env=env)
    fake.handshake()
    old = fake.session
    fake.auto_ack = False
    batch = fake.batch([a_step(1, "Tests::Echo"), a_step(2, "Tests::Unknown")])
    completion = fake.wait_for("batch_completion", batch_id=batch)
    report = fake.of("partial_result", batch_id=batch)[0]
    rejection = fake.of("batch_rejected", batch_id=batch)[0]
    killed(fake, worker)
    since = len(fake.received)
    successor = start("--outbox", path, env=env)
    fake.wait("another session", lambda: fake.session != old)
    hello = fake.of("hello", since)[0].body
    assert hello["previous_sessions"] == [old]
    refs = [{"batch_id": batch, "step_id": number, "attempt": 1} for number in (2, 1)]
    assert sorted(hello["unacked"], key=str) == sorted(refs, key=str)
    fake.probe("n-2")
    for message in (report, completion):
        kind = message.body["message_type"]
        replayed = fake.wait_for(kind, since, batch_id=batch)
        # The same message, with the original session, and who sends it.
        assert replayed.body == {**message.body, "sent_by": fake.session}
        assert replayed.body["session"] == old
    assert fake.wait_for("batch_rejected", since, batch_id=batch).frame == rejection.frame
    # Acks of reports come to sent_by, those of hand-backs to the session that they name.
    acked = [{"batch_id": batch, "sequences": [report.body["sequence"], completion.body["sequence"]]}]
    fake.control("ack", session=fake.session, batches=acked, rejected=[])
    acked = [{"batch_id": batch, "sequences": [rejection.body["sequence"]]}]
    fake.send(f"control.{old}", "ack", session=old, batches=acked, rejected=[])
    clean = lambda: (m := fake.of("worker_heartbeat", since)) and m[-1].body["unacked"] == []  # noqa: E731
    fake.wait("an empty outbox", clean)
    fake.auto_ack = True
    new = fake.batch([a_step(3, "Tests::Echo")])
    fake.wait_for("batch_completion", batch_id=new)
    assert [line["step_id"] for line in effects_in(effects) if line["event"] == "start"] == [1, 3]
    successor.terminate()
    assert fake.wait_for("goodbye").body["reason"] == "drained"
    assert successor.exit_code() == 0
    assert open(path, "rb").read() == b"tasker-outbox 1\n"


def test_a_result_made_while_nobody_listened_is_sent_by_the_successor(fake, start, folder):
    """Killed after the work and before the report could reach anybody."""
    path, gate = os.path.join(folder, "outbox"), os.path.join(folder, "gate")
    worker = start("--outbox", path)
    fake.handshake()
    old = fake.session
    batch = fake.batch([a_step(1, "Tests::WaitForFile", handler_config={"file": gate})])
    fake.wait_for("partial_result", status="in_progress")
    fake.restart(epoch=1)  # no socket hears what is sent until it is pumped again
    fake._results.close(0), fake._steps.close(0)
    open(gate, "w").close()
    written = lambda: b'"batch_completion"' in open(path, "rb").read()  # noqa: E731
    fake.pump, pump = lambda timeout_ms=10: None, fake.pump
    fake.wait("the report on the disk", written)
    worker.process.kill()
    worker.process.wait()
    fake.pump = pump
    fake._bind()
    fake.epoch = 2
    since = len(fake.received)
    start("--outbox", path)
    fake.wait("another session", lambda: fake.session != old)
    fake.probe("n-2")
    report = fake.wait_for("partial_result", since, batch_id=batch, status="completed")
    assert (report.body["session"], report.body["sent_by"]) == (old, fake.session)
    assert fake.wait_for("batch_completion", since, batch_id=batch).body["completed_steps"] == 1


def test_two_deaths_in_a_row_name_both_sessions(fake, start, folder):
    path = os.path.join(folder, "outbox")
    fake.auto_ack = False
    sessions = []
    for number in (1, 2):
        worker = start("--outbox", path)
        fake.wait("a new session", lambda: fake.session not in ("", *sessions))
        fake.probe(f"n-{number}")
        sessions.append(fake.session)
        batch = fake.batch([a_step(number, "Tests::Echo")])
        fake.wait_for("batch_completion", batch_id=batch)
        killed(fake, worker)
    since = len(fake.received)
    start("--outbox", path)
    fake.wait("a third session", lambda: fake.session not in sessions)
    assert fake.of("hello", since)[0].body["previous_sessions"] == sessions
    fake.probe("n-3")
    for number, session in enumerate(sessions, 1):
        report = fake.wait_for("partial_result", since, step_id=number, sent_by=fake.session)
        assert report.body["session"] == session


def test_a_second_worker_on_the_same_file_does_not_start(fake, start, folder):
    path = os.path.join(folder, "outbox")
    first = start("--outbox", path)
    fake.handshake()
    second = start("--outbox", path)
    assert second.exit_code() == 2
    assert f"another worker uses it (process {first.process.pid})" in second.log()
    assert not first.ended


def test_a_full_disk_pauses_the_worker_until_there_is_room(fake, start, folder):
    path = os.path.join(folder, "outbox")
    worker = start("--outbox", path, "--capacity", "1", "--prefetch", "10")
    fake.handshake()
    # No file of this process may grow beyond this size: to it, the disk is full.
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    fake.auto_ack = False
    large = {"x": "y" * 40_000}
    for number in (1, 2):
        fake.batch([a_step(number, "Tests::Echo", task_context=large)])
        fake.wait_for("batch_completion", count=number)
    fake.batch([a_step(3, "Tests::Echo", task_context=large)])
    fake.wait("the complaint", lambda: "the outbox file cannot be written" in worker.log())
    for number in (4, 5, 6):
        fake.batch([a_step(number, "Tests::Echo", task_context=large)])
    fake.wait_for("batch_accepted", count=6)
    since = len(fake.received)
    beat = fake.wait_for("worker_heartbeat", since, count=2).body
    assert beat["free"] == 0 and beat["running"] == []
    assert {step["step_id"] for step in beat["unacked"]} == {1, 2, 3}
    assert {step["step_id"] for step in beat["held"]} == {4, 5, 6}
    assert {m.body["step_id"] for m in fake.of("partial_result")} == {1, 2}
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    fake.auto_ack = True
    fake.wait("all", lambda: {m.body["step_id"] for m in fake.of("partial_result")} == set(range(1, 7)))
    fake.wait("the log line", lambda: "the outbox file can be written again" in worker.log())
