"""What happens to steps in this worker: taken or refused, started, watched, reported, handed back.

Everything here runs in the socket thread; only the handlers run in the pool. An attempt is in `_attempts`
from its acceptance until it is reported *and* its handler has ended. Before it starts it is in one of three
places: `_held` (the outbox is full, or it may not start yet), the claims (claim_first), or the pool's queue.

It keeps two promises: what is said to be unstarted never starts, and a batch that comes twice runs once.
"""

from collections import deque
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple

from .attempt import Attempt, Key
from .batch import Batch, BatchBook, Rejected
from .claims import Claims, grouped
from .log import Log
from .outbox import Outbox
from .outcome import SNOOZED, Outcome
from .pool import Pool
from .registry import HandlerEntry, Registry
from .reports import Reports, sent_by
from .wire.messages import Cancel, StartDenied, StartGranted, StepBatchRequest, StepRef

log = Log(__name__)

# Room every started step needs in the outbox: its own report and, at worst, its batch's completion.
_REPORTS_PER_STEP = 2


class Work:
    """The steps of one worker process."""

    def __init__(
        self,
        registry: Registry,
        outbox: Outbox,
        pool: Pool,
        claims: Claims,
        reports: Reports,
        send: Callable[[bytes], None],
        in_flight_max: int,
    ) -> None:
        self._registry = registry
        self._outbox = outbox
        self._pool = pool
        self._claims = claims
        self._reports = reports
        self._send = send
        self._in_flight_max = in_flight_max
        self._book = BatchBook()
        self._attempts: Dict[Key, Attempt] = {}
        self._held: Deque[Attempt] = deque()
        self._handed: Dict[Key, Attempt] = {}
        self._next_scan = float("inf")
        #: bytes of large results collected since the pool last got the room
        self._collected_bytes = 0
        self.session = ""
        self.draining = False

    # ------------------------------------------------------------------ batches in

    def take(self, request: StepBatchRequest, over_limit: bool, now: float) -> None:
        """A batch has come: accept what can be taken, hand back the rest; a known one is answered again."""
        known = self._book.answer_of(request.batch_id)
        if known is not None:
            self._answer_again(request.batch_id, known[0], known[1], now)
            return
        prefix = self._reports.batch_prefix(request.batch_id, self.session)
        batch = Batch(request.batch_id, self.session, prefix, now)
        free = self._in_flight_max - len(self._attempts)

        def refusal(entry: Optional[HandlerEntry], taken: int) -> Optional[str]:
            if self.draining:
                return "draining"
            if over_limit:
                return "too_large"
            if entry is None:
                return "unknown_handler"
            return "over_capacity" if taken >= free else None

        accepted, rejected = batch.sort_out(request, self._registry.find_for, refusal)
        self._book.add(batch)
        if accepted or not rejected:
            batch.accepted = True
            batch.open_steps = len(accepted)
            self._send(self._reports.accepted(batch.batch_id, self.session))
        for attempt in accepted:
            self._attempts[attempt.key] = attempt
            (self._claims.waiting if attempt.claim_first else self._held).append(attempt)
        if rejected:
            self._reject(batch, rejected, now)
        self._end_if_complete(batch, now)

    def _answer_again(self, batch_id: str, accepted: bool, rejections: List[bytes], now: float) -> None:
        log.info("known batch answered again", batch_id=batch_id)
        if accepted:
            self._send(self._reports.accepted(batch_id, self.session))
        for frame in rejections:
            if not self._outbox.waits_for_disk(frame):
                self._send(frame)
        self._outbox.resend_some(batch_id, lambda entry: entry.frame not in rejections, now)

    def set_resend(self, resend_s: float) -> None:
        """How often a start request is repeated."""
        self._claims.resend_s = resend_s

    # ------------------------------------------------------------------ starting

    def start(self, now: float) -> None:
        """Hands steps to the pool as far as the outbox has room for their reports; the end of each round,
        when the acceptance of their batches has been sent. While the outbox is full the pool stands still."""
        self._pool.set_room(self._outbox.room_bytes, self._collected_bytes)
        self._collected_bytes = 0
        if not self._held and not self._claims.waiting:
            return
        room = self._start_room()
        # A claim takes a thread's place from the moment it asks, and ordinary steps must not fill
        # the pool's queue in front of one that waits, or it would never get its turn.
        while self._claims.waiting and room > 0 and self._free_threads() > 0:
            self._claims.ask(self._claims.waiting.popleft(), now)
            room -= 1
        if self._claims.waiting or self._claims.asking:
            room = min(room, self._free_threads())
        attempts: List[Attempt] = []
        while self._held and room > 0:
            attempts.append(self._held.popleft())
            room -= 1
        if attempts:
            self._hand(attempts, now, front=False)

    def _start_room(self) -> int:
        busy = len(self._handed) + self._claims.asking
        return self._outbox.room // _REPORTS_PER_STEP - busy

    def _free_threads(self) -> int:
        return self._pool.capacity - len(self._handed) - self._claims.asking

    def _hand(self, attempts: List[Attempt], now: float, front: bool) -> None:
        for attempt in attempts:
            self._handed[attempt.key] = attempt
            self._next_scan = min(self._next_scan, now + attempt.patience_s)
        self._pool.submit(attempts, front)

    def start_granted(self, message: StartGranted, now: float) -> None:
        attempt, missed = self._claims.granted(message, now)
        if attempt is not None:
            self._hand([attempt], now, front=True)
        if missed is not None:
            self._hand_back([missed], "start_window_missed", now)

    def start_denied(self, message: StartDenied, now: float) -> None:
        attempt = self._claims.denied(message)
        if attempt is not None:
            log.info("start denied", reason=message.reason, **attempt.log_fields())
            self._hand_back([attempt], "start_denied", now)

    # ------------------------------------------------------------------ ends

    def collect(self, now: float) -> None:
        """Reports everything the pool has finished."""
        done = self._pool.done
        while done:
            attempt = done.popleft()
            self._collected_bytes += attempt.large_bytes
            self._handed.pop(attempt.key, None)
            if attempt.missed_window:
                self._hand_back([attempt], "start_window_missed", now)
                continue
            self._attempts.pop(attempt.key, None)
            outcome = attempt.outcome
            assert outcome is not None, "an attempt leaves the pool with an outcome or a missed window"
            if attempt.reported:
                log.warn("late result dropped", status=outcome.status, **attempt.log_fields())
                continue
            ms = int(outcome.seconds * 1000)
            if outcome.status == SNOOZED and attempt.grace_ends is None:
                self._snooze(attempt, outcome, now)
            elif outcome.status != "completed" and attempt.grace_ends is not None:
                # It ended because it was asked to; its own error is not the cause.
                self._report(attempt, "failed", None, attempt.timeout_error(handler_stopped=True), ms, now)
            else:
                self._report(attempt, outcome.status, outcome.output_json, outcome.error, ms, now)

    def _report(
        self,
        attempt: Attempt,
        status: str,
        output_json: Optional[str],
        error: Optional[Dict[str, Any]],
        ms: int,
        now: float,
    ) -> None:
        batch = attempt.batch
        sequence, frame = self._reports.partial(attempt, status, output_json, error, ms)
        attempt.reported = True
        self._post(batch, sequence, frame, ((attempt.step_id, attempt.number),), now)
        if status == "completed":
            batch.completed += 1
            if log.debug_enabled:
                log.debug("step completed", execution_ms=ms, **attempt.log_fields())
        else:
            batch.failed += 1
            _log_failure(attempt, status, error or {}, ms)
        batch.summaries.append(self._reports.summary(attempt, status, ms))
        batch.open_steps -= 1
        self._end_if_complete(batch, now)

    def _post(
        self, batch: Batch, sequence: int, frame: bytes, steps: Tuple[Tuple[int, int], ...], now: float
    ) -> None:
        if batch.session != self.session:
            frame = sent_by(frame, self.session)
        self._outbox.add((batch.batch_id, sequence), frame, steps, now, batch.session)

    def _end_if_complete(self, batch: Batch, now: float) -> None:
        if batch.open_steps > 0:
            return
        # A batch whose steps were all handed back has nothing to complete.
        if batch.summaries or not batch.rejections:
            sequence, frame = self._reports.completion(batch, int((now - batch.received) * 1000))
            self._post(batch, sequence, frame, (), now)
        self._book.finish(batch)

    # ------------------------------------------------------------------ watching

    def tick(self, now: float) -> None:
        """Announces long steps, times out overdue ones, repeats start requests."""
        if now >= self._next_scan:
            self._scan(now)
        if self._claims.asking:
            self._claims.tick(now)

    def next_due(self) -> float:
        """When tick has something to do; infinity when only a message or a result can bring work."""
        claim = self._claims.next_due() if self._claims.asking else None
        return self._next_scan if claim is None else min(self._next_scan, claim)

    def _scan(self, now: float) -> None:
        following = float("inf")
        for attempt in list(self._handed.values()):
            if not attempt.is_watched():
                continue
            if attempt.is_over_grace(now):
                self._time_out(attempt, now)
                continue
            attempt.stop_when_overdue(now)
            if attempt.is_to_announce(now):
                self._announce(attempt, now)
            following = min(following, attempt.next_due(now))
        self._next_scan = following

    def _announce(self, attempt: Attempt, now: float) -> None:
        attempt.announced = True
        # A hint: it is not kept for resending, but it takes its number.
        _, frame = self._reports.partial(attempt, "in_progress", None, None, attempt.age_ms(now))
        self._send(frame if attempt.batch.session == self.session else sent_by(frame, self.session))

    def _time_out(self, attempt: Attempt, now: float) -> None:
        # Threads cannot be killed safely, so the handler goes on and keeps its thread until it returns.
        limit_ms = attempt.request.metadata.timeout_ms
        log.warn("handler timed out and still runs", timeout_ms=limit_ms, **attempt.log_fields())
        error = attempt.timeout_error(handler_stopped=False)
        self._report(attempt, "failed", None, error, attempt.age_ms(now), now)

    # ------------------------------------------------------------------ handing back

    def cancel(self, message: Cancel, now: float) -> None:
        """Hands back what has not started, and asks the handlers that run to stop."""
        found = [(self._attempts.get((ref.batch_id, ref.step_id)), ref.attempt) for ref in message.steps]
        known = [attempt for attempt, number in found if attempt is not None and attempt.number == number]
        # First what waits: a handler that is asked to stop makes room for the next step at once.
        unstarted = [attempt for attempt in known if self._take_back(attempt)]
        self._hand_back(unstarted, "cancelled", now)
        for attempt in known:
            log.info("step cancelled", reason=message.reason, **attempt.log_fields())
            if attempt not in unstarted:
                attempt.flag.set(message.reason)

    def drain(self, now: float) -> None:
        """No more work: hands back what has not started."""
        self.draining = True
        self._hand_back(
            [attempt for attempt in list(self._attempts.values()) if self._take_back(attempt)],
            "draining",
            now,
        )

    def stop_running(self, reason: str) -> None:
        """Asks the handlers that run to stop, unless they were asked already."""
        for attempt in self.still_running:
            if not attempt.flag.reason:
                log.info("step cancelled", reason=reason, **attempt.log_fields())
                attempt.flag.set(reason)

    def _take_back(self, attempt: Attempt) -> bool:
        """Makes sure that a step never starts; False when it has started."""
        if attempt.started is not None:
            return False
        if self._claims.drop(attempt):
            return True
        try:
            self._held.remove(attempt)
            return True
        except ValueError:
            pass  # not held: the pool has it
        if not self._pool.take_back(attempt):
            return False
        self._handed.pop(attempt.key, None)
        return True

    def _hand_back(self, attempts: List[Attempt], reason: str, now: float) -> None:
        for attempt in attempts:
            self._claims.drop(attempt)
            self._attempts.pop(attempt.key, None)
        for group in grouped(attempts).values():
            batch = group[0].batch
            batch.open_steps -= len(group)
            self._reject(batch, [(attempt.step_id, attempt.number, reason) for attempt in group], now)
            self._end_if_complete(batch, now)

    def _snooze(self, attempt: Attempt, outcome: Outcome, now: float) -> None:
        """Hands back an attempt whose handler asked to be called again later."""
        wait = outcome.retry_after or 0
        log.info("step snoozed", wait_seconds=wait, reason=outcome.message or None, **attempt.log_fields())
        batch = attempt.batch
        batch.open_steps -= 1
        details: Dict[str, Any] = {"wait_seconds": wait}
        if outcome.message:
            details["message"] = outcome.message
        self._keep_rejection(batch, [(attempt.step_id, attempt.number, SNOOZED)], now, details)
        self._end_if_complete(batch, now)

    def _reject(self, batch: Batch, steps: List[Rejected], now: float) -> None:
        log.info("steps handed back", batch_id=batch.batch_id, reason=steps[0][2], steps=len(steps))
        self._keep_rejection(batch, steps, now)

    def _keep_rejection(
        self, batch: Batch, steps: List[Rejected], now: float, details: Optional[Dict[str, Any]] = None
    ) -> None:
        sequence, frame = self._reports.rejection(batch, steps, details)
        batch.rejections.append(frame)
        named = tuple((step_id, attempt) for step_id, attempt, _ in steps)
        self._outbox.add((batch.batch_id, sequence), frame, named, now, batch.session, replayable=False)

    def leave_session(self, session: str, now: float) -> int:
        """The session id changes: what had not started is dropped, for nobody waits for it under this name.

        Running handlers go on; their reports name the old session and are sent by the new one. Returns
        how many steps were dropped.
        """
        dropped = [attempt for attempt in list(self._attempts.values()) if self._take_back(attempt)]
        self.session = session
        for attempt in dropped:
            self._attempts.pop(attempt.key, None)
        for group in grouped(dropped).values():
            batch = group[0].batch
            batch.open_steps -= len(group)
            if batch.open_steps == 0 and not batch.summaries:
                self._book.finish(batch)
            else:
                self._end_if_complete(batch, now)
        return len(dropped)

    # ------------------------------------------------------------------ inventory

    @property
    def is_empty(self) -> bool:
        """Nothing held and nothing running, not even a handler whose time-out has been reported."""
        return not self._attempts

    @property
    def unfinished(self) -> int:
        """Steps whose end has not been reported."""
        return sum(1 for attempt in self._attempts.values() if not attempt.reported)

    @property
    def still_running(self) -> List[Attempt]:
        return [attempt for attempt in self._attempts.values() if attempt.started is not None]

    @property
    def free(self) -> int:
        """Threads without a step; 0 while the outbox is too full to start any."""
        if self._outbox.room == 0 or (self._held and self._start_room() <= 0):
            return 0
        return max(0, self._pool.capacity - len(self.still_running))

    def inventory(self, now: Optional[float] = None) -> Dict[str, Any]:
        """The lists `held`, `running`, `unacked` of a message; with `now`, the running ones have an age.

        Each attempt is in exactly one of them: a timed-out one that still runs is in `running` only.
        """
        started = self.still_running
        running = {attempt.key for attempt in started}
        return {
            "held": [attempt.ref for attempt in self._attempts.values() if attempt.key not in running],
            "running": [attempt.ref if now is None else attempt.aged_ref(now) for attempt in started],
            "unacked": [
                StepRef(batch_id=batch_id, step_id=step_id, attempt=number)
                for batch_id, step_id, number in self._outbox.unacked()
                if (batch_id, step_id) not in running
            ],
        }


def _log_failure(attempt: Attempt, status: str, error: Dict[str, Any], ms: int) -> None:
    log.warn(
        "step failed",
        status=status,
        error_type=error.get("error_type"),
        error_code=error.get("error_code"),
        error=error.get("message"),
        execution_ms=ms,
        backtrace="\n".join(error.get("backtrace") or ()) or None,
        **attempt.log_fields(),
    )
