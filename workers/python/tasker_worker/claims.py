"""Steps with `claim_first`: permission is asked right before the start.

A request is repeated with the next n until it is answered. A grant counts only for the window the
orchestrator names, measured from when *that* request was sent, on a clock that goes on while the machine
sleeps; so a worker that was frozen in between does not start what somebody else may have taken over. A step
whose window is over is handed back. The pool looks at the clock once more right before the start.
"""

from collections import deque
from typing import Callable, Deque, Dict, Iterator, List, Optional, Tuple

from .attempt import Attempt
from .clock import boottime
from .wire.codec import encode
from .wire.messages import StartDenied, StartGranted, StartRequest

# Requests whose time is remembered per step; an older grant is as good as lost.
_REMEMBERED_MAX = 32

Key = Tuple[str, int]


class Claim:
    """A step that asks, and when each request was sent (boot time)."""

    __slots__ = ("attempt", "n", "sent", "next_at")

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.n = 0
        self.sent: Dict[int, float] = {}
        self.next_at = 0.0


class Claims:
    """`waiting` have not asked yet, since no thread is free; `asking` wait for an answer."""

    def __init__(self, send: Callable[[bytes], None], clock: Callable[[], float] = boottime) -> None:
        self._send = send
        self._clock = clock
        self.resend_s = 1.0
        self.waiting: Deque[Attempt] = deque()
        self._asking: Dict[Key, Claim] = {}

    @property
    def asking(self) -> int:
        return len(self._asking)

    def unstarted(self) -> Iterator[Attempt]:
        yield from self.waiting
        for claim in self._asking.values():
            yield claim.attempt

    def ask(self, attempt: Attempt, now: float) -> None:
        """Sends the first request."""
        claim = self._asking[attempt.key] = Claim(attempt)
        self._request(claim, now)

    def tick(self, now: float) -> None:
        for claim in self._asking.values():
            if now >= claim.next_at:
                self._request(claim, now)

    def next_due(self) -> Optional[float]:
        return min((claim.next_at for claim in self._asking.values()), default=None)

    def granted(self, message: StartGranted, now: float) -> Tuple[Optional[Attempt], Optional[Attempt]]:
        """(the step that may start, the step to hand back since its window is over); at least one is None.

        Both are for an answer to nothing, and to a request that has been repeated since.
        """
        key = (message.batch_id, message.step_id)
        claim = self._asking.get(key)
        if claim is None or claim.attempt.number != message.attempt:
            return None, None
        sent = claim.sent.get(message.n)
        if sent is None:
            return None, None
        start_by = sent + message.start_window_ms / 1000.0
        if self._clock() > start_by:
            if message.n < claim.n:
                return None, None  # a later request is on its way, with a window of its own
            del self._asking[key]
            return None, claim.attempt
        del self._asking[key]
        claim.attempt.start_by = start_by
        return claim.attempt, None

    def denied(self, message: StartDenied) -> Optional[Attempt]:
        """The step that may not start, or None when the answer is to nothing."""
        claim = self._asking.get((message.batch_id, message.step_id))
        if claim is None or claim.attempt.number != message.attempt or message.n not in claim.sent:
            return None
        return claim.attempt

    def drop(self, attempt: Attempt) -> bool:
        """Forgets a step that has not been granted; False when it is not here."""
        if self._asking.pop(attempt.key, None) is not None:
            return True
        try:
            self.waiting.remove(attempt)
        except ValueError:
            return False
        return True

    def _request(self, claim: Claim, now: float) -> None:
        attempt = claim.attempt
        claim.n += 1
        claim.sent[claim.n] = self._clock()
        if len(claim.sent) > _REMEMBERED_MAX:
            del claim.sent[min(claim.sent)]
        claim.next_at = now + self.resend_s
        message = StartRequest(
            session=attempt.batch.session,
            batch_id=attempt.batch.batch_id,
            step_id=attempt.step_id,
            attempt=attempt.number,
            n=claim.n,
        )
        self._send(encode(message, "workers"))


def grouped(attempts: List[Attempt]) -> Dict[str, List[Attempt]]:
    """Steps by batch, in the order given."""
    groups: Dict[str, List[Attempt]] = {}
    for attempt in attempts:
        groups.setdefault(attempt.batch.batch_id, []).append(attempt)
    return groups
