"""What happens to steps in this worker: taken or refused, started, watched, reported, handed back.

Everything here runs in the socket thread; only the handlers run in the pool. A step is in `_runs` from its
acceptance until it is reported *and* its handler has ended, and it is in one of three places before it
starts: `_held` (the outbox is full, or it may not start yet), the claims (claim_first), or the pool's queue.
"""

from collections import deque
from typing import Any, Deque, Dict, Iterator, List, Optional, Tuple

from .batches import Batch, BatchBook, StepRun
from .claims import Claims, grouped
from .logs import Log
from .outbox import Outbox
from .pool import HandlerPool
from .registry import Registry
from .reports import ReportWriter, sent_by
from .wire.messages import Cancel, StartDenied, StartGranted, StepBatchRequest

log = Log(__name__)

# A handler that runs longer than this is announced with an in_progress report.
ANNOUNCE_S = 0.2
# A handler whose time is over gets this long to notice `cancelled()` and end by itself. Then it may be
# tried again like any failed step; one that runs on might run beside its own next attempt.
STOP_GRACE_S = 0.1
# Room every started step needs in the outbox: its own report and, at worst, its batch's completion.
_REPORTS_PER_STEP = 2

Key = Tuple[str, int]


class Work:
    """The steps of one worker process."""

    def __init__(
        self,
        registry: Registry,
        outbox: Outbox,
        pool: HandlerPool,
        claims: Claims,
        writer: ReportWriter,
        send: Any,
        in_flight_max: int,
    ) -> None:
        self._registry = registry
        self._outbox = outbox
        self._pool = pool
        self._claims = claims
        self._writer = writer
        self._send = send
        self._in_flight_max = in_flight_max
        self._book = BatchBook()
        self._runs: Dict[Key, StepRun] = {}
        self._held: Deque[StepRun] = deque()
        self._handed: Dict[Key, StepRun] = {}
        self._next_scan = float("inf")
        #: bytes of large results collected since the pool was last told
        self._collected_bytes = 0
        self.session = ""
        self.batch_bytes_max = 0
        self.draining = False

    # ------------------------------------------------------------------ batches in

    def take(self, request: StepBatchRequest, size: int, now: float) -> None:
        """A batch has come: accept what can be taken, reject the rest; a known one is answered again."""
        known = self._book.answer_of(request.batch_id)
        if known is not None:
            self._answer_again(request.batch_id, known[0], known[1], now)
            return
        prefix = self._writer.batch_prefix(request.batch_id, self.session)
        batch = Batch(request.batch_id, self.session, prefix, now)
        accepted, rejected = self._judge(request, size, batch)
        self._book.add(batch)
        if accepted or not rejected:
            batch.accepted = True
            batch.open_steps = len(accepted)
            self._send(self._writer.accepted(batch.batch_id, self.session))
        for run in accepted:
            self._runs[run.key] = run
            (self._claims.waiting if run.claim_first else self._held).append(run)
        if rejected:
            self._reject(batch, rejected, now)
        self._end_if_complete(batch, now)

    def _judge(
        self, request: StepBatchRequest, size: int, batch: Batch
    ) -> Tuple[List[StepRun], List[Tuple[int, int, str]]]:
        """What can be taken of a new batch, and (step_id, attempt, reason) of what cannot."""
        free = self._in_flight_max - len(self._runs)
        accepted: List[StepRun] = []
        rejected: List[Tuple[int, int, str]] = []
        seen = set()
        for step in request.steps:
            if step.step_id in seen:
                log.error("a batch names a step twice", batch_id=request.batch_id, step_id=step.step_id)
                continue
            seen.add(step.step_id)
            entry = self._registry.find(
                step.namespace, step.task_name, step.task_version, step.step_name, step.handler_class
            )
            if self.draining:
                reason = "draining"
            elif size > self.batch_bytes_max > 0:
                reason = "too_large"
            elif entry is None:
                reason = "unknown_handler"
            elif len(accepted) >= free:
                reason = "over_capacity"
            else:
                accepted.append(StepRun(step, batch, entry))
                continue
            rejected.append((step.step_id, step.metadata.attempt, reason))
        return accepted, rejected

    def _answer_again(self, batch_id: str, accepted: bool, rejections: List[bytes], now: float) -> None:
        log.info("a known batch came again", batch_id=batch_id, session=self.session)
        if accepted:
            self._send(self._writer.accepted(batch_id, self.session))
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
        runs: List[StepRun] = []
        while self._held and room > 0:
            runs.append(self._held.popleft())
            room -= 1
        if runs:
            self._hand(runs, now, front=False)

    def _start_room(self) -> int:
        busy = len(self._handed) + self._claims.asking
        return self._outbox.room // _REPORTS_PER_STEP - busy

    def _free_threads(self) -> int:
        return self._pool.capacity - len(self._handed) - self._claims.asking

    def _hand(self, runs: List[StepRun], now: float, front: bool) -> None:
        for run in runs:
            self._handed[run.key] = run
            patience = min(ANNOUNCE_S, run.timeout_s) if run.timeout_s > 0 else ANNOUNCE_S
            if now + patience < self._next_scan:
                self._next_scan = now + patience
        self._pool.submit(runs, front)

    def start_granted(self, message: StartGranted, now: float) -> None:
        run, missed = self._claims.granted(message, now)
        if run is not None:
            self._hand([run], now, front=True)
        if missed is not None:
            self._hand_back([missed], "start_window_missed", now)

    def start_denied(self, message: StartDenied, now: float) -> None:
        run = self._claims.denied(message)
        if run is not None:
            log.info("start denied", reason=message.reason, **run.names())
            self._hand_back([run], "start_denied", now)

    # ------------------------------------------------------------------ ends

    def collect(self, now: float) -> None:
        """Reports everything the pool has finished."""
        done = self._pool.done
        while done:
            run = done.popleft()
            self._collected_bytes += run.large_bytes
            self._handed.pop(run.key, None)
            if run.missed_window:
                self._hand_back([run], "start_window_missed", now)
                continue
            self._runs.pop(run.key, None)
            outcome = run.outcome
            assert outcome is not None, "a run leaves the pool with an outcome or a missed window"
            if run.reported:
                log.warn(
                    "a result came after its time-out and is dropped", status=outcome.status, **run.names()
                )
                continue
            ms = int(outcome.seconds * 1000)
            error = outcome.error
            if error is not None and run.grace_ends is not None:
                # It ended because it was told to; what it says about that is not the cause.
                self._report(run, "failed", None, _timeout_error(run, handler_stopped=True), ms, now)
                continue
            if error is not None:
                log.info(
                    "step failed",
                    status=outcome.status,
                    error_type=error["error_type"],
                    error_code=error.get("error_code"),
                    error=error["message"],
                    **run.names(),
                )
            self._report(run, outcome.status, outcome.output_json, error, ms, now)

    def _report(
        self,
        run: StepRun,
        status: str,
        output_json: Optional[str],
        error: Optional[Dict[str, Any]],
        ms: int,
        now: float,
    ) -> None:
        batch = run.batch
        sequence, frame = self._writer.partial(run, status, output_json, error, ms)
        run.reported = True
        self._post(batch, sequence, frame, ((run.step_id, run.attempt),), now)
        if status == "completed":
            batch.completed += 1
        else:
            batch.failed += 1
        batch.summaries.append(self._writer.summary(run, status, ms))
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
            sequence, frame = self._writer.completion(batch, int((now - batch.received) * 1000))
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
        for run in list(self._handed.values()):
            if run.reported or run.outcome is not None:
                continue
            started = run.started
            if started is None:
                patience = min(ANNOUNCE_S, run.timeout_s) if run.timeout_s > 0 else ANNOUNCE_S
                following = min(following, now + patience)
                continue
            if run.grace_ends is not None and now >= run.grace_ends:
                self._time_out(run, now)
                continue
            if run.timeout_s > 0:
                if run.grace_ends is None and now >= started + run.timeout_s:
                    run.flag.set("timeout")
                    run.grace_ends = now + STOP_GRACE_S
                following = min(following, run.grace_ends or started + run.timeout_s)
            if not run.announced:
                if now >= started + ANNOUNCE_S:
                    self._announce(run, now)
                else:
                    following = min(following, started + ANNOUNCE_S)
        self._next_scan = following

    def _announce(self, run: StepRun, now: float) -> None:
        run.announced = True
        # A hint: it is not kept for resending, but it takes its number.
        _, frame = self._writer.partial(run, "in_progress", None, None, run.age_ms(now))
        self._send(frame if run.batch.session == self.session else sent_by(frame, self.session))

    def _time_out(self, run: StepRun, now: float) -> None:
        # Threads cannot be killed safely, so the handler goes on and keeps its thread until it returns.
        limit_ms = run.request.metadata.timeout_ms
        log.warn("step timed out and its handler still runs", timeout_ms=limit_ms, **run.names())
        self._report(run, "failed", None, _timeout_error(run, handler_stopped=False), run.age_ms(now), now)

    # ------------------------------------------------------------------ handing back

    def cancel(self, message: Cancel, now: float) -> None:
        """Unstarted steps are handed back; running ones are told."""
        found = [(self._runs.get((ref.batch_id, ref.step_id)), ref.attempt) for ref in message.steps]
        known = [run for run, attempt in found if run is not None and run.attempt == attempt]
        # First what waits: a handler that is told to stop makes room for the next step at once.
        unstarted = [run for run in known if self._take_back(run)]
        self._hand_back(unstarted, "cancelled", now)
        for run in known:
            if run not in unstarted:
                run.flag.set(message.reason)
                log.info("a running step was cancelled", reason=message.reason, **run.names())

    def drain(self, now: float) -> None:
        """No more work: hands back what has not started."""
        self.draining = True
        self._hand_back([run for run in list(self._runs.values()) if self._take_back(run)], "draining", now)

    def _take_back(self, run: StepRun) -> bool:
        """Makes sure that a step never starts; False when it has started."""
        if run.started is not None:
            return False
        if self._claims.drop(run):
            return True
        try:
            self._held.remove(run)
            return True
        except ValueError:
            pass  # not held: the pool has it
        if not self._pool.take_back(run):
            return False
        self._handed.pop(run.key, None)
        return True

    def _hand_back(self, runs: List[StepRun], reason: str, now: float) -> None:
        for run in runs:
            self._claims.drop(run)
            self._runs.pop(run.key, None)
        for group in grouped(runs).values():
            batch = group[0].batch
            batch.open_steps -= len(group)
            self._reject(batch, [(run.step_id, run.attempt, reason) for run in group], now)
            self._end_if_complete(batch, now)

    def _reject(self, batch: Batch, steps: List[Tuple[int, int, str]], now: float) -> None:
        sequence, frame = self._writer.rejection(batch, steps)
        batch.rejections.append(frame)
        log.info("steps handed back", batch_id=batch.batch_id, reason=steps[0][2], steps=len(steps))
        named = tuple((step_id, attempt) for step_id, attempt, _ in steps)
        self._outbox.add((batch.batch_id, sequence), frame, named, now, batch.session, replayable=False)

    def leave_session(self, session: str, now: float) -> int:
        """The session id changes: what had not started is dropped, for nobody waits for it under this name.

        Running handlers go on; their reports name the old session and are sent by the new one. Returns
        how many steps were dropped.
        """
        dropped = [run for run in list(self._runs.values()) if self._take_back(run)]
        self.session = session
        for run in dropped:
            self._runs.pop(run.key, None)
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
        return not self._runs

    @property
    def unfinished(self) -> int:
        """Steps whose end has not been reported."""
        return sum(1 for run in self._runs.values() if not run.reported)

    @property
    def still_running(self) -> List[StepRun]:
        return [run for run in self._runs.values() if run.started is not None]

    @property
    def free(self) -> int:
        """Threads without a step; 0 while the outbox is too full to start any."""
        if self._outbox.room == 0 or (self._held and self._start_room() <= 0):
            return 0
        return max(0, self._pool.capacity - len(self.still_running))

    def held(self) -> Iterator[StepRun]:
        return (run for run in self._runs.values() if run.started is None)


def _timeout_error(run: StepRun, handler_stopped: bool) -> Dict[str, Any]:
    return {
        "message": f"no result within {run.request.metadata.timeout_ms} ms",
        "error_type": "TimeoutError",
        "error_code": "timeout",
        "retryable": True,
        "handler_stopped": handler_stopped,
    }
