"""What the fault tests share: short timers, a worker that can misbehave, what the database says then."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Optional

from fake_worker import FakeWorker, reference
from parts import System, procs, wait_until

FAULT_HANDLERS = [Path(__file__).resolve().parent / "fault_handlers.py"]
DIE = "Faults::DieHandler"
HANG = "Faults::HangHandler"

DISCONNECT_GRACE_S = 0.5
# Seconds become tenths, with room for a machine that is busy with other things.
SHORT = {
    "heartbeat_ms": 100,
    "suspect_after_ms": 800,
    "lease_ms": 2000,
    "disconnect_grace_ms": int(DISCONNECT_GRACE_S * 1000),
    "accept_timeout_ms": 300,
    "start_window_ms": 500,
    "timeout_grace_ms": 300,
    "reconcile_grace_ms": 300,
    "resend_ms": 100,
}


def short(**others: Any) -> dict[str, Any]:
    """Settings with short timers; others replaces single timers."""
    return {"timers": {**SHORT, **others}}


class OddWorker(FakeWorker):
    """A fake worker that can also fall silent, die, run steps and lie about who it is and what it has."""

    def __init__(
        self,
        system: System,
        handlers: list[str],
        accepts: bool = True,
        capacity: int = 10,
        session: Optional[str] = None,
        worker_id: Optional[str] = None,
        held: Optional[dict[tuple[str, int], dict[str, Any]]] = None,
    ) -> None:
        super().__init__(system, handlers, accepts, capacity)
        self.session = session or self.session
        self.worker_id = worker_id or self.worker_id
        self.held.update(held or {})
        self.running: dict[tuple[str, int], tuple[dict[str, Any], float]] = {}
        self.unacked: list[dict[str, Any]] = []
        self.sent: dict[tuple[str, int], dict[str, Any]] = {}
        self.silent = False
        self.free: Optional[int] = None
        self.muted = False
        self.dead = False

    def send(self, frame: bytes) -> None:
        if not self.muted:
            super().send(frame)

    def die(self) -> None:
        """What kill -9 looks like from outside: the connections end, and nothing is said."""
        self.dead = True
        self.ending = True
        self.wake_up()
        self.thread.join()

    def __exit__(self, *details: Any) -> None:
        if not self.dead:
            super().__exit__(*details)
            return
        self.wake.close()
        self.waker.close()
        if self.failure:
            raise self.failure

    def beat(self) -> None:
        if self.silent:
            return
        if not self.heard_of("welcome"):
            super().beat()
            return
        free = self.capacity - len(self.running) if self.free is None else self.free
        seen_n = max((message["n"] for message in self.heard_of("heartbeat")), default=0)
        self.say("worker_heartbeat", seen_n=seen_n, oldest_unacked_ms=0, free=free, **self.inventory())

    def inventory(self) -> dict[str, Any]:
        running = [
            {**ref, "age_ms": int((time.monotonic() - since) * 1000)} for ref, since in self.running.values()
        ]
        unacked = [ref for key, ref in list(self.sent.items()) if key not in self.acked]
        return {"held": list(self.held.values()), "running": running, "unacked": [*self.unacked, *unacked]}

    def partial(self, batch: dict[str, Any], step: dict[str, Any], sequence: int, **fields: Any) -> bytes:
        self.sent[batch["batch_id"], sequence] = reference(batch, step)
        self.running.pop((batch["batch_id"], step["step_id"]), None)
        return super().partial(batch, step, sequence, **fields)

    def run_step(self, batch: dict[str, Any], step: dict[str, Any]) -> None:
        """From now on heartbeats list the step as running."""
        self.held.pop((batch["batch_id"], step["step_id"]), None)
        self.running[batch["batch_id"], step["step_id"]] = (reference(batch, step), time.monotonic())
        self.beat()

    def forget(self, batch: dict[str, Any], step: dict[str, Any]) -> None:
        self.held.pop((batch["batch_id"], step["step_id"]), None)
        self.running.pop((batch["batch_id"], step["step_id"]), None)

    def finish(self, batch: dict[str, Any], **fields: Any) -> None:
        """Reports every step of the batch as completed, and the batch."""
        for sequence, step in enumerate(batch["steps"], 1):
            self.forget(batch, step)
            self.partial(batch, step, sequence, **fields)
        self.completion(batch, len(batch["steps"]) + 1, ["completed"] * len(batch["steps"]))

    def ask_to_start(self, batch: dict[str, Any], step: dict[str, Any], n: int) -> None:
        self.say("start_request", n=n, **reference(batch, step))

    def reject(self, batch: dict[str, Any], step: dict[str, Any], reason: str, sequence: int = 1) -> None:
        self.forget(batch, step)
        rejected = {"step_id": step["step_id"], "attempt": step["metadata"]["attempt"], "reason": reason}
        self.say("batch_rejected", batch_id=batch["batch_id"], sequence=sequence, steps=[rejected])

    def heard_of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in list(self.heard) if message["message_type"] == kind]

    def wait_to_hear(self, kind: str, limit_s: float = 20, **fields: Any) -> dict[str, Any]:
        """The first message of this type with these fields."""

        def found() -> Optional[dict[str, Any]]:
            for message in self.heard_of(kind):
                if all(message.get(name) == value for name, value in fields.items()):
                    return message
            return None

        message: dict[str, Any] = wait_until(found, f"{kind} {fields}", limit_s, self.system.describe)
        return message

    def wait_for_state(self, state: str, limit_s: float = 20) -> None:
        what = f"session {self.session} is {state}"
        wait_until(lambda: session_state(self.system, self.session) == state, what, limit_s, self.system.logs)


def session_state(system: System, session: str) -> str:
    for known in system.health()["workers"]:
        if known["session"] == session:
            return str(known["state"])
    return "unknown"


def one_step(name: str, handler_class: str, **options: Any) -> dict[str, Any]:
    step = {"name": "s1", "handler_class": handler_class, **options}
    return {"name": name, "namespace_name": "tests", "version": "1.0.0", "step_templates": [step]}


def wait_for_step(system: System, task_id: int, state: str, attempts: int, limit_s: float = 20) -> None:
    def there() -> bool:
        step = system.steps(task_id)["s1"]
        return step["state"] == state and step["attempts"] == attempts

    wait_until(there, f"s1 is {state} after {attempts} attempts", limit_s, system.describe)


def dead_letters(system: System) -> list[dict[str, Any]]:
    return system.rows("SELECT * FROM tasker_dead_letters ORDER BY dead_letter_id")


def reasons(system: System) -> list[str]:
    """Why deliveries ended without a report, in order."""
    rows = system.rows(
        "SELECT metadata ->> 'reason' AS reason FROM tasker_step_execution_batch_steps"
        " WHERE final_status IN ('orphaned', 'handed_back') ORDER BY updated_at, id"
    )
    return [row["reason"] for row in rows]


def dispositions(system: System) -> list[str]:
    rows = system.rows(
        "SELECT disposition FROM tasker_step_execution_batch_received_results"
        " WHERE message_type = 'partial_result' ORDER BY id"
    )
    return [row["disposition"] for row in rows]


def assert_all_credit_is_back(system: System) -> None:
    """Nothing is in flight for the orchestrator, and no batch is open, for it or for the database (I10)."""

    def back() -> bool:
        health = system.health()
        return health["io"]["credit_in_flight"] == 0 and all(w["in_flight"] == 0 for w in health["workers"])

    wait_until(back, "all credit is back", 10, lambda: f"{system.health()}\n{system.describe()}")
    open_batches = (
        "SELECT count(*) FROM tasker_step_execution_batches WHERE state IN ('published', 'executing')"
    )
    assert system.value(open_batches) == 0, system.describe()


def seconds_between(system: System, query: str, *parameters: Any) -> float:
    """An interval that the database measured, in seconds."""
    return float(system.value(f"SELECT extract(epoch FROM ({query}))::float8", *parameters))


# What was freed stays in the sanitizer's quarantine for a while.
SANITIZER_KIB = 512 * 1024 if procs.IS_SANITIZED else 0


def resident_kib(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
