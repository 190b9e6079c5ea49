"""Chapter "Reports, acks and the outbox", on disk: reports outlive the process that made them."""

import os
import resource
from typing import List, Tuple

from ..frames import Received, inventory
from ..orchestrator import Orchestrator
from ..process import WorkerProcess
from ..rulebook import rule
from ..trial import EXIT_S, UNKNOWN_HANDLER, Trial, refs, require

DISK = "Reports: outbox on disk"
NEEDS = ("outbox_file",)


def _with_file(trial: Trial, **settings: int) -> Tuple[Orchestrator, WorkerProcess, str]:
    path = str(trial.folder / "outbox")
    orchestrator, worker = trial.session("--outbox", path, **settings)
    orchestrator.acks = False
    return orchestrator, worker, path


def _successor(trial: Trial, orchestrator: Orchestrator, path: str, since: int) -> Received:
    """Starts the next worker on the same file; returns its hello, before it was welcomed."""
    old = orchestrator.session
    trial.start(orchestrator, "--outbox", path)
    orchestrator.wait("hello of the successor", lambda: orchestrator.session != old, 15)
    return orchestrator.get("hello", since, session=orchestrator.session)


@rule(DISK, NEEDS)
def outbox_outlives_kill(trial: Trial) -> str:
    """After kill -9 a successor on the same file lists the session in previous_sessions and the steps as
    unacked, sends the reports unchanged with the original session and itself as sent_by, and runs nothing
    again."""
    orchestrator, worker, path = _with_file(trial)
    old = orchestrator.session
    batch = orchestrator.batch([trial.step(1), trial.step(2, handler_class=UNKNOWN_HANDLER)])
    completion = orchestrator.get("batch_completion", batch_id=batch)
    report = orchestrator.final(batch, 1)
    rejection = orchestrator.get("batch_rejected", batch_id=batch)
    trial.kill(orchestrator, worker)
    since = orchestrator.mark()
    hello = _successor(trial, orchestrator, path, since)
    named = hello.body.get("previous_sessions")
    require(named == [old], f"its previous_sessions are {named}; the predecessor was {old}")
    unacked = sorted(inventory(hello, "unacked"))
    require(unacked == refs((batch, 1, 1), (batch, 2, 1)), f"its hello lists unacked {unacked}")
    orchestrator.ready("successor")
    for message in (report, completion):
        again = orchestrator.get(message.kind, since, batch_id=batch)
        wanted = {**message.body, "sent_by": orchestrator.session}
        require(again.body == wanted, f"the {message.kind} was not sent again with only sent_by added")
    again = orchestrator.get("batch_rejected", since, batch_id=batch)
    require(again.frame == rejection.frame, "the batch_rejected was not sent again unchanged")
    orchestrator.ack(report, completion)
    numbers = {"batch_id": batch, "sequences": [rejection.body["sequence"]]}
    orchestrator.send(f"control.{old}", "ack", session=old, batches=[numbers], rejected=[])
    orchestrator.wait("empty outbox", lambda: not inventory(orchestrator.beat_of_now(), "unacked"))
    orchestrator.acks = True
    orchestrator.final(orchestrator.batch([trial.step(3)]), 3)
    require(trial.starts() == [1, 3], f"steps {trial.starts()} ran")
    return "report, completion and hand-back sent in the predecessor's name, acked, nothing run again"


@rule(DISK, NEEDS)
def outbox_two_predecessors(trial: Trial) -> str:
    """After two deaths in a row both sessions are named and both reports sent, each with its own session."""
    orchestrator, worker, path = _with_file(trial)
    sessions: List[str] = []
    for number in (1, 2):
        batch = orchestrator.batch([trial.step(number)])
        orchestrator.get("batch_completion", batch_id=batch)
        sessions.append(orchestrator.session)
        trial.kill(orchestrator, trial.workers[-1])
        since = orchestrator.mark()
        hello = _successor(trial, orchestrator, path, since)
        orchestrator.ready(f"successor {number}")
    require(
        hello.body.get("previous_sessions") == sessions,
        f"previous_sessions: {hello.body.get('previous_sessions')}",
    )
    for number, session in enumerate(sessions, 1):
        report = orchestrator.get("partial_result", since, step_id=number, sent_by=orchestrator.session)
        require(
            report.body["session"] == session,
            f"the report of step {number} names session {report.body['session']}",
        )
    return "both named, both replayed"


@rule(DISK, NEEDS)
def outbox_torn_end(trial: Trial) -> str:
    """A record that a crash cut off at the end of the file is dropped: the successor starts, sends what is
    whole, and works."""
    orchestrator, worker, path = _with_file(trial)
    first = orchestrator.batch([trial.step(1)])
    orchestrator.get("batch_completion", batch_id=first)
    second = orchestrator.batch([trial.step(2)])
    orchestrator.get("batch_completion", batch_id=second)
    trial.kill(orchestrator, worker)
    require(os.path.isfile(path), f"--outbox {os.path.basename(path)} did not become a file of that name")
    os.truncate(path, os.path.getsize(path) - 5)
    since = orchestrator.mark()
    hello = _successor(trial, orchestrator, path, since)
    unacked = inventory(hello, "unacked")
    require((first, 1, 1) in unacked, f"its hello lists unacked {unacked}; the record of step 1 was whole")
    orchestrator.acks = True
    orchestrator.ready("successor")
    orchestrator.final(first, 1, since)
    orchestrator.final(orchestrator.batch([trial.step(3)]), 3)
    require(trial.starts() == [1, 2, 3], f"steps {trial.starts()} ran")
    return "cut by 5 bytes: the whole records were sent"


@rule(DISK, NEEDS)
def outbox_locked(trial: Trial) -> str:
    """A second worker on the same file does not start (exit code 2); the first one works on."""
    orchestrator, worker, path = _with_file(trial)
    orchestrator.acks = True
    session = orchestrator.session
    second = trial.start(orchestrator, "--outbox", path)
    orchestrator.hopeless = lambda: None
    orchestrator.wait("end of the second worker", lambda: second.exit_code is not None, 15)
    require(
        second.exit_code == 2,
        f"a second worker on the file ended with exit code {second.exit_code} instead of 2",
    )
    require(orchestrator.session == session, "a second worker on the file said hello")
    orchestrator.final(orchestrator.batch([trial.step(1)]), 1)
    require(worker.exit_code is None, "the first worker ended, too")
    return "exit code 2, the first works on"


@rule(DISK, NEEDS)
def outbox_disk_full(trial: Trial) -> str:
    """While the file cannot grow, reports stay unsent and nothing new starts; when it can, all goes on by
    itself."""
    orchestrator, worker, path = _with_file(trial, capacity=1)
    # To a process that may write no larger file the disk is full.
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
    first = orchestrator.batch([trial.step(1, output_bytes=40_000)])
    orchestrator.get("batch_completion", batch_id=first)
    second = orchestrator.batch([trial.step(2, output_bytes=40_000)])
    trial.wait_for_start(orchestrator, 2)
    orchestrator.pass_time(0.5)
    third = orchestrator.batch([trial.step(3)])
    orchestrator.get("batch_accepted", batch_id=third)
    orchestrator.pass_time(0.5)
    require(worker.exit_code is None, "it ended when its outbox file could not grow")
    require(not orchestrator.of("partial_result", step_id=2), "a report was sent that is not on the disk")
    require(3 not in trial.starts(), "a step started while the outbox could not be written")
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    orchestrator.acks = True
    orchestrator.final(second, 2, limit_s=EXIT_S)
    orchestrator.final(third, 3)
    return "one report waited, one step was held; with room both went on"
