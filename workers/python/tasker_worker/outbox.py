"""Reports that wait for their acknowledgement.

A final partial result, a batch completion and a batch rejection stay here until the orchestrator says that
they are committed (or refused for good). They are sent again after `resend_ms`, then after twice that, up
to 30 s, always as the same bytes.

Entries of one delay stand in one queue in the order of their sending, so the next one due is always at the
head of a queue and nothing is ever sorted. An acknowledged entry is only marked; its place in the queue is
freed when it reaches the head.
"""

from collections import deque
from typing import Callable, Deque, Dict, Iterable, Iterator, List, Optional, Tuple

RESEND_MAX_S = 30.0

Key = Tuple[str, int]


class Entry:
    """One message on its way. `steps` are the (step_id, attempt) it reports; empty for a completion."""

    __slots__ = ("key", "frame", "steps", "created", "sent", "level", "replayable")

    def __init__(
        self, key: Key, frame: bytes, steps: Tuple[Tuple[int, int], ...], now: float, replayable: bool
    ) -> None:
        self.key = key
        self.frame: Optional[bytes] = frame
        self.steps = steps
        self.created = now
        self.sent = now
        self.level = 0
        self.replayable = replayable


class Outbox:
    """Keyed by (batch_id, sequence). `send` takes a frame; times are monotonic seconds."""

    def __init__(self, send: Callable[[bytes], None], limit: int, resend_s: float = 1.0) -> None:
        self._send = send
        self.limit = limit
        self._entries: Dict[Key, Entry] = {}
        self._queues: List[Deque[Entry]] = []
        self._delays: List[float] = []
        self.set_resend(resend_s)

    def __len__(self) -> int:
        return len(self._entries)

    def set_resend(self, resend_s: float) -> None:
        """Sets the first delay; entries keep their place and follow the new delays."""
        delays = [min(resend_s, RESEND_MAX_S)]
        while delays[-1] < RESEND_MAX_S:
            delays.append(min(delays[-1] * 2, RESEND_MAX_S))
        if delays == self._delays:
            return
        self._delays = delays
        self._queues = [deque() for _ in delays]
        for entry in sorted(self._entries.values(), key=lambda entry: entry.sent):
            entry.level = min(entry.level, len(delays) - 1)
            self._queues[entry.level].append(entry)

    def add(
        self,
        key: Key,
        frame: bytes,
        steps: Tuple[Tuple[int, int], ...],
        now: float,
        replayable: bool = True,
    ) -> None:
        """Sends a message and keeps it. `replayable`: another session of this process may send it."""
        entry = Entry(key, frame, steps, now, replayable)
        self._entries[key] = entry
        self._queues[0].append(entry)
        self._send(frame)

    def acknowledge(self, batch_id: str, sequences: Iterable[int]) -> None:
        entries = self._entries
        for sequence in sequences:
            entry = entries.pop((batch_id, sequence), None)
            if entry is not None:
                entry.frame = None

    def resend_due(self, now: float, most: int) -> int:
        """Sends again what is due, at most `most` messages; returns how many."""
        sent = 0
        for level, queue in enumerate(self._queues):
            delay = self._delays[level]
            while queue and (queue[0].frame is None or queue[0].sent + delay <= now):
                if queue[0].frame is not None and sent >= most:
                    return sent
                entry = queue.popleft()
                if entry.frame is None or entry.level != level:
                    continue
                self._again(entry, now, min(level + 1, len(self._delays) - 1))
                sent += 1
        return sent

    def next_due(self) -> Optional[float]:
        """When the next message is due, or None when nothing waits."""
        due: Optional[float] = None
        for delay, queue in zip(self._delays, self._queues):
            while queue and queue[0].frame is None:
                queue.popleft()
            if queue and (due is None or queue[0].sent + delay < due):
                due = queue[0].sent + delay
        return due

    def make_all_due(self, now: float) -> None:
        """After a new handshake: everything is due at once, oldest first, and backs off anew."""
        for queue in self._queues:
            queue.clear()
        for entry in self._entries.values():
            entry.level = 0
            entry.sent = now - self._delays[0]
            self._queues[0].append(entry)

    def resend_some(self, batch_id: str, wanted: Callable[[Entry], bool], now: float) -> int:
        """Sends again, now, what stands here of one batch and is wanted; returns how many."""
        found = [entry for entry in self._entries.values() if entry.key[0] == batch_id and wanted(entry)]
        for entry in found:
            if entry.frame is not None:
                self._send(entry.frame)
        return len(found)

    def unacked(self) -> Iterator[Tuple[str, int, int]]:
        """(batch_id, step_id, attempt) of every step reported here and not acknowledged."""
        for entry in self._entries.values():
            for step_id, attempt in entry.steps:
                yield entry.key[0], step_id, attempt

    def oldest_age_s(self, now: float) -> float:
        for entry in self._entries.values():
            return max(0.0, now - entry.created)
        return 0.0

    def move_to_session(self, rewrite: Callable[[Entry], Optional[bytes]]) -> int:
        """A new session takes over: `rewrite` gives each entry's new frame, or None to drop it.

        Returns how many were dropped.
        """
        dropped = 0
        for key, entry in list(self._entries.items()):
            frame = rewrite(entry)
            entry.frame = frame
            if frame is None:
                del self._entries[key]
                dropped += 1
        return dropped

    def _again(self, entry: Entry, now: float, level: int) -> None:
        assert entry.frame is not None
        self._send(entry.frame)
        entry.sent = now
        entry.level = level
        self._queues[level].append(entry)
