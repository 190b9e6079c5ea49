"""The outbox on disk: reports that outlive their process.

An append-only text file, the same in every SDK, one record per line after the first line
`tasker-outbox 1`:

    A <crc> <session> <batch_id> <sequence> <step_id:attempt,…|-> <frame>     a report, as it goes out
    D <crc> <batch_id> <sequence>                                             it was acknowledged

`crc` is the CRC-32 of what follows it, in 8 hex digits. A record is on disk (fdatasync) before its report is
sent; what a crash can leave behind is a torn end, which was never sent and is cut off. A `D` is not synced:
losing one means that a report is sent once more, which changes nothing. PATH.lock is held as long as a
process uses the file.
"""

import fcntl
import os
import zlib
from typing import Dict, Iterable, List, Optional, Tuple

from .errors import ConfigurationError
from .log import Log

log = Log(__name__)

MAGIC = b"tasker-outbox 1\n"
RETRY_S = 1.0
# Below this size nothing is cleared away; above it no more than KEEP_RATIO times what is live is kept.
COMPACT_BYTES = 1024 * 1024
KEEP_RATIO = 4

Key = Tuple[str, int]


class Stored:
    """One report that was not acknowledged: the session it speaks for, its key, its steps, its bytes."""

    __slots__ = ("session", "key", "steps", "frame")

    def __init__(self, session: str, key: Key, steps: Tuple[Tuple[int, int], ...], frame: bytes) -> None:
        self.session = session
        self.key = key
        self.steps = steps
        self.frame = frame


class OutboxFile:
    """Opens, locks and reads PATH; `stored` is what it held. Used by the socket thread only.

    Raises ConfigurationError, and changes nothing, when the file is in use, cannot be read or written, is no
    outbox, or is damaged anywhere but at its end.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.stored: Dict[Key, Stored] = {}
        self._live: Dict[Key, bytes] = {}
        self._live_bytes = 0
        self._buffer: List[bytes] = []
        self._retry_at: Optional[float] = None
        self._rewrite_next = False
        try:
            if os.path.exists(path) and not os.path.isfile(path):
                raise ConfigurationError(f"--outbox {path}: is not a regular file")
            self._lock = _locked(path)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._size = self._read()
            _sync_folder(path)
        except OSError as error:
            raise ConfigurationError(f"--outbox {path}: cannot be used: {error.strerror or error}") from error

    # ------------------------------------------------------------------ writing

    @property
    def blocked(self) -> bool:
        """The last attempt to write failed."""
        return self._retry_at is not None

    @property
    def retry_at(self) -> Optional[float]:
        """When the next attempt is due; None when nothing failed."""
        return self._retry_at

    def add(self, session: str, key: Key, steps: Iterable[Tuple[int, int]], frame: bytes) -> None:
        """Takes a report; it is safe when `sync` has returned True."""
        named = ",".join(f"{step_id}:{attempt}" for step_id, attempt in steps) or "-"
        line = _record(b"A", f"{session} {key[0]} {key[1]} {named} ".encode() + frame)
        self._live[key] = line
        self._live_bytes += len(line)
        self._buffer.append(line)

    def done(self, key: Key) -> None:
        """The report was acknowledged, or is dropped for another reason."""
        line = self._live.pop(key, None)
        if line is not None:
            self._live_bytes -= len(line)
            self._buffer.append(_record(b"D", f"{key[0]} {key[1]}".encode()))

    def sync(self, now: float, durable: bool) -> bool:
        """Writes what was taken (with `durable` down to the disk); False: it failed, ask again later."""
        if self._retry_at is not None and now < self._retry_at:
            return False
        try:
            if self._rewrite_next:
                self._rewrite()
            else:
                self._append(durable)
                self._tidy()
        except OSError as error:
            if self._retry_at is None:
                log.error(
                    "the outbox file cannot be written; reports stay in memory and nothing new starts",
                    path=self.path,
                    error=error.strerror or str(error),
                )
            self._retry_at = now + RETRY_S
            return False
        if self._retry_at is not None:
            self._retry_at = None
            log.info("the outbox file can be written again", path=self.path)
        return True

    def close(self) -> None:
        """Writes what is left, empties the file when nothing is live, and gives up the lock."""
        try:
            self._append(durable=False)
            if not self._live:
                os.ftruncate(self._fd, len(MAGIC))
        except OSError as error:
            log.error("the outbox file could not be finished", path=self.path, error=str(error))
        os.close(self._fd)
        os.close(self._lock)

    def _append(self, durable: bool) -> None:
        data = b"".join(self._buffer)
        end = self._size
        try:
            while data:
                written = os.pwrite(self._fd, data, end)
                end += written
                data = data[written:]
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        if durable:
            try:
                os.fdatasync(self._fd)
            except OSError:
                # What the kernel holds of the file now is unknown: the next attempt writes it anew.
                self._rewrite_next = True
                raise
        self._size = end
        self._buffer.clear()

    def _tidy(self) -> None:
        if self._size <= COMPACT_BYTES:
            return
        if not self._live:
            os.ftruncate(self._fd, len(MAGIC))
            self._size = len(MAGIC)
        elif self._size > COMPACT_BYTES + KEEP_RATIO * self._live_bytes:
            self._rewrite()

    def _rewrite(self) -> None:
        """A new file with what is live takes the place of the old one."""
        beside = self.path + ".new"
        fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            data = MAGIC + b"".join(self._live.values())
            size = len(data)
            while data:
                data = data[os.write(fd, data) :]
            os.fdatasync(fd)
            os.rename(beside, self.path)
        except OSError:
            os.close(fd)
            os.unlink(beside)
            raise
        os.close(self._fd)
        self._fd, self._size = fd, size
        self._buffer.clear()
        self._rewrite_next = False
        _sync_folder(self.path)

    # ------------------------------------------------------------------ reading

    def _read(self) -> int:
        """Fills `stored`; cuts off a torn end; returns the size of what is good."""
        with open(self._fd, "rb", closefd=False) as stream:
            data = stream.read()
        if MAGIC.startswith(data):  # new, or torn while it was made
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, MAGIC, 0)
            return len(MAGIC)
        if not data.startswith(MAGIC):
            raise ConfigurationError(f"--outbox {self.path}: is no outbox file; it was left as it is")
        good, number = len(MAGIC), 1
        for line in _lines(data, good):
            number += 1
            if not self._take(line):
                self._refuse_unless_torn(data, good + len(line), number)
                log.warn("the outbox file's torn end was cut off", path=self.path, bytes=len(data) - good)
                os.ftruncate(self._fd, good)
                break
            good += len(line)
        for key, stored in self.stored.items():
            named = ",".join(f"{step_id}:{attempt}" for step_id, attempt in stored.steps) or "-"
            head = f"{stored.session} {key[0]} {key[1]} {named} ".encode()
            self._live[key] = _record(b"A", head + stored.frame)
        self._live_bytes = sum(map(len, self._live.values()))
        return good

    def _take(self, line: bytes) -> bool:
        body = _body(line)
        if body is None:
            return False
        try:
            if line[:1] == b"D":
                batch_id, sequence = body.decode().split(" ")
                self.stored.pop((batch_id, int(sequence)), None)
                return True
            session, batch, number, named, frame = body.split(b" ", 4)
            key = (batch.decode(), int(number))
            steps = [] if named == b"-" else [part.split(b":") for part in named.split(b",")]
            pairs = tuple((int(step_id), int(attempt)) for step_id, attempt in steps)
            self.stored[key] = Stored(session.decode(), key, pairs, frame)
            return True
        except ValueError:
            return False

    def _refuse_unless_torn(self, data: bytes, after: int, number: int) -> None:
        """A bad record with good ones behind it is damage, not the end of a crashed write."""
        if any(_body(line) is not None for line in _lines(data, after)):
            raise ConfigurationError(
                f"--outbox {self.path}: line {number} is damaged and good lines follow; it was left as it is"
                " (look at it, then move it away or remove that line)"
            )


def _record(kind: bytes, body: bytes) -> bytes:
    return b"%b %08x %b\n" % (kind, zlib.crc32(body), body)


def _body(line: bytes) -> Optional[bytes]:
    """What a whole, undamaged record says; else None."""
    if line[:2] not in (b"A ", b"D ") or line[10:11] != b" " or not line.endswith(b"\n"):
        return None
    body = line[11:-1]
    return body if line[2:10] == b"%08x" % zlib.crc32(body) else None


def _lines(data: bytes, start: int) -> Iterable[bytes]:
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end + 1
        yield data[start:end]
        start = end


def _locked(path: str) -> int:
    fd = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(fd, 32).decode("ascii", "replace").strip()
        os.close(fd)
        raise ConfigurationError(
            f"--outbox {path}: another worker uses it (process {owner or 'unknown'}); give each worker a file"
            " of its own"
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def _sync_folder(path: str) -> None:
    fd = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
