"""Chapter "Drain and goodbye", and exit codes."""

import signal
from typing import Optional

from ..errors import Violation
from ..frames import inventory
from ..orchestrator import Orchestrator
from ..process import WorkerProcess
from ..rulebook import rule
from ..trial import Trial, reasons, require
from .work import require_counts, require_in_sequence

DRAIN = "Drain and goodbye"
README = "workers/README, exit codes"
# The worker's exit code when it leaves with unfinished work.
UNFINISHED = 4


def _goodbye(
    trial: Trial, orchestrator: Orchestrator, worker: WorkerProcess, reason: str, code: Optional[int]
) -> int:
    """Waits for the goodbye and the end; returns the exit code."""
    goodbye = orchestrator.get("goodbye", session=orchestrator.session)
    said = goodbye.body["reason"]
    require(said == reason, f"it said goodbye with reason {said} instead of {reason}")
    ended = trial.end_of(orchestrator, worker)
    require(code is None or ended == code, f"it ended with exit code {ended} instead of {code}")
    place = next(place for place, one in enumerate(orchestrator.received) if one is goodbye)
    after = sorted({one.kind for one in orchestrator.received[place + 1 :]})
    require(not after, f"after goodbye it sent {', '.join(after)}")
    return ended


def _until_it_drains(trial: Trial, orchestrator: Orchestrator) -> None:
    """Sends steps until one is handed back: a signal and a message may overtake each other."""
    for number in range(101, 130):
        since = orchestrator.mark()
        batch = orchestrator.batch([trial.step(number)])

        def answered() -> bool:
            kinds = {one.kind for one in orchestrator.received[since:] if one.body.get("batch_id") == batch}
            return bool(kinds & {"batch_rejected", "batch_completion"})

        orchestrator.wait("answer to a batch after the signal", answered)
        rejected = orchestrator.of("batch_rejected", since, batch_id=batch)
        if rejected:
            require(reasons(rejected[0]) == {number: "draining"}, f"handed back: {reasons(rejected[0])}")
            return
        orchestrator.pass_time(0.05)
    raise Violation("it took 29 batches after the signal that drains it")


def _drains(trial: Trial, how: Optional[int]) -> str:
    """Drains by a signal, or by the message; one step runs, one is held, one batch comes later."""
    orchestrator, worker = trial.session(capacity=1)
    limited = "capacity" not in trial.setup.without
    steps = [trial.step(1, until=trial.gate()), *([trial.step(2)] if limited else [])]
    batch = orchestrator.batch(steps)
    trial.wait_for_start(orchestrator, 1)
    orchestrator.get("batch_accepted", batch_id=batch)
    if how is None:
        orchestrator.control("drain", deadline_ms=20_000)
    else:
        worker.signal(how)
    if limited:
        rejected = orchestrator.get("batch_rejected", batch_id=batch)
        require(reasons(rejected) == {2: "draining"}, f"handed back: {reasons(rejected)}")
    else:
        orchestrator.pass_time(0.5)
    late = orchestrator.batch([trial.step(3)])
    rejected = orchestrator.get("batch_rejected", batch_id=late)
    require(
        reasons(rejected) == {3: "draining"},
        f"a batch that came while it drained was answered {reasons(rejected)}",
    )
    require(
        worker.exit_code is None and not orchestrator.of("goodbye"), "it left while a handler was running"
    )
    trial.open_gate()
    require_counts(orchestrator.get("batch_completion", batch_id=batch), 1, 1, 0)
    _goodbye(trial, orchestrator, worker, "drained", 0)
    require_in_sequence(orchestrator, batch)
    require(trial.starts() == [1], f"steps {trial.starts()} ran; only step 1 had started before the drain")
    return "held: handed back; running: finished; goodbye drained, exit code 0"


@rule(DRAIN)
def drain_message(trial: Trial) -> str:
    """On `drain` what is held, or comes later, is handed back as `draining`; what runs ends; then the worker
    says goodbye `drained` and ends with exit code 0."""
    return _drains(trial, None)


@rule(DRAIN)
def drain_sigterm(trial: Trial) -> str:
    """SIGTERM drains."""
    return _drains(trial, signal.SIGTERM)


@rule(DRAIN)
def drain_sigint(trial: Trial) -> str:
    """SIGINT drains."""
    return _drains(trial, signal.SIGINT)


@rule(DRAIN)
def drain_waits_for_acks(trial: Trial) -> str:
    """A draining worker sends its reports again and does not leave until all of them are acked."""
    orchestrator, worker = trial.session(resend_ms=300)
    orchestrator.acks = False
    batch = orchestrator.batch([trial.step(1)])
    completion = orchestrator.get("batch_completion", batch_id=batch)
    worker.signal(signal.SIGTERM)
    orchestrator.get("batch_completion", count=3, batch_id=batch)
    require(not orchestrator.of("goodbye"), "it said goodbye with an unacked report")
    require(worker.exit_code is None, "it ended with an unacked report")
    orchestrator.ack(orchestrator.final(batch, 1), completion)
    _goodbye(trial, orchestrator, worker, "drained", 0)
    return "sent again until the ack, then goodbye drained"


@rule(DRAIN)
def drain_deadline(trial: Trial) -> str:
    """When deadline_ms of the drain is over the worker leaves with reason `deadline` and exit code 4."""
    orchestrator, worker = trial.session()
    orchestrator.batch([trial.step(1, until=trial.gate(), deaf=True)])
    trial.wait_for_start(orchestrator, 1)
    orchestrator.control("drain", deadline_ms=600)
    code = _goodbye(trial, orchestrator, worker, "deadline", UNFINISHED)
    return f"goodbye deadline, exit code {code}"


@rule(DRAIN, needs=("drain_timeout",))
def drain_own_limit(trial: Trial) -> str:
    """A worker told to stop by a signal leaves with reason `deadline` and exit code 4 when its own
    --drain-timeout is over."""
    orchestrator, worker = trial.session("--drain-timeout", "0.6")
    orchestrator.acks = False
    batch = orchestrator.batch([trial.step(1)])
    orchestrator.get("batch_completion", batch_id=batch)
    worker.signal(signal.SIGTERM)
    code = _goodbye(trial, orchestrator, worker, "deadline", UNFINISHED)
    return f"an unacked report for 0.6 s: goodbye deadline, exit code {code}"


@rule(DRAIN)
def drain_beside_stuck_handler(trial: Trial) -> str:
    """A timed-out handler that still runs makes the reason `handlers_running`; the process ends all the
    same."""
    orchestrator, worker = trial.session()
    batch = orchestrator.batch([trial.step(1, timeout_ms=200, until=trial.gate("never"), deaf=True)])
    orchestrator.get("batch_completion", batch_id=batch)
    orchestrator.wait("acked report", lambda: not inventory(orchestrator.beat_of_now(), "unacked"))
    worker.signal(signal.SIGTERM)
    _goodbye(trial, orchestrator, worker, "handlers_running", 0)
    return "goodbye handlers_running, exit code 0"


@rule(DRAIN)
def goodbye_keeps_promise(trial: Trial) -> str:
    """After goodbye nothing more is read: batches that stand right behind the last ack are never started."""
    orchestrator, worker = trial.session()
    orchestrator.acks = False
    batch = orchestrator.batch([trial.step(1)])
    orchestrator.get("batch_completion", batch_id=batch)
    worker.signal(signal.SIGTERM)
    _until_it_drains(trial, orchestrator)
    before = trial.starts()
    # All acks in one message: the last of them ends the drain.
    reports = [
        one
        for one in orchestrator.received
        if "sequence" in one.body and one.body.get("status") != "in_progress"
    ]
    orchestrator.ack(*reports)
    late = {orchestrator.batch([trial.step(number)]) for number in range(201, 260)}
    # Those that it still read are handed back; all of that is acked.
    orchestrator.acks = True
    _goodbye(trial, orchestrator, worker, "drained", 0)
    taken = [one for one in orchestrator.of("batch_accepted") if one.body["batch_id"] in late]
    require(not taken, f"it accepted {len(taken)} batches while it drained")
    require(trial.starts() == before, f"steps {trial.starts()} ran; only {before} may")
    return f"{len(late)} batches behind the last ack, none started"


@rule(DRAIN)
def second_signal(trial: Trial) -> str:
    """A second signal ends the worker at once, with goodbye `interrupted` and exit code 4."""
    orchestrator, worker = trial.session()
    orchestrator.batch([trial.step(1, until=trial.gate(), deaf=True)])
    trial.wait_for_start(orchestrator, 1)
    worker.signal(signal.SIGTERM)
    _until_it_drains(trial, orchestrator)
    worker.signal(signal.SIGTERM)
    code = _goodbye(trial, orchestrator, worker, "interrupted", UNFINISHED)
    return f"goodbye interrupted, exit code {code}"


@rule(DRAIN)
def drain_without_orchestrator(trial: Trial) -> str:
    """A worker that has nothing in hand and was never welcomed ends at SIGTERM, with exit code 0."""
    orchestrator = trial.orchestrator()
    orchestrator.answers_hello = False
    worker = trial.start(orchestrator)
    trial.hello(orchestrator)
    worker.signal(signal.SIGTERM)
    code = trial.end_of(orchestrator, worker)
    require(code == 0, f"it ended with exit code {code} instead of 0")
    return "exit code 0"


@rule(README)
def exit_code_of_usage(trial: Trial) -> str:
    """A command line that the worker does not understand ends it with exit code 2, before it says hello."""
    orchestrator = trial.orchestrator()
    worker = trial.start(orchestrator, "--there-is-no-such-option")
    code = trial.end_of(orchestrator, worker, 15)
    require(code == 2, f"an unknown option ended it with exit code {code} instead of 2")
    require(not orchestrator.of("hello"), "it said hello with a command line that it does not understand")
    return "an unknown option: exit code 2"
