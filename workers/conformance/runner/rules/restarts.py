"""Chapter "Heartbeats and restarts": epochs, silence, orchestrators that go and come back."""

import time
from typing import List

from ..frames import Received, inventory
from ..orchestrator import Orchestrator
from ..rulebook import rule
from ..trial import Trial, reasons, ref, refs, require
from .session import BEATS

SILENCE_S = 5.0


def _reports(messages: List[Received]) -> List[Received]:
    return [one for one in messages if "sequence" in one.body and one.body.get("status") != "in_progress"]


@rule(BEATS)
def lower_epoch_ignored(trial: Trial) -> str:
    """Messages of a lower epoch are dropped: batches, acks, drains, refusals."""
    orchestrator, _worker = trial.session(epoch=5, resend_ms=300)
    orchestrator.acks = False
    done = orchestrator.batch([trial.step(1)])
    completion = orchestrator.get("batch_completion", batch_id=done)
    orchestrator.epoch = 4
    orchestrator.ack(orchestrator.final(done, 1), completion)
    orchestrator.batch([trial.step(101)])
    orchestrator.control("drain", deadline_ms=0)
    orchestrator.control("refused", code="not_allowed", message="an old one", retry_ms=1)
    orchestrator.epoch = 5
    since = orchestrator.mark()
    orchestrator.get("batch_completion", since, batch_id=done)
    listed = inventory(orchestrator.beat_of_now(), "unacked")
    require(listed == refs((done, 1, 1)), f"unacked is {listed} after an ack of a lower epoch")
    orchestrator.acks = True
    orchestrator.final(orchestrator.batch([trial.step(2)]), 2)
    require(trial.starts() == [1, 2], f"steps {trial.starts()} ran; step 101 came with a lower epoch")
    for kind in ("goodbye", "hello"):
        require(not orchestrator.of(kind, since), f"it said {kind} after messages of a lower epoch")
    return "batch, ack, drain and refused of a lower epoch changed nothing"


@rule(BEATS)
def higher_epoch_followed(trial: Trial) -> str:
    """At a higher epoch work goes on: what runs ends and is reported to the new orchestrator."""
    orchestrator, _worker = trial.session()
    batch = orchestrator.batch([trial.step(1, until=trial.gate())])
    trial.wait_for_start(orchestrator, 1)
    since = orchestrator.mark()
    orchestrator.epoch += 3
    hello = orchestrator.get("hello", since)
    require(
        inventory(hello, "running") == refs((batch, 1, 1)),
        f"its hello lists running {inventory(hello, 'running')}",
    )
    require(hello.body["session"] == orchestrator.of("hello")[0].body["session"], "it made a new session id")
    orchestrator.ready("next epoch")
    trial.open_gate()
    orchestrator.get("batch_completion", since, batch_id=batch)
    orchestrator.final(orchestrator.batch([trial.step(2)]), 2)
    require(trial.starts() == [1, 2], f"steps {trial.starts()} ran")
    return "the running step ended under the new epoch"


@rule(BEATS)
def other_installation_followed(trial: Trial) -> str:
    """Another installation on the same endpoints is followed at any epoch when the one before is silent;
    while that one answers, the other is ignored."""
    orchestrator, _worker = trial.session(epoch=5)
    orchestrator.installation = "first"
    orchestrator.beat_of_now()
    orchestrator.installation = "second"
    since = orchestrator.mark()
    orchestrator.heartbeat()
    orchestrator.installation = "first"
    orchestrator.beat_of_now()
    require(not orchestrator.of("hello", since), "it left an installation that answers for another one")
    orchestrator.beats = False
    orchestrator.pass_time(3 * orchestrator.heartbeat_ms / 1000)
    orchestrator.installation, orchestrator.epoch = "second", 1
    orchestrator.beats = True
    since = orchestrator.mark()
    orchestrator.get("hello", since, limit_s=2)  # long before it would call the first one silent
    orchestrator.ready("second installation")
    orchestrator.final(orchestrator.batch([trial.step(1)]), 1)
    return "the second installation, with epoch 1, got hello and gave work"


@rule(BEATS, limit_s=60)
def lower_epoch_after_silence(trial: Trial) -> str:
    """When the higher epoch has fallen silent, so that the worker makes new sockets, a lower one is followed:
    the database was restored from a backup."""
    orchestrator, _worker = trial.session(epoch=5)
    orchestrator.beat_of_now()
    orchestrator.beats = False
    since = orchestrator.mark()
    orchestrator.epoch = 3
    hello = orchestrator.get("hello", since, limit_s=12)
    require(hello.body["session"] == orchestrator.session, "it made a new session id")
    orchestrator.beats = True
    orchestrator.ready("restored")
    orchestrator.final(orchestrator.batch([trial.step(1)]), 1)
    return "epoch 3 was followed after the silence of epoch 5"


@rule(BEATS)
def unwelcomed_resends_nothing(trial: Trial) -> str:
    """While no orchestrator has welcomed the worker nothing is sent again; after welcome the waits start
    anew."""
    first = 250
    orchestrator, _worker = trial.session(resend_ms=first)
    orchestrator.acks = False
    batch = orchestrator.batch([trial.step(1)])
    orchestrator.get("batch_completion", batch_id=batch)
    # So late that without a new welcome the next repetition is 2 s away.
    orchestrator.get("partial_result", count=4, batch_id=batch)
    orchestrator.answers_hello = False
    orchestrator.epoch += 1
    since = orchestrator.mark()
    orchestrator.get("hello", since)
    since = orchestrator.mark()
    orchestrator.pass_time(2.3)
    sent = sorted({one.kind for one in orchestrator.received[since:]} - {"hello"})
    require(not sent, f"while no orchestrator had welcomed it, it sent {', '.join(sent)}")
    orchestrator.answers_hello = True
    since = orchestrator.mark()
    orchestrator.get("hello", since)
    welcomed = time.monotonic()
    again = orchestrator.get("partial_result", since, batch_id=batch, limit_s=2)
    late = again.at - welcomed
    require(
        late <= first / 1000 + 0.6 * trial.setup.patience, f"sent again {late * 1000:.0f} ms after welcome"
    )
    return f"only hello for 2.3 s; sent again {late * 1000:.0f} ms after welcome (resend_ms {first})"


@rule(BEATS, limit_s=60)
def silence_makes_new_sockets(trial: Trial) -> str:
    """After 5 s without a heartbeat, not earlier, the worker makes new sockets under the same session id and
    says hello; work goes on."""
    orchestrator, _worker = trial.session()
    batch = orchestrator.batch([trial.step(1, until=trial.gate())])
    trial.wait_for_start(orchestrator, 1)
    session = orchestrator.session
    orchestrator.beat_of_now()
    orchestrator.beats = False
    known = len(orchestrator.subscriptions)
    since = orchestrator.mark()
    silent = time.monotonic()
    hello = orchestrator.get("hello", since, limit_s=12)
    waited = hello.at - silent
    require(waited >= SILENCE_S - orchestrator.heartbeat_ms / 1000 - 0.3, f"it gave up after {waited:.1f} s")
    require(hello.body["session"] == session, "it made a new session id")
    require(
        inventory(hello, "running") == refs((batch, 1, 1)),
        f"hello lists running {inventory(hello, 'running')}",
    )
    steps, control = f"steps.{session} ", f"control.{session} "

    def anew() -> bool:
        seen = {one.topic for one in orchestrator.subscriptions[known:] if one.on}
        return {steps, control} <= seen

    orchestrator.wait("new subscriptions on new sockets", anew)

    def closed() -> bool:
        return any(one.topic == control and not one.on for one in orchestrator.subscriptions[known:])

    orchestrator.wait("end of the old sockets", closed)
    orchestrator.beats = True
    orchestrator.ready("heard again")
    trial.open_gate()
    orchestrator.get("batch_completion", batch_id=batch)
    return f"new sockets after {waited:.1f} s, same session, running step kept"


@rule(BEATS, limit_s=60)
def orchestrator_back(trial: Trial) -> str:
    """An orchestrator that goes away and comes back on the same endpoints finds the same session, its
    inventory and its reports."""
    orchestrator, _worker = trial.session(resend_ms=400)
    session = orchestrator.session
    orchestrator.acks = False
    done = orchestrator.batch([trial.step(1)])
    report = orchestrator.final(done, 1)
    orchestrator.get("batch_completion", batch_id=done)
    running = orchestrator.batch([trial.step(2, until=trial.gate())])
    trial.wait_for_start(orchestrator, 2)
    orchestrator.unbind()
    orchestrator.pass_time(1.5)
    trial.open_gate()
    orchestrator.pass_time(0.3)
    since = orchestrator.mark()
    orchestrator.epoch += 1
    orchestrator.bind()
    hello = orchestrator.get("hello", since, limit_s=10)
    require(hello.body["session"] == session, "it made a new session id")
    orchestrator.ready("back again")
    # What stood in the sockets has come by now; what comes from here on was sent to this orchestrator.
    again = orchestrator.final(done, 1, orchestrator.mark())
    require(again.frame == report.frame, "the report that was sent again has other bytes")
    orchestrator.acks = True
    orchestrator.get("batch_completion", since, batch_id=running)
    orchestrator.final(orchestrator.batch([trial.step(3)]), 3)
    require(trial.starts() == [1, 2, 3], f"steps {trial.starts()} ran")
    return "same session; the old report unchanged, the one of the time between, and new work"


def _takes_over(trial: Trial, first: Orchestrator, second: Orchestrator, batch: str) -> None:
    """The second one hears hello with the inventory, then the report."""
    hello = second.get("hello", limit_s=10)
    require(hello.body["session"] == first.session, "it said hello with another session id")
    require(
        inventory(hello, "unacked") == refs((batch, 1, 1)),
        f"its hello lists unacked {inventory(hello, 'unacked')}",
    )
    second.ready("standby")
    second.final(batch, 1)


@rule("Sockets", needs=("several_endpoints",), limit_s=60)
def two_endpoints(trial: Trial) -> str:
    """Given an orchestrator and its standby, the worker connects to both, follows the one with the higher
    epoch, and ignores the other when it speaks again."""
    first = trial.orchestrator(resend_ms=500)
    standby = trial.endpoints()
    trial.start(first, also=[standby])
    trial.hello(first)
    first.ready("first")
    first.acks = False
    batch = first.batch([trial.step(1)])
    first.get("batch_completion", batch_id=batch)
    # From here on nothing of the first one is read: it is frozen.
    second = trial.orchestrator(standby, epoch=5)
    second.hopeless = first.hopeless
    _takes_over(trial, first, second, batch)
    since = second.mark()
    first.heartbeat()
    first.batch([trial.step(101)])
    first.control("drain", deadline_ms=0)
    second.final(second.batch([trial.step(2)]), 2)
    second.beat_of_now()
    require(trial.starts() == [1, 2], f"steps {trial.starts()} ran; step 101 came with a lower epoch")
    for kind in ("hello", "goodbye"):
        require(not second.of(kind, since), f"it said {kind} when the old orchestrator spoke")
    first.unbind()
    second.pass_time(0.5)
    first.epoch = 6
    first.acks = True
    since = first.mark()
    first.bind()
    first.get("hello", since, limit_s=10)
    first.ready("back with a higher epoch")
    first.final(first.batch([trial.step(3)]), 3)
    return "to the standby with epoch 5, and back to the first with epoch 6"


@rule(BEATS)
def frozen_past_lease(trial: Trial) -> str:
    """A worker that was frozen past its lease answers again: heartbeats, probes, its reports; and it honours
    what was cancelled meanwhile."""
    orchestrator, worker = trial.session(lease_ms=1000, capacity=2)
    done = orchestrator.batch([trial.step(1, until=trial.gate())])
    stale = orchestrator.batch([trial.step(2, until=trial.gate("never"))])
    for number in (1, 2):
        trial.wait_for_start(orchestrator, number)
    held = None
    if "capacity" not in trial.setup.without:
        held = orchestrator.batch([trial.step(3)])
        orchestrator.get("batch_accepted", batch_id=held)
    worker.freeze()
    steps = [ref(stale, 2)] + ([ref(held, 3)] if held else [])
    orchestrator.control("cancel", steps=steps, reason="the lease is over")
    orchestrator.pass_time(1.8)
    since = orchestrator.mark()
    worker.thaw()
    orchestrator.ready("awake again")
    report = orchestrator.final(stale, 2, since).body
    require(
        report["status"] in ("failed", "error"), f"a cancelled handler was reported as {report['status']}"
    )
    if held:
        rejected = orchestrator.get("batch_rejected", since, batch_id=held)
        require(reasons(rejected) == {3: "cancelled"}, f"handed back: {reasons(rejected)}")
    trial.open_gate()
    orchestrator.final(done, 1, since)
    orchestrator.get("worker_heartbeat", since)
    require(3 not in trial.starts(), "a step that was cancelled while the worker was frozen started")
    return "frozen for 1.8 s with a lease of 1 s; reported, and what was cancelled did not run"
