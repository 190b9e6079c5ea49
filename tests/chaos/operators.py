"""Operators who act at random through the command line: cancel, retry, resolve, replay, discard, drain."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections import Counter

from tests.chaos.database import Away, Database
from tests.chaos.load import CALL_LIMIT_S
from tests.chaos.world import World

# How often each action is chosen; an action whose command the program lacks is left out.
WEIGHTS = {
    "task cancel": 3.0,
    "task retry": 2.0,
    "step retry": 4.0,
    "step resolve": 2.0,
    "step cancel": 1.0,
    "dlq replay": 4.0,
    "dlq discard": 2.0,
    "worker drain": 0.5,
}
OPEN_TASK = (
    "SELECT task_id AS id FROM tasker_tasks WHERE state IN ('pending', 'in_progress')"
    " ORDER BY random() LIMIT 1"
)
FAILED_TASK = "SELECT task_id AS id FROM tasker_tasks WHERE state = 'error' ORDER BY random() LIMIT 1"
FAILED_STEP = (
    "SELECT workflow_step_id AS id FROM tasker_workflow_steps WHERE state = 'error' ORDER BY random() LIMIT 1"
)
OPEN_STEP = (
    "SELECT workflow_step_id AS id FROM tasker_workflow_steps"
    " WHERE state IN ('pending', 'in_progress', 'waiting_for_retry') ORDER BY random() LIMIT 1"
)
DEAD_LETTER = (
    "SELECT dead_letter_id AS id FROM tasker_dead_letters WHERE resolved_at IS NULL ORDER BY random() LIMIT 1"
)
SESSION = "SELECT worker_id AS id FROM tasker_workers WHERE state = 'ready' ORDER BY random() LIMIT 1"
TARGETS = {
    "task cancel": OPEN_TASK,
    "task retry": FAILED_TASK,
    "step retry": FAILED_STEP,
    "step resolve": FAILED_STEP,
    "step cancel": OPEN_STEP,
    "dlq replay": DEAD_LETTER,
    "dlq discard": DEAD_LETTER,
    "worker drain": SESSION,
}
# Whatever the handlers of the templates look for in a parent's results.
RESULTS = '{"value": 0, "order_total_cents": 100, "payment_id": "pay-1", "resolved_by": "chaos"}'
EXTRA = {
    "step resolve": ["--results", RESULTS],
    # A killed worker's session may still stand beside that of its successor.
    "worker drain": ["--deadline", "5", "--all"],
}
# As `tasker --help` says: done; refused, since the state had changed meanwhile; database away; no such
# object.
ENDS = {0, 1, 3, 4}


class Operators(threading.Thread):
    """One person after the other, about every `pause_s` seconds until end() is called."""

    def __init__(self, world: World, seed: str, pause_s: float) -> None:
        super().__init__(name="operators")
        self.world = world
        self.random = random.Random(f"{seed}/operators")
        self.pause_s = pause_s
        self.problems: list[str] = []
        self.counts: Counter[str] = Counter()
        self.ending = threading.Event()
        self.actions = [action for action in WEIGHTS if self._known(action)]

    def _known(self, action: str) -> bool:
        group, verb = action.split()
        said = self.world.tasker(group, "--help", check=False).stdout
        return re.search(rf"^\s+{verb}\b", said, re.MULTILINE) is not None

    def run(self) -> None:
        database = Database(self.world.url)
        try:
            while self.actions and not self.ending.wait(self.random.uniform(0, 2 * self.pause_s)):
                self._act(database)
        except Exception as error:  # shown as a violation
            self.problems.append(f"the operators ended with {type(error).__name__}: {error}")
        finally:
            database.close()

    def _act(self, database: Database) -> None:
        action = self.random.choices(self.actions, [WEIGHTS[name] for name in self.actions])[0]
        try:
            target = database.value(TARGETS[action])
        except Away:
            return
        if target is None:
            return
        command = [*action.split(), str(target), *EXTRA.get(action, [])]
        if action == "worker drain":
            self.world.drained[target] = time.time()
        else:
            command += ["--reason", "chaos"]
        done = self.world.tasker(*command, "--json", check=False)
        self.counts[f"{action} {'done' if done.returncode == 0 else 'refused'}"] += 1
        said = done.stdout + done.stderr
        if done.returncode not in ENDS or "internal" in said.lower():
            self.problems.append(f"tasker {' '.join(command)} exited with {done.returncode}: {said.strip()}")
        if done.returncode == 0 and done.stdout.strip():
            try:
                json.loads(done.stdout)
            except ValueError:
                self.problems.append(f"tasker {' '.join(command)} --json answered no JSON: {done.stdout}")

    def end(self) -> None:
        self.ending.set()
        if self.is_alive():
            self.join(CALL_LIMIT_S)
