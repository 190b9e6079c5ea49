"""One run of one peer: its driver in its own process group, asked for processor time at "begin" and "end"."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

from tests.bench import processes
from tests.bench.peers import install, stores
from tests.bench.peers.catalog import HERE, Peer

RUN_LIMIT_S = 120


class Failed(Exception):
    """A run that did not end as it should; the text has the driver's own last words."""


def store_of(peer: Peer, settings: dict) -> stores.Folder:
    """The peer's own store, to be used as a context manager; PostgreSQL is the session's."""
    if peer.store == "redis":
        return stores.Redis(peer.redis_fsync)
    binary = install.modules() / "@restatedev/restate-server-linux-x64/bin/restate-server"
    return stores.Restate(binary, settings["partitions"])


def command_of(peer: Peer, folder: Path, options: dict) -> list[str]:
    """What starts the driver. Node looks for packages beside the script, hence a copy and a link."""
    argument = json.dumps(options)
    if peer.language == "node":
        shutil.copytree(HERE / "node", folder / "node")
        (folder / "node" / "node_modules").symlink_to(install.modules())
        return [install.node(), str(folder / peer.script), argument]
    interpreter = {"python": "/usr/bin/python3", "ruby": "/usr/bin/ruby"}[peer.language]
    return [interpreter, str(HERE / peer.script), argument]


def run(peer: Peer, workload: str, store, settings: dict, samples: int) -> dict:
    """Runs the workload on a store that is up and fresh; returns its figures."""
    options = {
        "workload": workload,
        "settings": settings,
        "tasks": peer.tasks.get(workload, 0),
        "samples": samples,
        **store.fresh(),
    }
    folder = Path(tempfile.mkdtemp(prefix="tasker-peer-", dir="/tmp"))
    try:
        with Driver(store.wrap(command_of(peer, folder, options)), folder) as driver:
            return figures(driver, store)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def figures(driver: Driver, store) -> dict:
    driver.expect("begin")
    before = cpu_seconds([driver.pid]), cpu_seconds(store.pids())
    driver.go_on()
    end = driver.expect("end")
    after = cpu_seconds([driver.pid]), cpu_seconds(store.pids())
    driver.go_on()
    driver.wait()
    steps = end["steps"]
    result = {
        "steps": steps,
        "seconds": end["seconds"],
        "worker_cpu_s_per_1000": (after[0] - before[0]) * 1000 / steps,
        "store_cpu_s_per_1000": (after[1] - before[1]) * 1000 / steps,
    }
    if "latencies_ms" in end:
        return {**result, **percentiles(end["latencies_ms"])}
    return {**result, "steps_per_s": steps / end["seconds"]}


def percentiles(samples: list[float]) -> dict:
    ordered = sorted(samples)
    at = {
        name: min(len(ordered) - 1, int(share * len(ordered)))
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }
    return {f"{name}_ms": ordered[index] for name, index in at.items()}


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of these processes, all below them, and those that ended below them."""
    return processes.cpu_seconds(one for pid in pids for one in processes.descendants(pid))


class Driver:
    """A driver process that speaks the two-event protocol described in node/common.mjs."""

    def __init__(self, command: list[str], folder: Path, limit_s: float = RUN_LIMIT_S):
        self.limit_s = limit_s
        self.log = folder / "log"
        self.late = False
        environment = {**os.environ, "NODE_ENV": "production", "PYTHONDONTWRITEBYTECODE": "1"}
        environment["PYTHONWARNINGS"] = "ignore"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                cwd=folder,
                text=True,
                start_new_session=True,
            )
        self.timer = threading.Timer(limit_s, self.kill)

    @property
    def pid(self) -> int:
        return self.process.pid

    def __enter__(self) -> Driver:
        self.timer.start()
        return self

    def __exit__(self, *_exception) -> None:
        self.timer.cancel()
        if self.process.poll() is None:
            self.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def kill(self) -> None:
        """The whole group, and so the peer's worker too."""
        self.late = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def expect(self, event: str) -> dict:
        """The next event; lines that are none are a peer's own chatter."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith('{"event"'):
                told = json.loads(line)
                if told["event"] != event:
                    raise self.failure(f'said "{told["event"]}" where "{event}" was due')
                return told
        self.process.wait()
        raise self.failure(f'ended before "{event}"')

    def go_on(self) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self.failure("ended while it was measured") from None

    def wait(self) -> None:
        self.process.wait()
        if self.process.returncode != 0:
            raise self.failure(f"ended with exit code {self.process.returncode}")

    def failure(self, what: str) -> Failed:
        if self.late:
            what = f"did not end within {self.limit_s:g} s"
        words = self.log.read_text(errors="replace").strip()[-2000:]
        return Failed(f"the driver {what}; its log:\n{words or '(empty)'}")
