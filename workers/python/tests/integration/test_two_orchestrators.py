"""An orchestrator and its standby: the worker is given both, and follows the higher epoch."""

import os

import pytest

from tests.support.effects import effects_in
from tests.support.fake_orchestrator import FakeOrchestrator, a_step

SOON = ("--reconnect-max-ms", "200")


@pytest.fixture
def standby(folder):
    """Takes over with epoch 5 when it is started; its endpoints are known before."""
    made = []
    place = os.path.join(folder, "standby")
    os.mkdir(place)

    class Standby:
        steps_endpoint = f"ipc://{place}/steps"
        results_endpoint = f"ipc://{place}/results"

        @staticmethod
        def takes_over():
            made.append(FakeOrchestrator(place, epoch=5))
            return made[0]

    yield Standby
    for orchestrator in made:
        orchestrator.close()


def both(fake, standby):
    """As one comma-separated list each."""
    return {
        "TASKER_WORKER_STEPS_ENDPOINT": f"{fake.steps_endpoint},{standby.steps_endpoint}",
        "TASKER_WORKER_RESULTS_ENDPOINT": f"{fake.results_endpoint}, {standby.results_endpoint}",
    }


def test_a_worker_follows_the_standby_and_ignores_the_old_one_when_it_speaks_again(
    fake, standby, start, folder
):
    effects = os.path.join(folder, "effects")
    start(*SOON, endpoints=(), env={**both(fake, standby), "TASKER_EFFECTS_LOG": effects})
    fake.resend_ms = 20_000
    fake.handshake()
    fake.auto_ack = False
    done = fake.batch([a_step(1, "Tests::Echo")])
    fake.wait_for("batch_completion", batch_id=done)
    # From here on the first one is frozen: it is not pumped. Its successor has the higher epoch.
    second = standby.takes_over()
    second.resend_ms = 20_000
    hello = second.wait_for("hello")
    assert hello.body["session"] == fake.session
    assert hello.body["unacked"] == [{"batch_id": done, "step_id": 1, "attempt": 1}]
    second.probe("n-5")
    second.wait_for("partial_result", batch_id=done)
    second.wait_for("batch_completion", batch_id=done)
    clean = lambda: (m := second.of("worker_heartbeat")) and m[-1].body["unacked"] == []  # noqa: E731
    second.wait("the acks' effect", clean)
    # The old one thaws and speaks with the lower epoch.
    since = len(second.received)
    fake.heartbeat()
    fake.batch([a_step(2, "Tests::Echo")])
    fake.control("drain", session=fake.session, deadline_ms=1)
    fake.control("refused", code="not_allowed", message="old", retry_ms=1)
    new = second.batch([a_step(3, "Tests::Echo")])
    second.wait_for("batch_completion", since, batch_id=new)
    beats = len(second.of("worker_heartbeat"))
    second.wait("two more heartbeats", lambda: len(second.of("worker_heartbeat")) >= beats + 2)
    assert not second.of("hello", since) and not second.of("batch_rejected")
    assert [line["step_id"] for line in effects_in(effects) if line["event"] == "start"] == [1, 3]


def test_acks_of_the_old_epoch_do_not_count(fake, standby, start):
    start(*SOON, endpoints=(), env=both(fake, standby))
    fake.handshake()
    fake.auto_ack = False
    batch = fake.batch([a_step(1, "Tests::Echo")])
    completion = fake.wait_for("batch_completion", batch_id=batch)
    report = fake.of("partial_result", batch_id=batch)[0]
    second = standby.takes_over()
    second.auto_ack = False
    second.wait_for("hello")
    second.probe("n-5")
    for message in (report, completion):
        fake.ack(message)
    since = len(second.received)
    # Committed by nobody: it is still sent again.
    second.wait_for("partial_result", since, count=2, batch_id=batch)
    assert second.of("worker_heartbeat")[-1].body["unacked"]


def test_a_welcome_alone_makes_long_waiting_reports_due_soon(fake, standby, start):
    start(*SOON, endpoints=(), env=both(fake, standby))
    fake.resend_ms = 25
    fake.handshake()
    fake.auto_ack = False
    batch = fake.batch([a_step(1, "Tests::Echo")])
    fake.wait_for("partial_result", count=7, batch_id=batch)  # the eighth follows 1.6 s later
    second = standby.takes_over()
    second.resend_ms = 25
    hello = second.wait_for("hello")
    # No probe: the one that would follow the welcome is lost.
    report = second.wait_for("partial_result", second.received.index(hello), batch_id=batch)
    assert report.at - hello.at < 0.6
