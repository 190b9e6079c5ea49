"""Chapter "A session's life": hello, refused, welcome."""

import time
from typing import List

from ..frames import Received
from ..orchestrator import Orchestrator
from ..rulebook import rule
from ..trial import HANDLER, NAMESPACE, Trial, require

LIFE = "A session's life"
# When a repeated hello may come: after 100 ms once, then each second. Machines are late, never early.
SECOND_S = (0.05, 0.5)
LATER_S = (0.8, 1.4)


def gaps(messages: List[Received]) -> List[float]:
    """Seconds between each message and the one before it."""
    return [after.at - before.at for before, after in zip(messages, messages[1:])]


def shown(numbers: List[float]) -> str:
    return ", ".join(f"{number * 1000:.0f}" for number in numbers) + " ms"


@rule(LIFE)
def hello_says_all(trial: Trial) -> str:
    """The worker says hello with all its fields: its handlers, namespaces, capacity, host and pid, and an
    empty inventory."""
    orchestrator = trial.orchestrator()
    worker = trial.start(orchestrator, capacity=3)
    body = trial.hello(orchestrator).body
    handlers, namespaces = body.get("handlers") or [], body.get("namespaces") or []
    fits = [one for one in handlers if one == HANDLER or one.endswith("*") and HANDLER.startswith(one[:-1])]
    require(fits, f"hello does not list the handler class {HANDLER}: {handlers}")
    require(
        NAMESPACE in namespaces or "*" in namespaces,
        f"hello does not list the namespace {NAMESPACE}: {namespaces}",
    )
    if "capacity" not in trial.setup.without:
        require(body.get("capacity") == 3, f"hello says capacity {body.get('capacity')}; --capacity was 3")
    pid = body.get("pid")
    require(
        pid == worker.pid,
        f"hello says pid {pid}; the process that was started is {worker.pid} (a wrapper must use exec)",
    )
    for name in ("held", "running", "unacked"):
        require(body.get(name) == [], f"hello of a new worker has {name} {body.get(name)}")
    require(not body.get("previous_sessions"), "hello of a new worker names previous_sessions")
    return f"language {body.get('language')} {body.get('sdk_version')}, capacity {body.get('capacity')}"


@rule(LIFE)
def session_id_is_new(trial: Trial) -> str:
    """Each start of the worker makes a new session id."""
    seen = []
    for _ in range(2):
        orchestrator = trial.orchestrator()
        trial.start(orchestrator)
        seen.append(trial.hello(orchestrator).body["session"])
    require(seen[0] != seen[1], f"two starts have the same session id {seen[0]}")
    return f"{seen[0]}, then {seen[1]}"


@rule(LIFE, limit_s=30)
def hello_repeats(trial: Trial) -> str:
    """Until it is answered, the worker says hello at once, again after 100 ms, and then each second."""
    orchestrator = trial.orchestrator()
    orchestrator.answers_hello = False
    # The first heartbeat brings the first epoch, at which hello starts anew.
    orchestrator.beats = False
    trial.start(orchestrator)
    trial.hello(orchestrator)
    orchestrator.get("hello", count=4, limit_s=6)
    hellos = orchestrator.of("hello")[:4]
    connected = orchestrator.subscriptions[0].at if orchestrator.subscriptions else hellos[0].at
    late = hellos[0].at - connected
    require(
        late < 0.5 * trial.setup.patience, f"the first hello came {late * 1000:.0f} ms after the connection"
    )
    # The first one is often lost while the connection comes up; then the second one is the first seen.
    intervals = gaps(hellos)
    later = intervals[1:]
    first_was_lost = intervals[0] >= LATER_S[0]
    require(
        first_was_lost or SECOND_S[0] <= intervals[0] <= SECOND_S[1] * trial.setup.patience,
        f"hello was said again after {shown(intervals)}; expected 100 ms once, then 1000 ms",
    )
    _each_second(trial, later if not first_was_lost else intervals, intervals)
    return f"again after {shown(intervals)}{' (the first hello was lost)' if first_was_lost else ''}"


def _each_second(trial: Trial, later: List[float], intervals: List[float]) -> None:
    high = LATER_S[1] * trial.setup.patience
    require(
        all(LATER_S[0] <= gap <= high for gap in later),
        f"hello was said again after {shown(intervals)}; expected 100 ms once, then 1000 ms",
    )


@rule("Heartbeats and restarts", limit_s=30)
def hello_after_epoch(trial: Trial) -> str:
    """At a higher epoch the worker says hello at once, again after 100 ms, and then each second."""
    orchestrator, _worker = trial.session()
    orchestrator.answers_hello = False
    since = orchestrator.mark()
    orchestrator.epoch += 1
    told = time.monotonic()
    orchestrator.heartbeat()
    orchestrator.get("hello", since, count=4, limit_s=6)
    hellos = orchestrator.of("hello", since)[:4]
    late = hellos[0].at - told
    require(late < 0.3 * trial.setup.patience, f"hello came {late * 1000:.0f} ms after the higher epoch")
    intervals = gaps(hellos)
    require(
        SECOND_S[0] <= intervals[0] <= SECOND_S[1] * trial.setup.patience,
        f"hello was said again after {shown(intervals)}; expected 100 ms once, then 1000 ms",
    )
    _each_second(trial, intervals[1:], intervals)
    return f"after {late * 1000:.0f} ms, again after {shown(intervals)}"


@rule(LIFE)
def hello_ends_with_welcome(trial: Trial) -> str:
    """Once welcomed and proven, the worker says hello no more."""
    orchestrator, _worker = trial.session()
    since = orchestrator.mark()
    orchestrator.pass_time(2.3)
    count = len(orchestrator.of("hello", since))
    require(count == 0, f"{count} hellos within 2.3 s after welcome and ready")
    return "no hello within 2.3 s after ready"


@rule(LIFE)
def subscriptions_exact(trial: Trial) -> str:
    """The worker subscribes to its own steps and control topic, each with the trailing space, and to nothing
    else."""
    orchestrator, _worker = trial.session()
    topics = {one.topic for one in orchestrator.subscriptions if one.on}
    wanted = {f"steps.{orchestrator.session} ", f"control.{orchestrator.session} "}
    require(topics == wanted, f"it subscribed to {sorted(topics)} instead of {sorted(wanted)}")
    return "steps.<session>␠ and control.<session>␠"


@rule(LIFE)
def only_hello_before_welcome(trial: Trial) -> str:
    """Before welcome the worker sends nothing but hello, also when it sees heartbeats."""
    orchestrator = trial.orchestrator()
    orchestrator.answers_hello = False
    trial.start(orchestrator)
    trial.hello(orchestrator)
    orchestrator.pass_time(2.0)
    other = sorted({message.kind for message in orchestrator.received if message.kind != "hello"})
    require(not other, f"before welcome it sent {', '.join(other)}")
    return f"{len(orchestrator.received)} hellos and nothing else within 2 s"


def _refused(trial: Trial, code: str, retry_ms: int) -> Orchestrator:
    """A worker whose hello was refused; the orchestrator answers no further one."""
    orchestrator = trial.orchestrator()
    orchestrator.answers_hello = False
    trial.start(orchestrator)
    trial.hello(orchestrator)
    orchestrator.wait(
        "subscription to the control topic",
        lambda: orchestrator.subscribed(f"control.{orchestrator.session}"),
    )
    orchestrator.control("refused", code=code, message="the rule wants it so", retry_ms=retry_ms)
    return orchestrator


@rule(LIFE)
def refused_for_good(trial: Trial) -> str:
    """Refused with `version` or `not_allowed` the worker stops with exit code 3."""
    codes = []
    for code in ("version", "not_allowed"):
        orchestrator = _refused(trial, code, 1000)
        codes.append(trial.end_of(orchestrator, trial.workers[-1]))
        require(codes[-1] == 3, f"refused with {code} it ended with exit code {codes[-1]} instead of 3")
        require(not orchestrator.of("goodbye"), "it said goodbye, although it was never welcomed")
    return "exit code 3 for version and for not_allowed"


@rule(LIFE)
def refused_try_again(trial: Trial) -> str:
    """Refused with `draining`, or with a code it does not know, the worker tries again after retry_ms."""
    waits = []
    for code in ("draining", "come_back_on_monday"):
        orchestrator = _refused(trial, code, 1500)
        told = time.monotonic()
        # A hello that was on its way does not count.
        orchestrator.pass_time(0.1)
        since = orchestrator.mark()
        again = orchestrator.get("hello", since, limit_s=4)
        waits.append(again.at - told)
        require(
            waits[-1] >= 1.45, f"refused with {code}, retry_ms 1500, it said hello after {shown(waits[-1:])}"
        )
        orchestrator.answers_hello = True
        orchestrator.get("hello", since)
        orchestrator.ready("welcome now")
    return f"hello again after {shown(waits)} (retry_ms 1500)"


@rule(LIFE)
def refused_duplicate(trial: Trial) -> str:
    """Refused with `duplicate_session` the worker starts again under a new session id."""
    orchestrator = _refused(trial, "duplicate_session", 200)
    old = orchestrator.session
    orchestrator.answers_hello = True
    orchestrator.wait("hello with another session id", lambda: orchestrator.session != old)
    orchestrator.ready("welcome now")
    batch = orchestrator.batch([trial.step(1)])
    report = orchestrator.final(batch, 1)
    require(report.body.get("session") == orchestrator.session, "its report does not name the new session")
    return f"{old} became {orchestrator.session}, and works"


@rule(LIFE)
def refused_once_welcomed(trial: Trial) -> str:
    """Once welcomed, the worker ignores every refusal that answers a hello: it is somebody else's."""
    orchestrator, worker = trial.session()
    session, since = orchestrator.session, orchestrator.mark()
    for code in ("duplicate_session", "not_allowed", "version", "draining"):
        orchestrator.control("refused", code=code, message="meant for another", retry_ms=100)
    orchestrator.pass_time(1.0)
    require(not orchestrator.of("hello", since), "it said hello again after a refusal of another's hello")
    require(worker.exit_code is None, "it ended after a refusal of another's hello")
    orchestrator.ready("still there")
    require(orchestrator.session == session, "it has another session id")
    return "four refusals, and it goes on"


@rule(LIFE)
def other_nonce_ignored(trial: Trial) -> str:
    """The worker ignores a welcome and a refused that carry another hello_nonce than its own."""
    orchestrator = trial.orchestrator()
    orchestrator.answers_hello = False
    worker = trial.start(orchestrator)
    hello = trial.hello(orchestrator).body
    if not hello.get("hello_nonce"):
        return "its hello has no hello_nonce"
    topic = f"control.{orchestrator.session}"
    orchestrator.wait("subscription to the control topic", lambda: orchestrator.subscribed(topic))
    session = orchestrator.session
    orchestrator.control(
        "refused", code="duplicate_session", message="for another", retry_ms=100, hello_nonce="another"
    )
    orchestrator.control(
        "refused", code="not_allowed", message="for another", retry_ms=100, hello_nonce="another"
    )
    orchestrator.pass_time(1.0)
    require(worker.exit_code is None, "it ended after a refusal with another hello_nonce")
    require(orchestrator.session == session, "it took a new session id after a refusal of another's hello")
    return "refusals with another hello_nonce change nothing"


@rule(LIFE)
def unknown_session_greets(trial: Trial) -> str:
    """Refused with `unknown_session`, a worker that was welcomed says hello again after retry_ms."""
    orchestrator, _worker = trial.session()
    since = orchestrator.mark()
    orchestrator.control("refused", code="unknown_session", message="who is this?", retry_ms=300)
    orchestrator.get("hello", since, limit_s=4)
    orchestrator.ready("known again")
    return "hello, and a proven session again"


@rule(LIFE)
def probe_waits_for_welcome(trial: Trial) -> str:
    """A probe that comes before the welcome is answered after it, not before."""
    orchestrator = trial.orchestrator()
    orchestrator.answers_hello = False
    trial.start(orchestrator)
    trial.hello(orchestrator)
    topic = f"steps.{orchestrator.session}"
    orchestrator.wait("subscription to the steps topic", lambda: orchestrator.subscribed(topic))
    orchestrator.probe("early")
    orchestrator.pass_time(0.5)
    require(not orchestrator.of("ready"), "it answered a probe although nobody has welcomed it")
    orchestrator.welcome()
    orchestrator.get("ready", nonce="early")
    return "answered after the welcome"
