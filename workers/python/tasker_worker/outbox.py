"""Reports that wait for their acknowledgement.

A final partial result, a batch completion and a batch rejection stay here until the orchestrator says that
they are committed (or refused for good). They are sent again after `resend_ms`, then after twice that, up
to `resend_max_s`, always as the same bytes.

Entries of one delay stand in one queue in the order of their sending, so the next one due is always at the
head of a queue and nothing is ever sorted. An acknowledged entry is only marked; its place in the queue is
freed when it reaches the head.

The window is bounded by messages and by bytes: when either is used up the outbox is full and the worker
starts nothing. What is finished already is taken all the same, so `len` may pass the limit by what was
running. With a file (outbox_file.py) a report is sent only after `flush` has brought it to the disk; while
that fails the outbox counts as full.
"""

from collections import deque
from typing import Callable, Deque, Dict, Iterable, Iterator, List, Optional, Tuple

from .outbox_file import OutboxFile, Stored

RESEND_MAX_S = 30.0
BYTES_MAX = 64 * 1024 * 1024

Key = Tuple[str, int]


class Entry:
    """One message on its way. `steps` are the (step_id, attempt) it reports; empty for a completion."""

    __slots__ = ("key", "frame", "steps", "created", "sent", "level", "replayable", "unwritten")

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
        #: it waits for the disk and may not go out yet
        self.unwritten = False


class Outbox:
    """Keyed by (batch_id, sequence). `send` takes a frame; times are monotonic seconds."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        limit: int,
        resend_s: float = 1.0,
        bytes_max: int = BYTES_MAX,
        resend_max_s: float = RESEND_MAX_S,
        file: Optional[OutboxFile] = None,
    ) -> None:
        self._send = send
        self.limit = limit
        self._bytes_max = bytes_max
        self._resend_max_s = resend_max_s
        self._file = file
        self.bytes = 0
        self._entries: Dict[Key, Entry] = {}
        self._unwritten: List[Entry] = []
        self._file_dirty = False
        self._queues: List[Deque[Entry]] = []
        self._delays: List[float] = []
        self.set_resend(resend_s)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def room(self) -> int:
        """For how many more reports there is room; 0 when nothing new may start."""
        if self.bytes >= self._bytes_max or (self._file is not None and self._file.blocked):
            return 0
        return max(0, self.limit - len(self._entries))

    @property
    def room_bytes(self) -> int:
        """How many bytes of further reports fit in; 0 when nothing new may start."""
        return max(0, self._bytes_max - self.bytes) if self.room else 0

    def set_resend(self, resend_s: float) -> None:
        """Sets the first delay; entries keep their place and follow the new delays."""
        delays = [min(resend_s, self._resend_max_s)]
        while delays[-1] < self._resend_max_s:
            delays.append(min(delays[-1] * 2, self._resend_max_s))
        if delays == self._delays:
            return
        self._delays = delays
        self._queues = [deque() for _ in delays]
        for entry in sorted(self._written(), key=lambda entry: entry.sent):
            entry.level = min(entry.level, len(delays) - 1)
            self._queues[entry.level].append(entry)

    def add(
        self,
        key: Key,
        frame: bytes,
        steps: Tuple[Tuple[int, int], ...],
        now: float,
        session: str = "",
        replayable: bool = True,
    ) -> None:
        """Keeps a message and sends it; with a file, `flush` does.

        `session`: whom it speaks for. `replayable`: another session of this process may send it.
        """
        entry = Entry(key, frame, steps, now, replayable)
        self._entries[key] = entry
        self.bytes += len(frame)
        if self._file is None:
            self._queues[0].append(entry)
            self._send(frame)
        else:
            entry.unwritten = self._file_dirty = True
            self._unwritten.append(entry)
            self._file.add(session, key, steps, frame)

    def flush(self, now: float) -> None:
        """Brings to the disk what has come and sends it; call it once in each round of the loop."""
        if not self._file_dirty or self._file is None:
            return
        if not self._file.sync(now, durable=bool(self._unwritten)):
            return
        self._file_dirty = False
        written, self._unwritten = self._unwritten, []
        for entry in written:
            entry.unwritten = False
            if entry.frame is not None:
                entry.sent = now
                self._queues[0].append(entry)
                self._send(entry.frame)

    def restore(self, stored: Stored, frame: bytes, now: float) -> None:
        """A predecessor's report that stands in the file: sent, as `frame`, when all is made due."""
        entry = Entry(stored.key, frame, stored.steps, now, True)
        self._entries[stored.key] = entry
        self.bytes += len(frame)
        self._queues[0].append(entry)

    def acknowledge(self, batch_id: str, sequences: Iterable[int]) -> None:
        for sequence in sequences:
            self._drop((batch_id, sequence))

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        if entry.frame is not None:
            self.bytes -= len(entry.frame)
        entry.frame = None
        if self._file is not None:
            self._file.done(key)
            self._file_dirty = True

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

    def waits_for_disk(self, frame: bytes) -> bool:
        """Whether this very frame may not go out yet."""
        return any(entry.frame is frame for entry in self._unwritten)

    def next_flush(self) -> Optional[float]:
        """When a failed `flush` is to be tried again, or None."""
        return self._file.retry_at if self._file is not None and self._file_dirty else None

    def restart_delays(self, now: float) -> None:
        """Somebody new listens: everything is due after the first delay, and backs off anew."""
        self._restart(now)

    def make_all_due(self, now: float) -> None:
        """The way is proven: everything is due at once, oldest first, and backs off anew."""
        self._restart(now - self._delays[0])

    def _restart(self, sent: float) -> None:
        for queue in self._queues:
            queue.clear()
        for entry in self._written():
            entry.level = 0
            entry.sent = sent
            self._queues[0].append(entry)

    def resend_some(self, batch_id: str, wanted: Callable[[Entry], bool], now: float) -> int:
        """Sends again, now, what stands here of one batch and is wanted; returns how many."""
        found = [entry for entry in self._written() if entry.key[0] == batch_id and wanted(entry)]
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
            if frame is None:
                self._drop(key)
                dropped += 1
            else:
                self.bytes += len(frame) - len(entry.frame or b"")
                entry.frame = frame
        return dropped

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _written(self) -> Iterator[Entry]:
        return (entry for entry in self._entries.values() if not entry.unwritten)

    def _again(self, entry: Entry, now: float, level: int) -> None:
        assert entry.frame is not None
        self._send(entry.frame)
        entry.sent = now
        entry.level = level
        self._queues[level].append(entry)
