"""A worker under test, as a process that the runner starts, signals and ends."""

import os
import signal
import subprocess
from pathlib import Path
from typing import List, Mapping, Optional, Sequence

from .errors import Violation

LOG_LINES = 12
LOG_BYTES_READ = 64 * 1024
KILL_WAIT_S = 10.0


class WorkerProcess:
    """COMMAND with options, in a process group of its own; what it prints goes to `log_path`."""

    def __init__(self, command: Sequence[str], log_path: Path, environment: Mapping[str, str]) -> None:
        self.log_path = log_path
        with open(log_path, "wb") as log:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=dict(environment),
                    start_new_session=True,
                )
            except OSError as error:
                raise Violation(f"{command[0]} cannot be started: {error.strerror}") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> Optional[int]:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def signal(self, number: int) -> None:
        if self._process.poll() is None:
            os.kill(self._process.pid, number)

    def freeze(self) -> None:
        """SIGSTOP; returns when it has stopped."""
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends it and what it started, at once."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(KILL_WAIT_S)

    def last_lines(self, count: int = LOG_LINES) -> List[str]:
        with open(self.log_path, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_BYTES_READ))
            text = log.read(LOG_BYTES_READ).decode("utf-8", errors="replace")
        return text.splitlines()[-count:]
