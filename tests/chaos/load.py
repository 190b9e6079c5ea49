"""Tasks of every template at a steady rate, with idempotency keys, and a record of what was accepted."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from tests.chaos.database import Away, Database
from tests.chaos.world import World
from tests.support.procs import ROOT

ORDERS: list[dict[str, Any]] = json.loads((ROOT / "examples/orders.json").read_text())
# How often each template is chosen.
WEIGHTS: dict[str, float] = {
    "bench/single": 14,
    "bench/chain4": 10,
    "patterns/linear_chain": 8,
    "patterns/diamond": 10,
    "patterns/tree": 8,
    "patterns/mixed_dag": 8,
    "patterns/fan_out_fan_in": 0.7,
    "patterns/flaky_retry": 6,
    "patterns/permanent_failure": 3,
    "patterns/slow": 3,
    "patterns/timeout": 2,
    "patterns/crash": 0.4,
    "fulfillment/order_fulfillment": 12,
    "chaos/naps": 14,
    "chaos/payment": 8,
    "chaos/claimed": 8,
    "chaos/hanging": 1,
    "chaos/lock_held": 0.4,
    "chaos/unstorable": 0.4,
    "chaos/too_large": 0.4,
}
# Handlers that are faults themselves: submitted only when that fault is wanted.
FAULTY = {
    "patterns/crash": "handler_crash",
    "chaos/hanging": "handler_hang",
    "chaos/lock_held": "handler_lock",
    "chaos/unstorable": "handler_poison",
    "chaos/claimed": "claim_first",
    "chaos/too_large": "claim_too_large",
}
CALL_LIMIT_S = 90.0  # one call of the command line or of SQL is over by then
AGAIN_CHANCE = 0.05  # an earlier key is submitted again
COMMAND_LINE_CHANCE = 0.02
BATCH_S = 0.1  # tasks that are due within this time are submitted in one call


@dataclass(frozen=True)
class Accepted:
    """A task whose id was returned to us after the commit."""

    key: str
    template: str
    task_id: int
    context: dict[str, Any]


def context_for(template: str, rng: random.Random) -> dict[str, Any]:
    if template == "fulfillment/order_fulfillment":
        return rng.choice(ORDERS)
    value = rng.randint(-50, 50)
    context: dict[str, Any] = {"value": value, "sleep_ms": rng.randint(0, 500)}
    if template == "chaos/lock_held":
        context["hold_ms"] = rng.choice([500, 4000, 10_000])
    return context


def request_for(template: str, key: str, context: dict[str, Any]) -> dict[str, Any]:
    """What `tasker task submit --idempotency-key` would send; hashes as in templates/identity.cpp."""
    namespace, name = template.split("/")
    text = json.dumps(context, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {
        "namespace": namespace,
        "name": name,
        "version": "1.0.0",
        "scope": template,
        "identity_hash": hashlib.sha256(f"key\n{key}".encode()).hexdigest(),
        "context_hash": hashlib.sha256(text.encode()).hexdigest(),
        "context": context,
        "initiator": "chaos",
    }


class Load(threading.Thread):
    """Submits `tasks` tasks over `seconds` seconds. What meets an absent database is repeated."""

    def __init__(self, world: World, seed: str, tasks: int, seconds: float, wanted: set[str]) -> None:
        super().__init__(name="load")
        self.world = world
        self.random = random.Random(f"{seed}/load")
        self.seed = seed
        self.tasks = tasks
        self.seconds = seconds
        self.templates = [name for name in WEIGHTS if name not in FAULTY or FAULTY[name] in wanted]
        self.accepted: list[Accepted] = []
        self.problems: list[str] = []
        self.refused: Counter[str] = Counter()
        self.ending = threading.Event()
        self.waiting: deque[tuple[str, str, dict[str, Any]]] = deque()

    def run(self) -> None:
        database = Database(self.world.url)
        try:
            self._submit_all(database)
        except Exception as error:  # shown as a violation: nothing may stop the submissions
            self.problems.append(f"the submissions ended with {type(error).__name__}: {error}")
        finally:
            database.close()

    def _submit_all(self, database: Database) -> None:
        start, made = time.monotonic(), 0
        while not self.ending.is_set() and (made < self.tasks or self.waiting):
            due = min(self.tasks, int((time.monotonic() - start) / self.seconds * self.tasks) + 1)
            while made < due:
                self.waiting.append(self._next_task(made))
                made += 1
            try:
                self._submit_waiting(database)
            except Away:
                self.refused["database away"] += 1
            self.ending.wait(BATCH_S)

    def _next_task(self, number: int) -> tuple[str, str, dict[str, Any]]:
        if self.accepted and self.random.random() < AGAIN_CHANCE:
            earlier = self.random.choice(self.accepted)
            return earlier.key, earlier.template, earlier.context
        # Each template comes at least once.
        if number < len(self.templates):
            template = self.templates[number]
        else:
            weights = [WEIGHTS[name] for name in self.templates]
            template = self.random.choices(self.templates, weights)[0]
        return f"{self.seed}-{number}", template, context_for(template, self.random)

    def _submit_waiting(self, database: Database) -> None:
        batch = [self.waiting[index] for index in range(min(50, len(self.waiting)))]
        if not batch:
            return
        if self.random.random() < COMMAND_LINE_CHANCE:
            self._by_command_line(*batch[0])
            self.waiting.popleft()
            return
        requests = [request_for(template, key, context) for key, template, context in batch]
        rows = database.rows(
            "SELECT ord, task_id, problem FROM tasker_create_tasks(%s::jsonb) ORDER BY ord",
            json.dumps(requests),
        )
        # Here the commit is certain; an answer that got lost is asked for again with the same key.
        for (key, template, context), row in zip(batch, rows, strict=True):
            if row["problem"] is not None:
                self.problems.append(f"{template} with key {key} was refused: {row['problem']}")
            else:
                self.accepted.append(Accepted(key, template, row["task_id"], context))
            self.waiting.popleft()

    def _by_command_line(self, key: str, template: str, context: dict[str, Any]) -> None:
        arguments = ["--context", json.dumps(context), "--idempotency-key", key, "--json"]
        done = self.world.tasker("task", "submit", template, *arguments, check=False)
        if done.returncode == 0:
            self.accepted.append(Accepted(key, template, json.loads(done.stdout)["task_id"], context))
        else:
            # Not accepted, or accepted without our knowing it: the same key finds out.
            self.refused[f"tasker task submit exited with {done.returncode}"] += 1
            self.waiting.append((key, template, context))

    def end(self) -> None:
        self.ending.set()
        if self.is_alive():
            self.join(CALL_LIMIT_S)
