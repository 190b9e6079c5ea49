"""The system under test: PostgreSQL, two orchestrators, workers of both languages, relays between them."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Callable

import psycopg
import zmq

from tests.chaos.database import Away, Database
from tests.chaos.recovery import Kill
from tests.chaos.relay_control import Control
from tests.chaos.slots import Exit, Slot, orchestrator_slot
from tests.chaos.timeline import Timeline
from tests.support import pg, procs
from tests.support.procs import ROOT

HERE = ROOT / "tests" / "chaos"
ORCHESTRATORS = ("active", "standby")
CAPACITY = "8"
# Three results of chaos/too_large do not fit into one request.
SETTINGS: dict[str, object] = {"limits": {"batch_bytes": 1_200_000}}
# A stranger on `steps` may be given a batch as a plain worker, and take it with it.
PLAIN = {"result_timeout_ms": 20_000}
# Messages queued for each worker: the default, or so few that a peer which stops reading is soon in the way.
QUEUES = (1000, 50)
# Ends that need no explanation; others are violations unless we sent the signal.
ORCHESTRATOR_ENDS = {
    4: "another orchestrator serves",
    5: "another orchestrator has taken over",
}
# After SIGTERM or `tasker worker drain`: drained, or work is left: its limit was reached because nobody
# acknowledged, or two deploys at once told it twice, and the second time means at once.
DRAIN_ENDS = {0, 4}
DRAIN_S = 30.0
PYTHON_IMPORTS = [
    ROOT / "workers/python/examples/patterns.py",
    ROOT / "workers/python/examples/order_fulfillment.py",
    ROOT / "workers/python/samples/noop.py",
    HERE / "handlers.py",
]
RUBY_REQUIRES = [
    ROOT / "workers/ruby/examples/patterns.rb",
    ROOT / "workers/ruby/examples/order_fulfillment.rb",
    ROOT / "workers/ruby/samples/noop.rb",
    HERE / "handlers.rb",
]
# name → language; `near` is connected without relays, so that some traffic is never disturbed.
WORKERS = {"ruby-1": "ruby", "ruby-2": "ruby", "python-1": "python", "python-2": "python", "near": "python"}


# What the newest session of a worker has not reported yet.
IN_HAND = """
    SELECT s.workflow_step_id, s.attempt
    FROM tasker_step_execution_batches b JOIN tasker_step_execution_batch_steps s USING (batch_id)
    WHERE b.state IN ('created', 'published', 'executing') AND s.reported_at IS NULL
        AND s.final_status IS NULL AND b.session = (SELECT session FROM tasker_workers WHERE worker_id = %s
                         ORDER BY first_seen_at DESC LIMIT 1)"""


def orchestrator_program() -> str:
    """The one with crash points when it is built, else the ordinary one."""
    try:
        return procs.program("tasker-orchestrator-crash")
    except FileNotFoundError:
        return procs.program("tasker-orchestrator")


class World:
    """Everything that runs. All processes are started by the thread that made the world (see Slot)."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.folder = folder
        self.random = random.Random(f"{seed}/world")
        self.seed = seed
        self.timeline = Timeline()
        self.healing = False
        self.server = pg.Cluster({"log_min_messages": "warning"})
        self.server_due: float | None = None
        self.server_stops = 0
        self.unexpected: list[str] = []
        self.handlers_crash = False
        self.drained: dict[str, float] = {}  # worker id → when an operator asked for it
        self.kills: list[Kill] = []
        self.idle_sessions: list[psycopg.Connection[Any]] = []
        self.strangers: list[zmq.Socket[bytes]] = []
        self.peers: list[procs.Process] = []  # strangers that are processes
        self.proofs: Counter[str] = Counter()  # what faults are known to have really done
        self.templates = folder / "templates"
        self.effects = folder / "effects.jsonl"
        self.context = zmq.Context()
        self.program = orchestrator_program()
        self.crash_points = self.program.endswith("-crash")
        self.restart_pause: Callable[[], float] = lambda: self.random.uniform(0.1, 2.0)

    # ------------------------------------------------------------------ start and end

    def __enter__(self) -> World:
        self.templates.mkdir()
        self.effects.touch()
        for source in [*(ROOT / "config/tasks").glob("*.yaml"), *(HERE / "templates").glob("*.yaml")]:
            shutil.copy(source, self.templates)
        self.server.__enter__()
        try:
            self._create_database()
            self._start_relays()
            self._make_slots()
            for slot in self.slots:
                slot.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _create_database(self) -> None:
        self.url = self.server.url("chaos")
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE chaos TEMPLATE template0")
        self.tasker("migrate", "up")
        self.tasker("template", "load", str(self.templates))
        self.database = Database(self.url)

    def _start_relays(self) -> None:
        links, paths = [], []
        for name in ORCHESTRATORS:
            for part in ("steps", "results"):
                real, front = f"{self.folder}/{name}.{part}", f"{self.folder}/relay.{name}.{part}"
                links.append(f"{name}.{part},ipc://{real},ipc://{front}")
                paths += [f"{worker}.{name}.{part},{front}" for worker in WORKERS if worker != "near"]
        self.relays = [
            self._program("frame-relay", "frame_relay.py", f"{self.folder}/frames.ctl", self.seed, *links),
            self._program("byte-relay", "byte_relay.py", f"{self.folder}/bytes.ctl", *paths),
        ]
        self.frames = Control(self.folder / "frames.ctl")
        self.bytes = Control(self.folder / "bytes.ctl")
        self.links = [link.partition(",")[0] for link in links]
        self.paths = [path.partition(",")[0] for path in paths]
        self.ports: dict[str, int] = self.bytes.ask("ports")

    def _program(self, name: str, script: str, *arguments: str) -> procs.Process:
        command = [sys.executable, str(HERE / script), *arguments]
        return procs.Process(command, self.folder / f"{name}.log", env={"PYTHONPATH": str(ROOT)})

    def _make_slots(self) -> None:
        sockets = {**PLAIN, "step_queue_hwm": self.random.choice(QUEUES)}
        settings: dict[str, object] = {**SETTINGS, "step_execution": sockets}
        self.orchestrators = [
            orchestrator_slot(name, self.program, self.folder, self.url, settings) for name in ORCHESTRATORS
        ]
        self.workers = [self._worker_slot(name, language) for name, language in WORKERS.items()]

    def _worker_slot(self, name: str, language: str) -> Slot:
        if language == "ruby":
            command = [str(ROOT / "workers/ruby/exe/tasker-worker")]
            command += [word for path in RUBY_REQUIRES for word in ("--require", str(path))]
        else:
            command = [sys.executable, "-m", "tasker_worker"]
            command += [word for path in PYTHON_IMPORTS for word in ("--import", str(path))]
        command += ["--worker-id", name, "--templates", str(self.templates), "--capacity", CAPACITY]
        command += ["--drain-timeout", "10"]

        def variables() -> dict[str, str]:
            return {
                "TASKER_WORKER_STEPS_ENDPOINT": ",".join(self._endpoints(name, "steps")),
                "TASKER_WORKER_RESULTS_ENDPOINT": ",".join(self._endpoints(name, "results")),
                "TASKER_EFFECTS_LOG": str(self.effects),
                "PYTHONPATH": str(ROOT / "workers/python"),
            }

        return Slot(name, command, self.folder, variables)

    def _endpoints(self, worker: str, part: str) -> list[str]:
        if worker == "near":
            return [f"ipc://{self.folder}/{name}.{part}" for name in ORCHESTRATORS]
        return [f"tcp://127.0.0.1:{self.ports[f'{worker}.{name}.{part}']}" for name in ORCHESTRATORS]

    def __exit__(self, *_: Any) -> None:
        """Kills what still runs, by its id; an orderly end is stop()."""
        for slot in [*getattr(self, "workers", []), *getattr(self, "orchestrators", [])]:
            slot.kill()
        for control in (getattr(self, "frames", None), getattr(self, "bytes", None)):
            if control is not None:
                control.close()
        for process in [*getattr(self, "relays", []), *self.peers]:
            process.kill()
        if hasattr(self, "database"):
            self.database.close()
        self.server.remove()
        self.context.destroy(linger=0)

    def stop(self, limit_s: float = 20.0) -> None:
        """Workers first, then the orchestrators, by SIGTERM; who does not obey is noted and killed."""
        serving = self.serving()
        for group in (self.workers, self.orchestrators):
            for slot in group:
                slot.signal(signal.SIGCONT)
                slot.signal(signal.SIGTERM)
            deadline = time.monotonic() + limit_s
            for slot in group:
                code = slot.wait_and_kill(max(0.1, deadline - time.monotonic()))
                # 4: it had found the other one serving, and would have been started again.
                if code != 0 and not (slot in self.orchestrators and slot is not serving and code == 4):
                    problem = f"did not end within {limit_s:.0f} s" if code is None else f"ended with {code}"
                    self.unexpected.append(f"{slot.name} {problem} after SIGTERM on a system at rest")

    # ------------------------------------------------------------------ while it runs

    @property
    def slots(self) -> list[Slot]:
        return [*self.orchestrators, *self.workers]

    def slot(self, name: str) -> Slot:
        return next(slot for slot in self.slots if slot.name == name)

    def tend(self) -> None:
        """Runs what is due and starts again what has ended. To be called every few milliseconds."""
        self.timeline.run_due()
        self._tend_server()
        for slot in self.slots:
            ended = slot.tend(self._pause)
            if ended is not None:
                self._judge(ended)
        for relay in self.relays:
            if not relay.running():
                raise RuntimeError(f"a relay has ended:\n{relay.output()}")

    def _pause(self) -> float:
        return 0.1 if self.healing else self.restart_pause()

    def _judge(self, ended: Exit) -> None:
        orchestrator = ended.slot in ORCHESTRATORS
        if ended.code == -ended.told and ended.told or orchestrator and ended.code in ORCHESTRATOR_ENDS:
            return
        if ended.code == 0 and ended.told == signal.SIGTERM:
            return
        # At a crash point, or by a handler that is made for it.
        if ended.suicide and (ended.armed if orchestrator else self.handlers_crash):
            return
        drained = time.time() - self.drained.get(ended.slot, 0.0) < DRAIN_S
        if not orchestrator and (drained or ended.told == signal.SIGTERM) and ended.code in DRAIN_ENDS:
            return
        told = f" after signal {ended.told}" if ended.told else " by itself"
        self.unexpected.append(f"{ended.slot} ended with {ended.code}{told}; see {ended.slot}.log")

    def _tend_server(self) -> None:
        process = self.server.process
        if process is not None and process.running():
            return
        if self.server_due is None:
            # It ended without being told: as after a crash that met the postmaster during its start.
            self.server_due = time.monotonic() + 0.1
        if time.monotonic() >= self.server_due or self.healing:
            self.server_due = None
            self.server.launch()

    def stop_server(self, pause_s: float) -> None:
        """As a power cut would; it comes back after `pause_s`."""
        process = self.server.process
        if process is not None and process.running():
            process.signal(signal.SIGQUIT)
            self.server_stops += 1
        self.server_due = time.monotonic() + pause_s

    def heal(self) -> None:
        """Ends every fault: what is frozen or down comes back, the relays let everything pass."""
        self.healing = True
        self.timeline.clear()
        for slot in self.slots:
            slot.signal(signal.SIGCONT)
            slot.once = {}
            slot.due = slot.away_until = 0.0
            if slot.process is not None and slot.armed:
                # It would still meet its crash point: the next one starts without.
                slot.signal(signal.SIGKILL)
        for session in self.idle_sessions:
            session.close()
        for stranger in self.strangers:
            stranger.close(linger=0)
        for peer in self.peers:
            self._end_stranger(peer)
        self.frames.ask("clear")
        self.bytes.ask("clear")

    def start_stranger(self, slot: Slot, role: str, parameters: dict[str, Any]) -> None:
        """A process of stranger.py on the sockets of one orchestrator, for parameters["seconds"]."""
        endpoints = [f"ipc://{self.folder}/{slot.name}.{part}" for part in ("steps", "results")]
        name = f"stranger-{len(self.peers) + 1}"
        peer = self._program(name, "stranger.py", role, *endpoints, json.dumps(parameters))
        self.peers.append(peer)
        self.timeline.after(parameters["seconds"], partial(self._end_stranger, peer))

    def _end_stranger(self, peer: procs.Process) -> None:
        if not peer.running():
            return
        if "\nState:\tT" in Path(f"/proc/{peer.pid}/status").read_text():
            self.proofs["a stranger was stopped to its end"] += 1
        peer.kill()

    def note_kill(self, slot: Slot) -> None:
        """To be called right before a kill, for the recovery times."""
        in_hand: list[tuple[int, int]] = []
        try:
            if slot in self.workers:
                rows = self.database.rows(IN_HAND, slot.name)
                in_hand = [(row["workflow_step_id"], row["attempt"]) for row in rows]
        except Away:
            pass
        self.kills.append(Kill(slot.name, time.time(), slot in self.orchestrators, tuple(in_hand)))

    # ------------------------------------------------------------------ questions

    def tasker(self, *arguments: str, check: bool = True, limit: float = 60.0) -> Any:
        """Runs the command line where no `.tasker/` can mislead it."""
        variables = {**os.environ, "TASKER_DATABASE_URL": self.url}
        command = [procs.program("tasker"), *arguments]
        return procs.run(command, limit=limit, check=check, env=variables, cwd=Path("/"))

    def serving(self) -> Slot | None:
        """The orchestrator that holds the current epoch, as far as is known; else the first that runs."""
        try:
            pid = self.database.value("SELECT pid FROM tasker_orchestrators ORDER BY epoch DESC LIMIT 1")
        except Away:
            pid = None
        running = [slot for slot in self.orchestrators if slot.pid]
        return next((slot for slot in running if slot.pid == pid), running[0] if running else None)

    def health(self, slot: Slot, limit_s: float = 3.0) -> dict[str, Any] | None:
        """Its answer to a detailed health_check; None when it does not answer."""
        with self.context.socket(zmq.REQ) as requester:
            requester.setsockopt(zmq.LINGER, 0)
            requester.connect(f"ipc://{self.folder}/{slot.name}.command")
            requester.send(b'{"command": "health_check", "level": "detailed"}')
            if not requester.poll(int(limit_s * 1000)):
                return None
            answer: dict[str, Any] = json.loads(requester.recv())
            return answer
