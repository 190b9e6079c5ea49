"""The conversation with the orchestrator: one life of this process as the orchestrator knows it.

    greeting ── welcome ──► welcomed        hello again and again until answered
        ▲                      │
        └── higher epoch, new session id, or 5 s of silence (the sockets are built anew)

The database on the other side is the truth. This class holds no socket and reads no clock: messages and
times come in, frames go out through `send`, so tests can drive it.
"""

import os
import secrets
from typing import Any, Callable, List, Optional, Sequence, Union

from . import introduction
from . import log as process_log
from .errors import ConfigurationError, TaskerError
from .log import Log
from .outbox import Outbox
from .outbox_file import Stored
from .reports import sent_by
from .settings import Settings, host_name
from .version import LANGUAGE, SDK_VERSION
from .wire import messages as wire
from .wire.codec import ENVELOPE_BYTES_MAX, INVENTORY_BYTES_MAX, encode
from .work import Work

log = Log(__name__)

# A first hello may be lost while the connection comes up, so the second one comes soon.
HELLO_SOON_S = 0.1
HELLO_S = 1.0
RETRY_MIN_S = 0.1
SILENCE_HEARTBEATS = 5
# Two installations on the same endpoints would otherwise take the worker from each other.
OTHER_INSTALLATION_HEARTBEATS = 2
REBUILD_MAX_S = 30.0
RESEND_BURST = 500
# How often a worker that reaches nobody logs that.
COMPLAIN_S = 30.0
PREVIOUS_SESSIONS_MAX = 100
FINAL_REFUSALS = ("version", "not_allowed")
# The one refusal that answers no hello: it is also for a session that was welcomed.
UNKNOWN_SESSION = "unknown_session"


def new_session_id() -> str:
    return secrets.token_hex(8)


class Refused(TaskerError):
    """The orchestrator refuses this worker for good; `code` is version or not_allowed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"the orchestrator refuses this worker ({code}): {message}")
        self.code = code
        self.reason = message


class Session:
    """Handshake, epochs, both heartbeats, silence, and the session's id. Times are monotonic seconds.

    `reopen(session, others)` connects new sockets, subscribed to the topics of `session` and to the control
    topics of `others`.
    """

    def __init__(
        self,
        settings: Settings,
        work: Work,
        outbox: Outbox,
        send: Callable[[bytes], None],
        reopen: Callable[[str, Sequence[str]], None],
        handlers: List[str],
        namespaces: List[str],
    ) -> None:
        introduction.check(settings.worker_id, namespaces, handlers)
        self._settings = settings
        self._work = work
        self._outbox = outbox
        self._send = send
        self._reopen = reopen
        self._handlers = handlers
        self._namespaces = namespaces
        self.welcomed = False
        self.epoch = 0
        self._installation: Optional[str] = None
        self._received_at = 0.0
        self._seen_n = 0
        #: tells the answers to this process from those to another one with the same session id
        self._nonce = secrets.token_hex(8)
        #: came before the welcome, and is answered after it
        self._probe: Optional[wire.Probe] = None
        self._frame_bytes_max = INVENTORY_BYTES_MAX
        self._too_large_logged = False
        self._previous: List[str] = []
        #: sessions whose reports came from the outbox file: only acks are taken from their topics
        self.inherited: List[str] = []
        self._heartbeat_s = 1.0
        self._hello_at = 0.0
        self._hello_soon = False
        self._heartbeat_at = 0.0
        self._silent_at = 0.0
        self._heard_at = 0.0
        self._complain_at = 0.0
        self._rebuilds = 0
        self._ever_welcomed = False
        #: whether this epoch's first probe was answered
        self._ready = False
        self._set_id(new_session_id())

    def _set_id(self, session: str) -> None:
        self.id = session
        self.steps_topic = f"steps.{session}".encode()
        self.control_topic = f"control.{session}".encode()
        self._work.session = session
        process_log.set_fields(session=session)

    def inherit(self, stored: List[Stored], now: float) -> None:
        """Takes over what predecessors left in the outbox file; it is sent once the orchestrator answers."""
        for report in stored:
            # A hand-back has no sent_by: its ack comes to the session it names.
            replay = report.frame.startswith(b"results ")
            self._outbox.restore(report, sent_by(report.frame, self.id) if replay else report.frame, now)
        self._previous = list(dict.fromkeys(report.session for report in stored))
        self.inherited = list(self._previous)
        if stored:
            log.info("reports of a predecessor are sent", reports=len(stored), sessions=len(self._previous))

    # ------------------------------------------------------------------ what comes in

    def start(self, now: float) -> None:
        """Opens the sockets and begins to greet."""
        self._silent_at = now + self._patience_s
        self._heard_at, self._complain_at = now, now + COMPLAIN_S
        self._connect(now)

    def results_path_open(self, topics: List[bytes], now: float) -> None:
        """The orchestrator has subscribed to what this worker sends: only now can a hello reach it."""
        if not self.welcomed and any(b"workers ".startswith(topic) for topic in topics):
            self._greet(now)

    def receive(self, message: Any, now: float) -> bool:
        """Judges a message by its epoch; False when it is of a lower one and must be dropped.

        A higher one means another orchestrator (or its next life), which needs our hello with its inventory.
        So does another installation, and a lower epoch when the higher one has fallen silent: a database
        that was made anew, or restored from a backup.
        """
        installation = getattr(message, "installation", None)
        other = None not in (installation, self._installation) and installation != self._installation
        anew = self._starts_anew(other, now)
        if (other or message.epoch < self.epoch) and not anew:
            kind = wire.MESSAGE_TYPES[type(message)]
            if other:
                log.debug("message of another installation dropped", message_type=kind, epoch=message.epoch)
            else:
                log.debug("message of a lower epoch dropped", message_type=kind, epoch=message.epoch)
            return False
        if self._rebuilds:
            log.info("the orchestrator answers again", epoch=message.epoch)
            self._rebuilds = 0
        self._received_at = now
        self._heard_at = now
        self._silent_at = now + self._patience_s
        if other:
            log.warn("another installation", epoch=message.epoch, orchestrator_id=message.orchestrator_id)
        self._installation = installation or self._installation
        if other or message.epoch != self.epoch:
            self._follow(message, now)
        return True

    def _starts_anew(self, other: bool, now: float) -> bool:
        """Whether what is known of the orchestrator may be forgotten for a message that does not fit it."""
        if not other:
            return self._rebuilds > 0
        return now - self._received_at >= OTHER_INSTALLATION_HEARTBEATS * self._heartbeat_s

    def _follow(self, message: Any, now: float) -> None:
        log.info("new epoch", epoch=message.epoch, orchestrator_id=message.orchestrator_id)
        first, self.epoch = self.epoch == 0, message.epoch
        self._seen_n = 0
        self._probe = None
        self.welcomed = False
        # A welcome or a refusal of mine answers a hello that this epoch has received already, and the first
        # orchestrator gets its hello as soon as it listens.
        answered = isinstance(message, (wire.Welcome, wire.Refused)) and self.is_mine(message)
        if not first and not answered:
            self._greet(now)

    def is_mine(self, message: Union[wire.Welcome, wire.Refused]) -> bool:
        """Whether it answers this process. Older orchestrators do not say."""
        return message.hello_nonce is None or message.hello_nonce == self._nonce

    @property
    def _patience_s(self) -> float:
        return max(self._settings.silence_ms / 1000, SILENCE_HEARTBEATS * self._heartbeat_s)

    def on_welcome(self, message: wire.Welcome, now: float) -> None:
        """The answer to hello: heartbeats begin, and the waits of the outbox start anew."""
        first = not self.welcomed
        if first:
            log.info("welcomed", epoch=message.epoch, orchestrator_id=message.orchestrator_id)
            self._log_what_is_cut(message)
        limits = message.limits
        self._frame_bytes_max = limits.inventory_bytes or limits.result_bytes + ENVELOPE_BYTES_MAX
        self.welcomed = self._ever_welcomed = True
        self._ready = self._ready and not first
        self._heartbeat_s = message.heartbeat_ms / 1000.0
        self._heartbeat_at = now + self._heartbeat_s
        if first:
            # Whoever welcomes may be a successor that has none of the reports: not after a long wait.
            self._outbox.restart_delays(now)
        probe, self._probe = self._probe, None
        if probe is not None:
            self.on_probe(probe, now)

    def _log_what_is_cut(self, message: wire.Welcome) -> None:
        own = self._settings
        capacity, prefetch = message.capacity or own.capacity, message.prefetch or own.prefetch
        if capacity < own.capacity or prefetch < own.prefetch:
            log.warn("the orchestrator gives less than announced", capacity=capacity, prefetch=prefetch)

    def on_refused(self, message: wire.Refused, now: float) -> None:
        """Waits, or goes on under a new id; raises Refused when the refusal is final.

        Once welcomed, a refusal answers somebody else's hello, except that this session is not known.
        """
        if not self.is_mine(message) or (self.welcomed and message.code != UNKNOWN_SESSION):
            log.debug("refusal of another worker ignored", code=message.code)
            return
        self.welcomed = False
        if message.code in FINAL_REFUSALS:
            raise Refused(message.code, message.message)
        log.warn("hello refused", code=message.code, reason=message.message, retry_ms=message.retry_ms)
        if message.code == "duplicate_session":
            self._change_id(now)
        else:
            # The way is proven, so that no quick repetition is needed.
            self._hello_soon = False
            self._hello_at = now + max(message.retry_ms / 1000.0, RETRY_MIN_S)

    def on_probe(self, message: wire.Probe, now: float) -> None:
        """Answers with the inventory, and sends all reports again; before the welcome only remembers it."""
        if not self.welcomed:
            self._probe = message
            return
        self._post(wire.Ready(session=self.id, nonce=message.nonce, **self._work.inventory()))
        if not self._ready:
            self._ready = True
            log.info("ready", epoch=message.epoch, orchestrator_id=message.orchestrator_id)
        # Whatever interrupted the conversation may also have swallowed reports.
        self._outbox.make_all_due(now)

    def on_heartbeat(self, message: wire.Heartbeat, now: float) -> None:
        self._seen_n = message.n

    # ------------------------------------------------------------------ what time brings

    def tick(self, now: float) -> None:
        """Sends what is due: hello, heartbeat, reports that were not acknowledged."""
        if now >= self._silent_at:
            self._rebuild(now)
        if now >= self._complain_at:
            self._complain(now)
        if not self.welcomed:
            if now >= self._hello_at:
                self._hello(now)
            return
        if now >= self._heartbeat_at:
            self._beat(now)
        # Only while somebody answers: what is sent otherwise would pile up in the sockets.
        self._outbox.resend_due(now, RESEND_BURST)

    def next_due(self) -> float:
        """The next moment tick has something to do."""
        due = min(self._silent_at, self._complain_at, self._heartbeat_at if self.welcomed else self._hello_at)
        resend = self._outbox.next_due() if self.welcomed else None
        return due if resend is None else min(due, resend)

    def goodbye(self, reason: str) -> None:
        """Sends goodbye, if anybody knows this session."""
        if self._ever_welcomed:
            self._post(wire.Goodbye(session=self.id, reason=reason))

    def _connect(self, now: float) -> None:
        """New sockets. What is sent before the orchestrator has subscribed is dropped, so the first hello
        waits for that (results_path_open); the others come at their times whether it is seen or not."""
        self._reopen(self.id, self.inherited)
        self._probe = None
        self._hello_soon = False
        self._hello_at = now + HELLO_SOON_S

    def _greet(self, now: float) -> None:
        """Sends hello now, soon again, and then each second until it is answered."""
        self._hello_soon = True
        self._hello(now)

    def _hello(self, now: float) -> None:
        self._hello_at = now + (HELLO_SOON_S if self._hello_soon else HELLO_S)
        self._hello_soon = False
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
                host=host_name(),
                pid=os.getpid(),
                previous_sessions=self._previous or None,
                hello_nonce=self._nonce,
                **self._work.inventory(),
            )
        )

    def _beat(self, now: float) -> None:
        self._heartbeat_at = max(self._heartbeat_at + self._heartbeat_s, now + self._heartbeat_s / 2)
        self._post(
            wire.WorkerHeartbeat(
                session=self.id,
                seen_n=self._seen_n,
                oldest_unacked_ms=int(self._outbox.oldest_age_s(now) * 1000),
                free=self._work.free,
                **self._work.inventory(now),
            )
        )

    def _rebuild(self, now: float) -> None:
        """Nothing was received for too long: new sockets heal whatever state the old ones are in."""
        patience = self._patience_s
        if self._rebuilds == 0:
            log.warn(
                "nothing received from the orchestrator, connecting anew", silent_ms=round(patience * 1000)
            )
        self._silent_at = now + min(patience * 2**self._rebuilds, max(REBUILD_MAX_S, patience))
        self._rebuilds += 1
        self.welcomed = False
        self._connect(now)

    def _complain(self, now: float) -> None:
        """Logs every COMPLAIN_S that nobody answers, with what a person needs to find out why."""
        if now < self._heard_at + COMPLAIN_S:
            self._complain_at = self._heard_at + COMPLAIN_S
            return
        self._complain_at = now + COMPLAIN_S
        log.warn(
            "no orchestrator answers",
            silent_ms=round((now - self._heard_at) * 1000),
            steps_endpoints=",".join(self._settings.steps_endpoints),
            results_endpoints=",".join(self._settings.results_endpoints),
            advice="is one running there? see: tasker health",
        )

    def _change_id(self, now: float) -> None:
        """Another process has this session's name: go on under a new one."""
        old, new = self.id, new_session_id()
        dropped = self._work.leave_session(new, now)
        lost = self._outbox.move_to_session(
            lambda entry: sent_by(entry.frame, new) if entry.frame and entry.replayable else None
        )
        self._previous = [old, *self._previous][:PREVIOUS_SESSIONS_MAX]
        self._set_id(new)
        log.warn("new session id", before=old, dropped_steps=dropped, dropped_rejections=lost)
        self._connect(now)

    def _post(self, message: Any) -> None:
        frame = encode(message, "workers")
        if len(frame) <= self._frame_bytes_max:
            self._send(frame)
            return
        size = f"{len(frame)} bytes, and the orchestrator takes {self._frame_bytes_max}"
        if isinstance(message, wire.Hello):
            raise ConfigurationError(
                f"the hello of this worker has {size}: serve fewer handlers (--handlers)"
            )
        if not self._too_large_logged:
            self._too_large_logged = True
            log.error(
                "message too large to be sent", message_type=wire.MESSAGE_TYPES[type(message)], reason=size
            )
