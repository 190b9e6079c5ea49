"""The conversation with the orchestrator: one life of a worker.

    greeting ── welcome ──► welcomed        hello each second until answered
        ▲                      │
        └── higher epoch, or 5 s of silence (the sockets are built anew)

The database on the other side is the truth. This side keeps three promises: what is said to be unstarted
never starts, what was reported stays in the outbox until it is acknowledged, and a batch that comes twice
runs once. This class holds no socket and reads no clock: frames and times come in, frames go out through
`send`, so tests can drive it.
"""

import os
import secrets
import socket
from typing import Any, Callable, Dict, List, Optional, Sequence

from .logs import Log
from .outbox import Entry, Outbox
from .outbox_file import Stored
from .outcome import ResultLimits
from .reports import sent_by
from .settings import Settings
from .version import LANGUAGE, SDK_VERSION
from .wire import codec
from .wire import messages as wire
from .wire.errors import DecodeError
from .work import Work

log = Log(__name__)

HELLO_S = 1.0
RETRY_MIN_S = 0.1
SILENCE_HEARTBEATS = 5
REBUILD_MAX_S = 30.0
RESEND_BURST = 500
PREVIOUS_SESSIONS_MAX = 100
# Exit codes of the worker.
EXIT_DRAINED, EXIT_REFUSED, EXIT_DRAIN_LIMIT = 0, 3, 4
# Reasons of goodbye. The first is a promise: everything this session ever started was reported and
# acknowledged, so whatever else was sent to it never started. It must not be said in any other case.
DRAINED = "drained"
HANDLERS_RUNNING, DEADLINE, INTERRUPTED, CRASHED = "handlers_running", "deadline", "interrupted", "crashed"


def new_session_id() -> str:
    return secrets.token_hex(8)


class Session:
    """Handshake, epochs, heartbeats, acknowledgements and the way out. Times are monotonic seconds."""

    def __init__(
        self,
        settings: Settings,
        work: Work,
        outbox: Outbox,
        limits: ResultLimits,
        send: Callable[[bytes], None],
        reopen: Callable[[str, Sequence[str]], None],
        handlers: List[str],
        namespaces: List[str],
    ) -> None:
        self._settings = settings
        self._work = work
        self._outbox = outbox
        self._limits = limits
        self._send = send
        self._reopen = reopen
        self._handlers = handlers
        self._namespaces = namespaces
        self.exit_code: Optional[int] = None
        self.welcomed = False
        self.epoch = 0
        self._seen_n = 0
        self._previous: List[str] = []
        self._heartbeat_s = 1.0
        self._hello_at = 0.0
        self._heartbeat_at = 0.0
        self._silent_at = 0.0
        self._rebuilds = 0
        self._drain_by: Optional[float] = None
        self._ever_welcomed = False
        #: control topics of sessions whose reports this one replays: only acks are taken from them
        self._inherited: Dict[bytes, str] = {}
        self._set_id(new_session_id())
        self._handle: Dict[type, Callable[[Any, float], None]] = {
            wire.Probe: self._on_probe,
            wire.Welcome: self._on_welcome,
            wire.Refused: self._on_refused,
            wire.Ack: self._on_ack,
            wire.Heartbeat: self._on_heartbeat,
            wire.Cancel: self._work.cancel,
            wire.Drain: self._on_drain,
            wire.StartGranted: self._work.start_granted,
            wire.StartDenied: self._work.start_denied,
            wire.ReportRequest: self._on_report_request,
        }

    def _set_id(self, session: str) -> None:
        self.id = session
        self._steps_topic = f"steps.{session}".encode()
        self._control_topic = f"control.{session}".encode()
        self._work.session = session

    def inherit(self, stored: List[Stored], now: float) -> None:
        """Takes over what predecessors left in the outbox file; it is sent once the orchestrator answers."""
        for report in stored:
            # A hand-back has no sent_by: its ack comes to the session it names.
            replay = report.frame.startswith(b"results ")
            self._outbox.restore(report, sent_by(report.frame, self.id) if replay else report.frame, now)
            self._inherited[f"control.{report.session}".encode()] = report.session
        self._previous = list(dict.fromkeys(report.session for report in stored))
        if stored:
            log.info("reports of a predecessor are sent", reports=len(stored), sessions=len(self._previous))

    # ------------------------------------------------------------------ what comes in

    def start(self, now: float) -> None:
        """Opens the sockets and begins to greet."""
        self._reopen(self.id, list(self._inherited.values()))
        self._silent_at = now + self._patience_s
        self._greet(now)

    def results_path_open(self, topics: List[bytes], now: float) -> None:
        """Somebody subscribed to what this worker sends: from now on a hello can arrive."""
        if not self.welcomed and any(b"workers ".startswith(topic) for topic in topics):
            self._greet(now)

    def receive(self, frame: bytes, now: float) -> None:
        """One frame from the SUB socket. Bad ones are logged and change nothing."""
        try:
            topic, body = codec.split_frame(frame)
            if topic != self._steps_topic and topic != self._control_topic:
                if topic not in self._inherited:
                    return  # a subscription is only a prefix
            # Twice the limit, so that a batch slightly too large can still be read and handed back.
            message = codec.decode_orchestrator_message(body, 2 * codec.BATCH_BYTES_MAX)
        except DecodeError as error:
            log.error(
                "a message was refused", code=error.code, field=error.field or None, error=error.message
            )
            return
        if message.epoch < self.epoch:
            log.debug("a message of an older epoch was dropped", epoch=message.epoch, known=self.epoch)
            return
        kind = type(message)
        self._heard(now)
        if message.epoch > self.epoch:
            self._on_new_epoch(message, now)
        if topic in self._inherited:
            if isinstance(message, wire.Ack) and message.session == self._inherited[topic]:
                self._on_ack(message, now)
            return
        on_steps = topic == self._steps_topic
        if on_steps != (kind is wire.StepBatchRequest or kind is wire.Probe):
            log.error(
                "a message came on the wrong topic",
                message_type=wire.MESSAGE_TYPES[kind],
                topic=topic.decode(),
            )
        elif kind is wire.StepBatchRequest:
            assert isinstance(message, wire.StepBatchRequest)
            self._work.take(message, len(body), now)
        elif getattr(message, "session", self.id) != self.id:
            log.error("a message names another session", message_type=wire.MESSAGE_TYPES[kind])
        else:
            self._handle[kind](message, now)

    def _heard(self, now: float) -> None:
        if self._rebuilds:
            log.info("the orchestrator is heard again", session=self.id)
            self._rebuilds = 0
        self._silent_at = now + self._patience_s

    @property
    def _patience_s(self) -> float:
        return max(self._settings.silence_ms / 1000, SILENCE_HEARTBEATS * self._heartbeat_s)

    def _on_new_epoch(self, message: Any, now: float) -> None:
        log.info("new epoch", epoch=message.epoch, before=self.epoch or None, session=self.id)
        self.epoch = message.epoch
        self._seen_n = 0
        # A welcome or a refusal is the answer to a hello that this epoch has heard already.
        if not isinstance(message, (wire.Welcome, wire.Refused)):
            self.welcomed = False
            self._greet(now)

    def _on_welcome(self, message: wire.Welcome, now: float) -> None:
        first = not self.welcomed
        if first:
            log.info("welcomed", session=self.id, epoch=message.epoch, orchestrator=message.orchestrator_id)
        self.welcomed = self._ever_welcomed = True
        self._heartbeat_s = message.heartbeat_ms / 1000.0
        self._heartbeat_at = now + self._heartbeat_s
        self._outbox.set_resend(message.resend_ms / 1000.0)
        self._work.set_resend(message.resend_ms / 1000.0)
        self._work.batch_bytes_max = message.limits.batch_bytes
        self._limits.result_bytes = message.limits.result_bytes
        self._limits.output_depth = max(1, message.limits.depth - 1)
        if first:
            # Whoever welcomes may be a successor that has none of the reports: not after a long wait.
            self._outbox.restart_delays(now)

    def _on_refused(self, message: wire.Refused, now: float) -> None:
        self.welcomed = False
        log.warn(
            "refused", code=message.code, error=message.message, retry_ms=message.retry_ms, session=self.id
        )
        if message.code in ("version", "not_allowed"):
            log.error(
                "the orchestrator refuses this worker; it stops",
                code=message.code,
                error=message.message,
                sdk_version=SDK_VERSION,
            )
            self.exit_code = EXIT_REFUSED
        elif message.code == "duplicate_session":
            self._change_id(now)
        else:
            self._hello_at = now + max(message.retry_ms / 1000.0, RETRY_MIN_S)

    def _on_probe(self, message: wire.Probe, now: float) -> None:
        self._post(
            wire.Ready(
                session=self.id,
                nonce=message.nonce,
                held=self._held(),
                running=self._running(),
                unacked=self._unacked(),
            )
        )
        # Whatever interrupted the conversation may also have swallowed reports.
        self._outbox.make_all_due(now)

    def _on_ack(self, message: wire.Ack, now: float) -> None:
        for acked in message.batches:
            self._outbox.acknowledge(acked.batch_id, acked.sequences)
        for refused in message.rejected:
            log.error(
                "a report was refused and is not sent again",
                code=refused.code,
                batch_id=refused.batch_id,
                sequence=refused.sequence,
            )
            self._outbox.acknowledge(refused.batch_id, (refused.sequence,))

    def _on_heartbeat(self, message: wire.Heartbeat, now: float) -> None:
        self._seen_n = message.n

    def _on_drain(self, message: wire.Drain, now: float) -> None:
        self.drain("asked by the orchestrator", now, message.deadline_ms / 1000.0)

    def _on_report_request(self, message: wire.ReportRequest, now: float) -> None:
        def wanted(entry: Entry) -> bool:
            if message.sequences is None and message.step_ids is None:
                return True
            by_step = any(step_id in (message.step_ids or ()) for step_id, _ in entry.steps)
            return by_step or entry.key[1] in (message.sequences or ())

        self._outbox.resend_some(message.batch_id, wanted, now)

    # ------------------------------------------------------------------ what time brings

    def tick(self, now: float) -> None:
        """Everything that is due; call it after each poll, when the sockets have been read."""
        if now >= self._silent_at:
            self._rebuild(now)
        if not self.welcomed:
            if now >= self._hello_at:
                self._greet(now)
        elif now >= self._heartbeat_at:
            self._beat(now)
        # Nobody answers: what is sent then would only pile up in the sockets.
        if self.welcomed:
            self._outbox.resend_due(now, RESEND_BURST)
        self._work.tick(now)
        self._outbox.flush(now)
        if self._drain_by is not None and self.exit_code is None:
            self._finish_drain(now)

    def next_due(self) -> float:
        """The next moment tick has something to do."""
        due = min(
            self._silent_at,
            self._heartbeat_at if self.welcomed else self._hello_at,
            self._work.next_due(),
        )
        resend = self._outbox.next_due() if self.welcomed else None
        for moment in (resend, self._outbox.next_flush()):
            if moment is not None:
                due = min(due, moment)
        return due if self._drain_by is None else min(due, self._drain_by)

    def drain(self, reason: str, now: float, limit_s: float) -> None:
        """Takes nothing new, hands back what has not started, and leaves when all reports are acked."""
        by = now + min(limit_s, self._settings.drain_timeout_s)
        if self._drain_by is not None:
            self._drain_by = min(self._drain_by, by)
            return
        log.info("draining", reason=reason, unfinished=self._work.unfinished, unacked=len(self._outbox))
        self._drain_by = by
        self._work.drain(now)

    def _finish_drain(self, now: float) -> None:
        assert self._drain_by is not None
        left = self._work.unfinished
        if left == 0 and len(self._outbox) == 0:
            # A timed-out handler may still run; nobody waits for it, but it makes the promise untrue.
            self.leave(DRAINED if self._work.is_empty else HANDLERS_RUNNING, EXIT_DRAINED)
        elif now >= self._drain_by:
            log.error("the drain limit is reached", unfinished=left, unacked=len(self._outbox))
            self.leave(DEADLINE, EXIT_DRAIN_LIMIT)

    def leave(self, reason: str, exit_code: int) -> None:
        """Says goodbye. From here on nothing is read, so nothing that arrives now is ever started."""
        self.exit_code = exit_code
        if self._ever_welcomed:
            self._post(wire.Goodbye(session=self.id, reason=reason))
        log.info("goodbye", session=self.id, reason=reason, exit_code=exit_code)

    def _greet(self, now: float) -> None:
        self._hello_at = now + HELLO_S
        self._post(
            wire.Hello(
                worker_id=self._settings.worker_id,
                session=self.id,
                language=LANGUAGE,
                sdk_version=SDK_VERSION,
                namespaces=self._namespaces,
                handlers=self._handlers,
                capacity=self._settings.capacity,
                prefetch=self._settings.prefetch,
                host=socket.gethostname(),
                pid=os.getpid(),
                held=self._held(),
                running=self._running(),
                unacked=self._unacked(),
                previous_sessions=self._previous or None,
            )
        )

    def _beat(self, now: float) -> None:
        self._heartbeat_at = max(self._heartbeat_at + self._heartbeat_s, now + self._heartbeat_s / 2)
        self._post(
            wire.WorkerHeartbeat(
                session=self.id,
                seen_n=self._seen_n,
                held=self._held(),
                running=[
                    wire.RunningStep(
                        batch_id=run.batch.batch_id,
                        step_id=run.step_id,
                        attempt=run.attempt,
                        age_ms=run.age_ms(now),
                    )
                    for run in self._work.still_running
                ],
                unacked=self._unacked(),
                oldest_unacked_ms=int(self._outbox.oldest_age_s(now) * 1000),
                free=self._work.free,
            )
        )

    def _rebuild(self, now: float) -> None:
        """Nothing was heard for too long: new sockets heal whatever state the old ones are in."""
        patience = self._patience_s
        if self._rebuilds == 0:
            log.warn(
                "nothing heard from the orchestrator; connecting anew until it answers",
                silent_s=round(patience, 1),
                session=self.id,
            )
        self._silent_at = now + min(patience * 2**self._rebuilds, max(REBUILD_MAX_S, patience))
        self._rebuilds += 1
        self.welcomed = False
        self._reopen(self.id, list(self._inherited.values()))
        self._greet(now)

    def _change_id(self, now: float) -> None:
        """Another process has this session's name: go on under a new one."""
        old, new = self.id, new_session_id()
        dropped = self._work.leave_session(new, now)
        lost = self._outbox.move_to_session(
            lambda entry: sent_by(entry.frame, new) if entry.frame and entry.replayable else None
        )
        log.warn("new session id", before=old, session=new, dropped_steps=dropped, dropped_rejections=lost)
        self._previous = [old, *self._previous][:PREVIOUS_SESSIONS_MAX]
        self._set_id(new)
        self._reopen(new, list(self._inherited.values()))
        self._greet(now)

    # ------------------------------------------------------------------ inventory

    def _held(self) -> List[wire.StepRef]:
        return [
            wire.StepRef(batch_id=run.batch.batch_id, step_id=run.step_id, attempt=run.attempt)
            for run in self._work.held()
        ]

    def _running(self) -> List[wire.StepRef]:
        return [
            wire.StepRef(batch_id=run.batch.batch_id, step_id=run.step_id, attempt=run.attempt)
            for run in self._work.still_running
        ]

    def _unacked(self) -> List[wire.StepRef]:
        """Reported and not acknowledged, except timed-out steps that still run: those stand in `running`."""
        running = {run.key for run in self._work.still_running}
        return [
            wire.StepRef(batch_id=batch_id, step_id=step_id, attempt=attempt)
            for batch_id, step_id, attempt in self._outbox.unacked()
            if (batch_id, step_id) not in running
        ]

    def _post(self, message: Any) -> None:
        self._send(codec.encode(message, "workers"))
