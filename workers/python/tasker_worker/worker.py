"""A worker process: the loop that owns the sockets, between the orchestrator and the handler threads.

It alone touches the sockets, the session, the work and the outbox, so none of them has a lock. What the
orchestrator has acknowledged is forgotten, everything else stays in the outbox: killing this process loses at
most work that the orchestrator knows to be open.
"""

import math
import time
from typing import Any, Callable, Dict, List, Optional

from . import effects
from .claims import Claims
from .errors import ConfigurationError
from .log import Log
from .outbox import Entry, Outbox
from .outbox_file import OutboxFile
from .outcome import Limits
from .pool import Pool, WakeUp
from .registry import Registry
from .reports import Reports
from .session import Refused, Session
from .settings import Settings
from .sockets import Sockets
from .version import SDK_VERSION
from .wire import codec
from .wire import messages as wire
from .wire.errors import DecodeError
from .wire.reader import Reader
from .work import Work

log = Log(__name__)

# What is read before the finished steps and the timers get their turn: so many frames, for so long.
RECEIVE_BURST = 256
RECEIVE_S = 0.005
POLL_MAX_S = 60.0
# Exit codes of a worker, the same in every SDK.
EXIT_DRAINED, EXIT_FAILED, EXIT_USAGE, EXIT_REFUSED, EXIT_UNFINISHED = 0, 1, 2, 3, 4
# Reasons of goodbye. The first is a promise: everything this session ever started was reported and
# acknowledged, so whatever else was sent to it never started. It must not be said in any other case.
DRAINED = "drained"
DRAINING = "draining"
# So long before the end of a drain the handlers that still run are asked to stop; of a short one, at half.
STOP_BEFORE_S = 5.0
HANDLERS_RUNNING, DEADLINE, INTERRUPTED, CRASHED = "handlers_running", "deadline", "interrupted", "crashed"


class Worker:
    """Builds the parts and runs them in the calling thread until it is drained or refused."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._drain_requests: List[str] = []
        self._interrupted = False
        self._drain_by: Optional[float] = None
        #: when handlers that still run are asked to stop; None when that is done or nothing drains
        self._stop_at: Optional[float] = None
        self._exit_code: Optional[int] = None
        self._wake_up = WakeUp()
        file = OutboxFile(settings.outbox_path) if settings.outbox_path is not None else None
        self._sockets = Sockets(
            settings.steps_endpoints, settings.results_endpoints, self._wake_up.fd, settings.reconnect_max_ms
        )
        self._effects = effects.open_from_environment(settings.worker_id)
        self._limits = limits = Limits()
        self._reader = Reader()
        self._pool = Pool(settings.capacity, self._wake_up, limits, self._effects)
        self._outbox = Outbox(
            self._sockets.send,
            settings.outbox_limit,
            bytes_max=settings.outbox_bytes,
            resend_max_s=settings.resend_max_ms / 1000,
            file=file,
        )
        self._work = Work(
            registry,
            self._outbox,
            self._pool,
            Claims(self._sockets.send),
            Reports(settings.worker_id),
            self._sockets.send,
            settings.capacity * settings.prefetch,
        )
        self._session = Session(
            settings,
            self._work,
            self._outbox,
            self._sockets.send,
            self._sockets.open,
            registry.handler_classes,
            sorted(settings.namespaces) or ["*"],
        )
        if file is not None:
            self._session.inherit(list(file.stored.values()), time.monotonic())
        #: what happens to a message on the control topic
        self._control: Dict[type, Callable[[Any, float], None]] = {
            wire.Welcome: self._on_welcome,
            wire.Refused: self._session.on_refused,
            wire.Heartbeat: self._session.on_heartbeat,
            wire.Ack: self._on_ack,
            wire.Cancel: self._work.cancel,
            wire.Drain: self._on_drain,
            wire.StartGranted: self._work.start_granted,
            wire.StartDenied: self._work.start_denied,
            wire.ReportRequest: self._on_report_request,
        }

    @property
    def session_id(self) -> str:
        return self._session.id

    def request_drain(self, reason: str) -> None:
        """Asks for an orderly end; safe from any thread and from a signal handler."""
        self._drain_requests.append(reason)
        self._wake_up.ring()

    def request_interrupt(self) -> None:
        """Asks for an end at once, with a goodbye and nothing else; safe wherever request_drain is."""
        self._interrupted = True
        self._wake_up.ring()

    def run(self) -> int:
        """Works until the end; returns the exit code. ConfigurationError when an endpoint cannot be used."""
        try:
            self._session.start(time.monotonic())
            self._sockets.flush()
            while self._exit_code is None:
                self._turn()
            return self._exit_code
        except Refused as refused:
            log.error("refused for good", code=refused.code, reason=refused.reason, sdk_version=SDK_VERSION)
            return EXIT_REFUSED
        except ConfigurationError:
            raise  # an endpoint that libzmq does not take
        except Exception:
            # With a goodbye the orchestrator need not wait for the lease to end.
            self._leave(CRASHED, EXIT_FAILED)
            raise
        finally:
            self._pool.close()
            self._sockets.close()
            self._outbox.close()
            if self._effects is not None and not self._work.still_running:
                self._effects.close()

    @property
    def handlers_running(self) -> int:
        """Handlers that outlived the loop (their threads end with the process)."""
        return len(self._work.still_running)

    def _turn(self) -> None:
        """One round: wait, report, read, what time brings, send, start.

        Sending comes before starting, so a batch is accepted before it runs; and since the handlers are woken
        last, they do not fight for the interpreter lock with the reading and writing of a whole round.
        """
        session, work = self._session, self._work
        if self._sockets.poll(self._patience_ms()):
            self._wake_up.answer()
        if self._interrupted:
            self._leave(INTERRUPTED, EXIT_UNFINISHED)
            return
        now = time.monotonic()
        work.collect(now)
        topics = self._sockets.subscriptions()
        if topics:
            session.results_path_open(topics, now)
        for frame in self._sockets.received(RECEIVE_BURST):
            self._receive(frame, now)
            if time.monotonic() > now + RECEIVE_S:
                break
        while self._drain_requests:
            self._drain(self._drain_requests.pop(0), now, self._settings.drain_timeout_s)
        self._tick(time.monotonic())
        self._sockets.flush()
        if self._exit_code is None:
            work.start(now)
            self._sockets.flush()

    def _tick(self, now: float) -> None:
        """What time brings."""
        self._session.tick(now)
        self._work.tick(now)
        self._outbox.flush(now)
        if self._stop_at is not None and now >= self._stop_at:
            self._stop_at = None
            self._work.stop_running(DRAINING)
        if self._drain_by is not None:
            self._end_if_drained(now, self._drain_by)

    def _patience_ms(self) -> int:
        now = time.monotonic()
        due = min(self._session.next_due(), self._work.next_due())
        for moment in (self._outbox.next_flush(), self._drain_by, self._stop_at, self._pool.check_stall(now)):
            if moment is not None:
                due = min(due, moment)
        # Rounded up: waking a moment early would only mean another empty round.
        return math.ceil(min(max(due - now, 0.0), POLL_MAX_S) * 1000)

    # ------------------------------------------------------------------ what comes in

    def _receive(self, frame: bytes, now: float) -> None:
        """One frame from the SUB socket. Bad ones are logged and change nothing."""
        session = self._session
        try:
            topic, body = codec.split_frame(frame)
            on_steps = topic == session.steps_topic
            inherited = None if on_steps else self._inherited_session(topic)
            if not on_steps and inherited is None and topic != session.control_topic:
                # A subscription is only a prefix.
                log.debug("frame on another topic ignored", start=frame[:40].decode("utf-8", "replace"))
                return
            message, over_limit = self._reader.read(body)
        except DecodeError as error:
            log.error(
                "message ignored",
                code=error.code,
                field=error.field or None,
                reason=error.message,
                bytes=len(frame),
            )
            return
        if not session.receive(message, now):
            return
        kind = type(message)
        if inherited is not None:
            if isinstance(message, wire.Ack) and message.session == inherited:
                self._on_ack(message, now)
        elif on_steps != (kind is wire.StepBatchRequest or kind is wire.Probe):
            log.warn("message on the wrong topic ignored", message_type=wire.MESSAGE_TYPES[kind])
        elif isinstance(message, wire.StepBatchRequest):
            self._work.take(message, over_limit, now)
        elif isinstance(message, wire.Probe):
            session.on_probe(message, now)
        elif getattr(message, "session", session.id) != session.id:
            log.error("message for another session ignored", message_type=wire.MESSAGE_TYPES[kind])
        else:
            self._control[kind](message, now)

    def _inherited_session(self, topic: bytes) -> Optional[str]:
        """The predecessor whose control topic this is, or None."""
        inherited = self._session.inherited
        name = topic[len(b"control.") :].decode("ascii", "replace") if inherited else ""
        return name if name in inherited and topic.startswith(b"control.") else None

    def _on_welcome(self, message: wire.Welcome, now: float) -> None:
        if not self._session.is_mine(message):
            log.debug("welcome of another worker ignored")
            return
        resend_s = message.resend_ms / 1000.0
        self._outbox.set_resend(resend_s)
        self._work.set_resend(resend_s)
        limits = message.limits
        self._reader.announce(limits.batch_bytes, limits.depth)
        self._limits.announce(limits.result_bytes, limits.depth)
        self._session.on_welcome(message, now)

    def _on_ack(self, message: wire.Ack, now: float) -> None:
        for acked in message.batches:
            self._outbox.acknowledge(acked.batch_id, acked.sequences)
        for refused in message.rejected:
            log.error(
                "report refused", code=refused.code, batch_id=refused.batch_id, sequence=refused.sequence
            )
            self._outbox.acknowledge(refused.batch_id, (refused.sequence,))

    def _on_report_request(self, message: wire.ReportRequest, now: float) -> None:
        def wanted(entry: Entry) -> bool:
            if message.sequences is None and message.step_ids is None:
                return True
            by_step = any(step_id in (message.step_ids or ()) for step_id, _ in entry.steps)
            return by_step or entry.key[1] in (message.sequences or ())

        self._outbox.resend_some(message.batch_id, wanted, now)

    # ------------------------------------------------------------------ the way out

    def _on_drain(self, message: wire.Drain, now: float) -> None:
        self._drain("asked by the orchestrator", now, message.deadline_ms / 1000.0)

    def _drain(self, reason: str, now: float, limit_s: float) -> None:
        """Takes nothing new, hands back what has not started, and leaves when all reports are acked."""
        allowed = min(limit_s, self._settings.drain_timeout_s)
        if self._drain_by is not None:
            if now + allowed < self._drain_by:
                self._end_by(now, allowed)
            return
        log.info(
            "draining",
            reason=reason,
            limit_ms=round(allowed * 1000),
            unfinished=self._work.unfinished,
            unacked=len(self._outbox),
        )
        self._end_by(now, allowed)
        self._work.drain(now)

    def _end_by(self, now: float, allowed_s: float) -> None:
        self._drain_by = now + allowed_s
        self._stop_at = self._drain_by - min(STOP_BEFORE_S, allowed_s / 2)

    def _end_if_drained(self, now: float, drain_by: float) -> None:
        left = self._work.unfinished
        if left == 0 and len(self._outbox) == 0:
            # A timed-out handler may still run; nobody waits for it, but it makes the promise untrue.
            self._leave(DRAINED if self._work.is_empty else HANDLERS_RUNNING, EXIT_DRAINED)
        elif now >= drain_by:
            log.error("drain limit reached", unfinished=left, unacked=len(self._outbox))
            self._leave(DEADLINE, EXIT_UNFINISHED)

    def _leave(self, reason: str, exit_code: int) -> None:
        """Sends goodbye. From here on nothing is read, so nothing that arrives now is ever started."""
        self._exit_code = exit_code
        self._session.goodbye(reason)
        log.info("goodbye", reason=reason, exit_code=exit_code)
