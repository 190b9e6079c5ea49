"""A worker process: the loop that owns the sockets, between the orchestrator and the handler threads."""

import math
import time
from typing import List, Optional

from . import effects
from .claims import Claims
from .logs import Log
from .outbox import Outbox
from .outbox_file import OutboxFile
from .outcome import ResultLimits
from .pool import HandlerPool, WakeUp
from .registry import Registry
from .reports import ReportWriter
from .session import CRASHED, INTERRUPTED, Session
from .settings import Settings
from .sockets import Sockets
from .work import Work

log = Log(__name__)

# What is read before the finished steps and the timers get their turn: so many frames, for so long.
RECEIVE_BURST = 256
RECEIVE_S = 0.005
POLL_MAX_S = 60.0


class Worker:
    """Builds the parts and runs them in the calling thread until it is drained or refused."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._drain_requests: List[str] = []
        self._interrupted: Optional[int] = None
        self._wake_up = WakeUp()
        file = OutboxFile(settings.outbox_path) if settings.outbox_path is not None else None
        self._sockets = Sockets(
            settings.steps_endpoints, settings.results_endpoints, self._wake_up.fd, settings.reconnect_max_ms
        )
        self._effects = effects.open_from_environment(settings.worker_id)
        limits = ResultLimits()
        self._pool = HandlerPool(settings.capacity, self._wake_up, limits, self._effects)
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
            ReportWriter(settings.worker_id),
            self._sockets.send,
            settings.capacity * settings.prefetch,
        )
        self._session = Session(
            settings,
            self._work,
            self._outbox,
            limits,
            self._sockets.send,
            self._sockets.open,
            registry.handler_classes,
            sorted(settings.namespaces or registry.namespaces) or ["*"],
        )
        if file is not None:
            self._session.inherit(list(file.stored.values()), time.monotonic())

    @property
    def session_id(self) -> str:
        return self._session.id

    def request_drain(self, reason: str) -> None:
        """Asks for an orderly end; safe from any thread and from a signal handler."""
        self._drain_requests.append(reason)
        self._wake_up.ring()

    def request_interrupt(self, exit_code: int) -> None:
        """Asks for an end at once, with a goodbye and nothing else; safe wherever request_drain is."""
        self._interrupted = exit_code
        self._wake_up.ring()

    def run(self) -> int:
        """Works until the end; returns the exit code."""
        try:
            self._session.start(time.monotonic())
            self._sockets.flush()
            while self._session.exit_code is None:
                self._turn()
            return self._session.exit_code
        except Exception:
            # With a goodbye the orchestrator need not wait for the lease to end.
            self._session.leave(CRASHED, 1)
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
        if self._interrupted is not None:
            session.leave(INTERRUPTED, self._interrupted)
            return
        now = time.monotonic()
        work.collect(now)
        topics = self._sockets.subscriptions()
        if topics:
            session.results_path_open(topics, now)
        for frame in self._sockets.received(RECEIVE_BURST):
            session.receive(frame, now)
            if session.exit_code is not None:
                return
            if time.monotonic() > now + RECEIVE_S:
                break
        while self._drain_requests:
            session.drain(self._drain_requests.pop(0), now, self._settings.drain_timeout_s)
        session.tick(time.monotonic())
        self._sockets.flush()
        if session.exit_code is None:
            work.start(now)
            self._sockets.flush()

    def _patience_ms(self) -> int:
        now = time.monotonic()
        due = self._session.next_due()
        stall = self._pool.check_stall(now)
        if stall is not None:
            due = min(due, stall)
        # Rounded up: waking a moment early would only mean another empty round.
        return math.ceil(min(max(due - now, 0.0), POLL_MAX_S) * 1000)
