"""Processes of a test: started in a session of their own, ended by pid, their output kept in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# Sanitizers and loaded machines are slower; no limit of a test is a measurement.
PATIENCE = float(os.environ.get("TASKER_TEST_PATIENCE", "1"))
# Whether the C++ programs were built with a sanitizer (set by bin/test).
IS_SANITIZED = "ASAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ


def build_dir() -> Path:
    """Where the programs under test were built: TASKER_BUILD_DIR (set by bin/test), else build/."""
    return Path(os.environ.get("TASKER_BUILD_DIR", ROOT / "build"))


def program(name: str) -> str:
    """The path of a built program; fails at once, with the cure, when it is missing."""
    path = build_dir() / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; build it with bin/setup")
    return str(path)


class Timeout(AssertionError):
    """A condition did not come true within its limit."""


def wait_until(
    condition: Callable[[], object], limit: float = 10.0, what: str = "", interval: float = 0.02
) -> object:
    """Calls `condition` until it returns something true, and returns that; Timeout after `limit` seconds.

    For what sends no signal; where there is one (a process's end, a line of output), wait for that instead.
    """
    limit *= PATIENCE
    deadline = time.monotonic() + limit
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= deadline:
            raise Timeout(f"not within {limit} s: {what or condition}")
        time.sleep(interval)


class Process:
    """One child. The kernel kills it when the test program dies, so nothing is left behind even then."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        death_signal: str = "KILL",
        user: str | None = None,
    ):
        self.log = log
        self.arguments = [str(argument) for argument in arguments]
        # setpriv sets the signal after the change of user, which would clear it.
        prefix = ["setpriv", "--pdeathsig", death_signal]
        if user is not None:
            prefix += [f"--reuid={user}", f"--regid={user}", "--init-groups"]
        with open(log, "ab") as output:
            self.popen = subprocess.Popen(
                prefix + self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def running(self) -> bool:
        return self.popen.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_output(self, text: str, limit: float = 20.0) -> str:
        """Waits until `text` stands in the output and returns its line; fails early when the process ends."""

        def found() -> str | None:
            output = self.output()
            for line in output.splitlines():
                if text in line:
                    return line
            if not self.running():
                raise AssertionError(f"{self.describe()} ended without {text!r}; its output:\n{output}")
            return None

        try:
            return str(wait_until(found, limit, f"{text!r} in the output"))
        except Timeout as timeout:
            raise Timeout(f"{timeout}; {self.describe()} has said:\n{self.output()}") from None

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def wait(self, limit: float = 20.0) -> int:
        """The exit code (negative: the signal that killed it)."""
        try:
            return self.popen.wait(limit * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.describe()} did not end within {limit} s:\n{self.output()}") from None

    def stop(self, limit: float = 20.0) -> int:
        """SIGTERM, then wait; SIGKILL to the whole session when it takes longer, which is a failure."""
        if self.running():
            self.signal(signal.SIGTERM)
        try:
            return self.wait(limit)
        except Timeout:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL to the process and its session; waits until it is gone."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait(20)

    def describe(self) -> str:
        code = self.popen.poll()
        state = "running" if code is None else f"ended with {code}"
        return f"{Path(self.arguments[0]).name} (pid {self.pid}, {state})"


class Processes:
    """All processes of one test, ended in reverse order at its end."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.started: list[Process] = []

    def start(self, name: str, arguments: Sequence[str | Path], **options) -> Process:
        """Starts a process; its output goes to NAME.log (NAME-2.log … for further ones of that name)."""
        log = self.folder / f"{name}.log"
        number = 2
        while log.exists():
            log = self.folder / f"{name}-{number}.log"
            number += 1
        process = Process(arguments, log, **options)
        self.started.append(process)
        return process

    def end_all(self) -> None:
        for process in reversed(self.started):
            if process.running():
                process.signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except Timeout:
                    process.kill()

    def report(self) -> str:
        """The last lines of every process, for the message of a failed test."""
        parts = []
        for process in self.started:
            lines = process.output().splitlines()[-40:]
            parts.append("\n".join([f"--- {process.describe()}: {process.log.name}", *lines]))
        return "\n".join(parts)


def run(arguments: Sequence[str | Path], limit: float = 60.0, check: bool = True, **options):
    """Runs a program to its end; returns the CompletedProcess with text output."""
    done = subprocess.run(
        [str(argument) for argument in arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit * PATIENCE,
        **options,
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(map(str, arguments))} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
    return done
