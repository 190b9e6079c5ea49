"""The places in which a run's processes live: each is started again whenever its process has ended."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Sequence

from tests.support.procs import Process, Timeout

# How a crash ends a process: any of these in a log is a fault of the product, whatever killed the process
# later.
CRASH_WORDS = (
    "terminate called",
    "CHECK failed",
    "Assertion failed",
    "Assertion `",
    "AddressSanitizer",
    "ThreadSanitizer",
    "runtime error:",
    "Traceback (most recent call last)",
    "[BUG]",
)


@dataclass(frozen=True)
class Exit:
    """How a process ended. `told`: the signal we had sent, 0 when by itself; `armed`: with a crash point."""

    slot: str
    code: int
    told: int
    at: float
    armed: bool = False

    @property
    def suicide(self) -> bool:
        return self.code == -signal.SIGKILL and self.told == 0


class Slot:
    """One place: its command, its log, and when it is due to be started again.

    Only the thread that calls start() may own the slot, since the kernel ends a child with the
    thread that made it.
    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, variables: Callable[[], dict[str, str]]
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = folder / f"{name}.log"
        self.variables = variables
        self.once: dict[str, str] = {}  # variables of the next start only
        self.armed = False  # this process was started with such variables
        self.process: Process | None = None
        self.due = 0.0
        self.away_until = 0.0  # it is not started again before this
        self.signals = 0  # how many we have sent to its processes
        self.told = 0
        self.frozen = False
        self.exits: list[Exit] = []

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process and self.process.running() else None

    def start(self) -> None:
        self.process = Process(
            self.command, self.log, env={**self.variables(), **self.once}, cwd=self.log.parent
        )
        self.armed = bool(self.once)
        self.once = {}
        self.told = 0
        self.frozen = False

    def signal(self, number: int) -> bool:
        """False when there is no process to hear it."""
        if self.process is None or not self.process.running():
            return False
        # After SIGKILL nothing else decides, though the process may still be there for a moment.
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL) and self.told != signal.SIGKILL:
            self.told = number
        self.signals += 1
        if number in (signal.SIGSTOP, signal.SIGCONT):
            self.frozen = number == signal.SIGSTOP
        self.process.signal(number)
        return True

    def stay_away(self, seconds: float) -> bool:
        """Killed, and not started again for so long. False when it was not there anyway."""
        self.away_until = time.monotonic() + seconds
        return self.signal(signal.SIGKILL)

    def kill_and_wait(self) -> bool:
        """Killed and gone, before anything is started again by tend()."""
        if self.process is None or not self.signal(signal.SIGKILL):
            return False
        self.process.wait(20)
        return True

    def tend(self, pause_s: Callable[[], float]) -> Exit | None:
        """Notices an end, and starts the next process when it is due. The end is returned once."""
        if self.process is None:
            if time.monotonic() >= self.due:
                self.start()
            return None
        code = self.process.popen.poll()
        if code is None:
            return None
        ended = Exit(self.name, code, self.told, time.time(), self.armed)
        self.exits.append(ended)
        self.process = None
        self.due = max(time.monotonic() + pause_s(), self.away_until)
        return ended

    def wait_and_kill(self, limit: float) -> int | None:
        """The exit code of a process that ends within the limit, 0 where there is none; else None."""
        if self.process is None:
            return 0
        try:
            return self.process.wait(limit)
        except Timeout:
            return None
        finally:
            self.process.kill()
            self.process = None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process = None


def orchestrator_slot(name: str, program: str, folder: Path, url: str, settings: dict[str, object]) -> Slot:
    """Binds ipc sockets NAME.steps, NAME.results and NAME.command in `folder`."""
    config = folder / f"{name}.yaml"
    config.write_text(json.dumps(settings))  # JSON is YAML

    def variables() -> dict[str, str]:
        return {
            "TASKER_DATABASE_URL": url,
            **{
                f"TASKER_{part.upper()}_ENDPOINT": f"ipc://{folder}/{name}.{part}"
                for part in ("steps", "results", "command")
            },
        }

    return Slot(name, [program, "--config", str(config)], folder, variables)
