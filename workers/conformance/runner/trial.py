"""What one rule works with: a folder, orchestrators, worker processes; all of it is gone afterwards."""

import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, FrozenSet, List, Optional, Sequence, Tuple

from .errors import NoHello, Violation
from .frames import Received, Ref
from .orchestrator import Orchestrator, Watch
from .process import WorkerProcess

HANDLER = "Conformance::Handler"
UNKNOWN_HANDLER = "Conformance::NobodyHasThisHandler"
NAMESPACE = "conformance"
HELLO_S = 15.0
# A worker that subscribes like one in plain mode and says nothing for so long is in plain mode.
PLAIN_S = 3.0
EXIT_S = 8.0


@dataclass(frozen=True)
class Setup:
    """What all rules of a run share: the worker's command, what it lacks, tcp instead of ipc."""

    command: Tuple[str, ...]
    without: FrozenSet[str] = frozenset()
    tcp: bool = False
    patience: float = 1.0


class Trial:
    """One run of one rule. Use it as a context manager."""

    def __init__(self, setup: Setup, folder: Path, watch: Watch) -> None:
        self.setup = setup
        self.folder = folder
        self.watch = watch
        self.orchestrators: List[Orchestrator] = []
        self.workers: List[WorkerProcess] = []
        self._starts = folder / "handler.log"
        self._places = 0

    def __enter__(self) -> "Trial":
        return self

    def __exit__(self, *_: Any) -> None:
        for worker in self.workers:
            worker.kill()
        for orchestrator in self.orchestrators:
            orchestrator.close()

    # ------------------------------------------------------------------ orchestrators and workers

    def endpoints(self) -> Tuple[str, str]:
        """A new pair of addresses that nobody has bound."""
        if self.setup.tcp:
            return _free_tcp(), _free_tcp()
        self._places += 1
        place = self.folder / f"o{self._places}"
        place.mkdir()
        return f"ipc://{place}/steps", f"ipc://{place}/results"

    def orchestrator(self, endpoints: Optional[Tuple[str, str]] = None, **settings: Any) -> Orchestrator:
        made = Orchestrator(endpoints or self.endpoints(), self.watch, **settings)
        self.orchestrators.append(made)
        return made

    def start(
        self,
        orchestrator: Orchestrator,
        *options: str,
        capacity: int = 4,
        also: Sequence[Tuple[str, str]] = (),
    ) -> WorkerProcess:
        """Starts the worker; it connects to the orchestrator, and to the endpoints in `also`."""
        own = (orchestrator.steps_endpoint, orchestrator.results_endpoint)
        steps = ",".join(pair[0] for pair in (own, *also))
        results = ",".join(pair[1] for pair in (own, *also))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TASKER_")}
        environment.update(
            TASKER_WORKER_STEPS_ENDPOINT=steps,
            TASKER_WORKER_RESULTS_ENDPOINT=results,
            TASKER_STEPS_ENDPOINT=steps,
            TASKER_RESULTS_ENDPOINT=results,
        )
        command = [*self.setup.command]
        if "capacity" not in self.setup.without:
            command += ["--capacity", str(capacity)]
        log = self.folder / f"worker-{len(self.workers) + 1}.log"
        worker = WorkerProcess([*command, *options], log, environment)
        self.workers.append(worker)
        orchestrator.hopeless = lambda: _end_of(worker)
        return worker

    def hello(self, orchestrator: Orchestrator, since: int = 0) -> Received:
        """Waits for a hello; NoHello says why there is none."""
        worker = self.workers[-1]

        def in_plain_mode() -> Optional[str]:
            plain = orchestrator.subscribed("steps") and time.monotonic() > plain_since
            return "plain mode" if plain else _end_of(worker)

        plain_since = time.monotonic() + PLAIN_S * self.watch.patience
        orchestrator.hopeless = in_plain_mode
        try:
            return orchestrator.get("hello", since, limit_s=HELLO_S)
        except Violation as violation:
            raise NoHello(self._why_no_hello(orchestrator, worker)) from violation
        finally:
            orchestrator.hopeless = lambda: _end_of(worker)

    @staticmethod
    def _why_no_hello(orchestrator: Orchestrator, worker: WorkerProcess) -> str:
        topics = sorted({one.topic for one in orchestrator.subscriptions if one.on})
        if worker.exit_code is not None:
            lines = worker.last_lines(1)
            last = f"; its last line: {lines[0][:200]}" if lines else ""
            return f"the worker never said hello: it ended with exit code {worker.exit_code}{last}"
        if any(topic.rstrip(" ") == "steps" for topic in topics):
            return "the worker never said hello: it is in plain mode (it subscribes to the topic 'steps')"
        if topics:
            return f"the worker never said hello, although it subscribes to {topics}"
        if orchestrator.received:
            return f"the worker never said hello; {orchestrator.latest()}"
        return "the worker never said hello: it did not connect to TASKER_WORKER_STEPS_ENDPOINT"

    def session(
        self, *options: str, capacity: int = 4, **settings: Any
    ) -> Tuple[Orchestrator, WorkerProcess]:
        """An orchestrator and a worker that is ready for work."""
        orchestrator = self.orchestrator(**settings)
        worker = self.start(orchestrator, *options, capacity=capacity)
        self.hello(orchestrator)
        orchestrator.ready("first")
        return orchestrator, worker

    # ------------------------------------------------------------------ steps

    def step(
        self,
        step_id: int,
        attempt: int = 1,
        timeout_ms: int = 30_000,
        claim_first: Optional[bool] = None,
        handler_class: str = HANDLER,
        context: Optional[Dict[str, Any]] = None,
        previous: Optional[Dict[str, Any]] = None,
        **config: Any,
    ) -> Dict[str, Any]:
        """A step request; `config` is what the conformance handler is to do."""
        metadata: Dict[str, Any] = {
            "attempt": attempt,
            "retry_limit": 3,
            "timeout_ms": timeout_ms,
            "sequence": 1,
            "total_steps": 1,
            "created_at": "2026-01-02T03:04:05.000000Z",
            "idempotency_key": f"conformance-{step_id}",
        }
        if claim_first is not None:
            metadata["claim_first"] = claim_first
        return {
            "step_id": step_id,
            "task_id": 7,
            "namespace": NAMESPACE,
            "task_name": "conformance",
            "task_version": "1.0.0",
            "step_name": "step",
            "handler_class": handler_class,
            "handler_config": {"log": str(self._starts), **config},
            "task_context": context or {},
            "previous_results": previous or {},
            "metadata": metadata,
        }

    def gate(self, name: str = "gate") -> str:
        """A path for `until`; the handler runs until `open_gate` makes it."""
        return str(self.folder / name)

    def open_gate(self, name: str = "gate") -> None:
        (self.folder / name).touch()

    def log_of_handlers(self, event: str) -> List[Tuple[int, int]]:
        """(step_id, attempt) of every `start` or `end` that handlers have logged, in order."""
        try:
            lines = self._starts.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        words = [line.split() for line in lines]
        return [(int(word[1]), int(word[2])) for word in words if len(word) == 3 and word[0] == event]

    def starts(self) -> List[int]:
        """The step ids whose handlers have started, in order."""
        return [step_id for step_id, _attempt in self.log_of_handlers("start")]

    def wait_for_start(self, orchestrator: Orchestrator, step_id: int) -> None:
        orchestrator.wait(f"start of the handler of step {step_id}", lambda: step_id in self.starts())

    # ------------------------------------------------------------------ ends

    def end_of(self, orchestrator: Orchestrator, worker: WorkerProcess, limit_s: float = EXIT_S) -> int:
        """Waits until the worker has ended; returns its exit code."""
        hopeless, orchestrator.hopeless = orchestrator.hopeless, lambda: None
        orchestrator.wait("end of the worker's process", lambda: worker.exit_code is not None, limit_s)
        orchestrator.pass_time(0.05)
        orchestrator.hopeless = hopeless
        assert worker.exit_code is not None
        return worker.exit_code

    def kill(self, orchestrator: Orchestrator, worker: WorkerProcess) -> None:
        """kill -9, and what it sent before is read."""
        worker.signal(signal.SIGKILL)
        self.end_of(orchestrator, worker)


def _end_of(worker: WorkerProcess) -> Optional[str]:
    code = worker.exit_code
    return None if code is None else f"the worker ended with exit code {code}"


def _free_tcp() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def require(condition: Any, text: str) -> None:
    """A rule's judgement: a Violation with this text unless the condition holds."""
    if not condition:
        raise Violation(text)


def ref(batch_id: str, step_id: int, attempt: int = 1) -> Dict[str, Any]:
    return {"batch_id": batch_id, "step_id": step_id, "attempt": attempt}


def refs(*listed: Ref) -> List[Ref]:
    return sorted(listed)


def reasons(rejected: Received) -> Dict[int, str]:
    """step_id → reason of a batch_rejected."""
    return {step["step_id"]: step["reason"] for step in rejected.body["steps"]}
