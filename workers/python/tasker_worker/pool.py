"""The threads that run handlers.

`capacity` threads take steps from one queue; a thread that finds it empty waits on a lock of its own until
the socket thread releases it, the last to fall asleep first. Finished steps go to `done`, and the first of
them rings the wake-up (a socket in the socket thread's poll set); the socket thread then takes all.

How many threads wake for a batch follows the handlers' typical run time. For handlers of a few
microseconds one thread that takes ten steps in a row beats ten threads that fight for the interpreter lock,
so one is woken; for all others as many as there are steps. When the guess is wrong the socket thread
notices after STALL_S that the queue does not move, and wakes one more, then two, four … as long as it goes
on (`check_stall`): a queue also stands still when the machine gives this process no time, and a hundred
woken threads would take what little there is.
"""

import socket
import threading
import time
from collections import deque
from typing import Deque, List, Optional

from . import log
from .attempt import Attempt
from .clock import boottime
from .effects import EffectsLog
from .outcome import Limits, Outcome, run_handler, thread_ended
from .registry import UNKNOWN_SECONDS

# Below this typical run time a second thread costs more than it gains.
SHORT_S = 0.0002
STALL_S = 0.002
# The estimate moves by this factor per run towards longer or shorter, so it settles at the median.
_ESTIMATE_STEP = 1.2
_ESTIMATE_MIN_S = 1e-6
# Results below this size are not counted one by one while they wait to be collected.
LARGE_BYTES = 16 * 1024


class WakeUp:
    """Makes a poll return from another thread (or a signal handler)."""

    def __init__(self) -> None:
        self._inside, self._outside = socket.socketpair()
        self._inside.setblocking(False)
        self._outside.setblocking(False)
        self.fd = self._inside.fileno()
        self._ringing = False

    def ring(self) -> None:
        # Two threads may both ring; that costs one system call and nothing else.
        if not self._ringing:
            self._ringing = True
            try:
                self._outside.send(b"!")
            except BlockingIOError:
                pass  # full of unanswered rings: the poll returns anyway

    def answer(self) -> None:
        """Called by the socket thread before it looks at what it was woken for."""
        try:
            self._inside.recv(4096)
        except BlockingIOError:
            pass  # answered already
        self._ringing = False

    def close(self) -> None:
        self._inside.close()
        self._outside.close()


class Pool:
    """Runs steps; `done` holds those that ended (or missed their start window)."""

    def __init__(
        self, capacity: int, wake_up: WakeUp, limits: Limits, effects: Optional[EffectsLog] = None
    ) -> None:
        self.capacity = capacity
        self.done: Deque[Attempt] = deque()
        self._ready: Deque[Attempt] = deque()
        self._idle: List[threading.Lock] = []  # one lock per sleeping thread
        self._threads: List[threading.Thread] = []
        self._wake_up = wake_up
        self._limits = limits
        self._effects = effects
        self._closing = False
        #: how many bytes of results the outbox still takes; 0 while it is full
        self._room_bytes = 2**63
        #: bytes of large results that wait in `done`
        self._waiting_bytes = 0
        self._waiting_lock = threading.Lock()
        self._held_back = False
        self._head: Optional[Attempt] = None
        self._head_since = 0.0
        #: how many threads the next stall wakes, and whether this head's stall has woken some
        self._stall_wakes = 1
        self._stalled = False

    def submit(self, attempts: List[Attempt], front: bool = False) -> None:
        """Queues steps; `front` puts them before all others."""
        if front:
            self._ready.extendleft(reversed(attempts))
        else:
            self._ready.extend(attempts)
        if not self._may_start():
            self._held_back = True
            return
        short = all(attempt.entry.typical_seconds < SHORT_S for attempt in attempts)
        self._wake(1 if short else len(attempts))

    def check_stall(self, now: float) -> Optional[float]:
        """Wakes more threads when the queue's head has not moved for STALL_S.

        Returns when to look again; None when nothing waits, or no thread is left to wake.
        """
        try:
            head = self._ready[0]
        except IndexError:
            self._head = None
            self._stalled = False
            return None
        if not self._may_start():
            return None
        if not self._idle and len(self._threads) >= self.capacity:
            return None
        if head is not self._head:
            if not self._stalled:
                self._stall_wakes = 1  # it moved by itself
            self._stalled = False
            self._head, self._head_since = head, now
        elif now - self._head_since >= STALL_S:
            self._wake(min(self._stall_wakes, len(self._ready)))
            self._stall_wakes = min(self._stall_wakes * 2, self.capacity)
            self._stalled = True
            self._head_since = now
        return self._head_since + STALL_S

    def set_room(self, room_bytes: int, collected_bytes: int) -> None:
        """How many bytes of results may still come, after so many of `done` have been collected.

        While it is used up by what waits in `done`, no thread takes a step; those that run go on.
        """
        self._room_bytes = room_bytes
        if collected_bytes:
            with self._waiting_lock:
                self._waiting_bytes -= collected_bytes
        if self._held_back and self._may_start():
            self._held_back = False
            self._wake(len(self._ready))

    def _may_start(self) -> bool:
        return self._waiting_bytes < self._room_bytes

    def take_back(self, attempt: Attempt) -> bool:
        """Removes a step that no thread has taken; False when it is too late. After True it never starts."""
        try:
            self._ready.remove(attempt)
        except ValueError:
            return False
        return True

    def close(self) -> None:
        """Lets idle threads end. A thread in a handler ends with the process: threads cannot be killed."""
        self._closing = True
        for _ in range(len(self._threads)):
            self._wake(1)

    def _wake(self, count: int) -> None:
        for _ in range(count):
            try:
                self._idle.pop().release()
            except IndexError:
                if len(self._threads) >= self.capacity or self._closing:
                    return
                name = f"handler-{len(self._threads) + 1}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _work(self) -> None:
        sleep = threading.Lock()
        sleep.acquire()
        in_hand: List[Attempt] = []
        try:
            self._take_and_run(sleep, in_hand)
        except BaseException as raised:  # what a library throws into a thread arrives anywhere
            self._replace(sleep, in_hand, raised)

    def _replace(self, sleep: threading.Lock, in_hand: List[Attempt], raised: BaseException) -> None:
        """This thread ends although it should not: its step fails at once, and another thread takes its
        place."""
        self._withdraw(sleep)
        self._threads.remove(threading.current_thread())
        log.current.set({})
        for attempt in in_hand:
            attempt.outcome = thread_ended(raised, time.monotonic() - (attempt.started or time.monotonic()))
            self.done.append(attempt)
            self._wake_up.ring()
        self._wake(1)

    def _take_and_run(self, sleep: threading.Lock, in_hand: List[Attempt]) -> None:
        """The life of a handler thread; `in_hand` holds the step that it has taken."""
        while True:
            try:
                if not self._may_start():
                    self._held_back = True
                    raise IndexError
                attempt = self._ready.popleft()
            except IndexError:
                if self._closing:
                    return
                self._idle.append(sleep)
                # A step may have come between the look and the entry in the list of sleepers.
                if (self._ready and self._may_start() or self._closing) and self._withdraw(sleep):
                    continue
                sleep.acquire()
                continue
            in_hand.append(attempt)
            self._run(attempt)
            if attempt.large_bytes:
                with self._waiting_lock:
                    self._waiting_bytes += attempt.large_bytes
            self.done.append(attempt)
            in_hand.clear()
            self._wake_up.ring()

    def _withdraw(self, sleep: threading.Lock) -> bool:
        """Takes the lock off the list of sleepers; False when it is being released already."""
        try:
            self._idle.remove(sleep)
        except ValueError:
            return False
        return True

    def _run(self, attempt: Attempt) -> None:
        if attempt.start_by is not None and boottime() > attempt.start_by:
            attempt.missed_window = True
            return
        attempt.started = time.monotonic()
        log.current.set(attempt.log_fields())
        attempt.outcome = outcome = self._outcome_of(attempt)
        log.current.set({})
        output = outcome.output_json
        if output is not None and len(output) >= LARGE_BYTES:
            attempt.large_bytes = len(output)
        seconds = outcome.seconds
        estimate = attempt.entry.typical_seconds
        if estimate == UNKNOWN_SECONDS:
            attempt.entry.typical_seconds = max(seconds, _ESTIMATE_MIN_S)
        elif seconds > estimate:
            attempt.entry.typical_seconds = min(seconds, estimate * _ESTIMATE_STEP)
        else:
            attempt.entry.typical_seconds = max(seconds, estimate / _ESTIMATE_STEP, _ESTIMATE_MIN_S)

    def _outcome_of(self, attempt: Attempt) -> Outcome:
        if self._effects is None:
            return run_handler(attempt.entry, attempt.request, attempt.flag, self._limits)
        try:
            self._effects.write("start", attempt.request, attempt.batch.session)
            outcome = run_handler(attempt.entry, attempt.request, attempt.flag, self._limits)
            self._effects.write("end", attempt.request, attempt.batch.session)
        except OSError as error:
            problem = {"message": f"effects log: {error}", "error_type": "OSError", "retryable": True}
            return Outcome("failed", None, problem, 0.0)
        return outcome
