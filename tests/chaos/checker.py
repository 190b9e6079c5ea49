"""What must hold after a run, as functions of rows and log lines alone, so that each can be tested by a lie.

`tasker db check` has looked at the database by itself; here stands what needs more than that: what we were
promised (I1), the end (I2) and what processes hold (I10, I12). What handlers really did is judged by
effect_checks.py (I3, I13), recovery times by recovery.py (I11).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping, Sequence

from tests.chaos.effects import Effect

Row = Mapping[str, Any]
TERMINAL = ("complete", "error", "cancelled", "resolved_manually")
EXAMPLES = 5


@dataclass
class Violation:
    invariant: str
    text: str
    evidence: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join([f"{self.invariant}: {self.text}", *(f"    {line}" for line in self.evidence)])


@dataclass
class StepFacts:
    """One step: its row, its history in order, its deliveries, and its reports that changed state."""

    row: Row
    history: list[Row] = field(default_factory=list)
    deliveries: list[Row] = field(default_factory=list)
    reports: list[Row] = field(default_factory=list)  # applied final ones, with attempt

    @property
    def id(self) -> int:
        return int(self.row["workflow_step_id"])

    def after_claim(self) -> dict[int, list[Row]]:
        """attempt → its transitions, from the one that claimed it to the last before the next claim."""
        found: dict[int, list[Row]] = {}
        for transition in self.history:
            if transition["to_state"] == "in_progress":
                found[len(found) + 1] = [transition]
            elif found:
                found[len(found)].append(transition)
        return found

    def evidence(self, effects: Iterable[Effect]) -> list[str]:
        lines = [f"row {dict(self.row)}"]
        lines += [f"history {dict(row)}" for row in self.history]
        lines += [f"delivery {dict(row)}" for row in self.deliveries]
        return lines + [str(effect) for effect in effects if effect.step_id == self.id]


def some(invariant: str, text: str, found: Sequence[str]) -> list[Violation]:
    """One violation for all of a kind, with the first examples as evidence."""
    if not found:
        return []
    more = [f"… and {len(found) - EXAMPLES} more"] if len(found) > EXAMPLES else []
    return [Violation(invariant, f"{len(found)} × {text}", [*found[:EXAMPLES], *more])]


# ---------------------------------------------------------------------- I1, I2


def accepted_exist(accepted: Iterable[Any], existing: Iterable[int]) -> list[Violation]:
    """Every task whose id was returned is there."""
    there = set(existing)
    missing = [str(task) for task in accepted if task.task_id not in there]
    return some("I1", "a task was accepted and is not there", missing)


def keys_name_one_task(accepted: Iterable[Any]) -> list[Violation]:
    """A key that is submitted again gets the id it had before, and no id belongs to two keys."""
    ids: dict[tuple[str, str], set[int]] = defaultdict(set)
    keys: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for task in accepted:
        ids[task.template, task.key].add(task.task_id)
        keys[task.task_id].add((task.template, task.key))
    twice = [f"key {key}: tasks {sorted(found)}" for key, found in ids.items() if len(found) > 1]
    shared = [f"task {task}: keys {sorted(found)}" for task, found in keys.items() if len(found) > 1]
    return some("I1", "an idempotency key does not name one task", twice + shared)


def created_only_what_was_submitted(accepted: Iterable[Any], existing: Iterable[int]) -> list[Violation]:
    """No task exists that no submitter knows: a lost answer was asked for again with the same key."""
    known = {task.task_id for task in accepted}
    extra = [f"task {task_id}" for task_id in existing if task_id not in known]
    return some("I1", "a task exists that was never returned to its submitter", extra)


def waits_for_its_time(steps: Iterable[Row], now: float) -> bool:
    """Whether all that can move in a task is a retry whose time has not come. `steps`: its open ones."""
    movable = [row for row in steps if row["state"] != "pending" or row["remaining_parents"] == 0]
    return bool(movable) and all(
        row["state"] == "waiting_for_retry"
        and row["next_attempt_at"] is not None
        and row["next_attempt_at"].timestamp() > now
        for row in movable
    )


def all_ended(
    tasks: Iterable[Row], open_steps: Mapping[int, Sequence[Row]], now: float, explain: Callable[[int], str]
) -> list[Violation]:
    """Every task has ended, or waits for a retry that is due later, and says so itself."""
    open_tasks = [
        row
        for row in tasks
        if row["state"] not in TERMINAL
        and not (
            waits_for_its_time(open_steps.get(row["task_id"], []), now)
            and "backoff" in explain(row["task_id"])
        )
    ]
    found = [
        f"task {row['task_id']} is {row['state']}: {explain(row['task_id'])}" for row in open_tasks[:EXAMPLES]
    ]
    found += [f"task {row['task_id']} is {row['state']}" for row in open_tasks[EXAMPLES:]]
    return some("I2", "a task has not ended", found)


# ---------------------------------------------------------------------- I10, I12


def nothing_in_flight(health: Mapping[str, Any] | None, open_batches: Sequence[Row]) -> list[Violation]:
    if health is None:
        return [Violation("I10", "no orchestrator answers a health check", [])]
    found = some("I10", "a batch is open", [str(dict(row)) for row in open_batches])
    for place, name in (("io", "credit_in_flight"), ("listener", "open_batches")):
        if health[place][name] != 0:
            found.append(Violation("I10", f"{name} is {health[place][name]}, not 0", [str(health)]))
    busy = [
        str(worker)
        for worker in health["workers"]
        if worker["in_flight"] != 0 and worker["state"] not in ("lost", "left")
    ]
    return found + some("I10", "a session still has credit in flight", busy)


@dataclass(frozen=True)
class Footprint:
    """What an orchestrator process holds; `connections` are those of all orchestrators to PostgreSQL."""

    memory_mb: float
    descriptors: int
    threads: int
    connections: int


# Allocators keep what a burst needed: memory may grow by this, the rest must come back.
MEMORY_FACTOR = 2.0
MEMORY_EXTRA_MB = 64.0
DESCRIPTORS_EXTRA = 10
CONNECTIONS_EXTRA = 2  # a standby's, which may have been away in the beginning


def back_to_baseline(before: Footprint, after: Footprint) -> list[Violation]:
    found = []
    if after.memory_mb > before.memory_mb * MEMORY_FACTOR + MEMORY_EXTRA_MB:
        found.append(f"memory {after.memory_mb:.0f} MB, was {before.memory_mb:.0f}")
    if after.descriptors > before.descriptors + DESCRIPTORS_EXTRA:
        found.append(f"{after.descriptors} file descriptors, were {before.descriptors}")
    if after.threads > before.threads:
        found.append(f"{after.threads} threads, were {before.threads}")
    if after.connections > before.connections + CONNECTIONS_EXTRA:
        found.append(f"{after.connections} database connections, were {before.connections}")
    return some("I12", "the orchestrator holds more than in the beginning", found)


# ---------------------------------------------------------------------- results

# template → (step, value it must have, made from the context's value): proves that data took the right edges.
EXPECTED: dict[str, tuple[str, Callable[[int], int]]] = {
    "patterns/linear_chain": ("minus_four", lambda v: (v + 1) * 10 - 4),
    "patterns/diamond": ("join", lambda v: (v + 4) + v * 3),
    "patterns/fan_out_fan_in": ("total", lambda v: 100 * v + 5050),
    "patterns/tree": ("gather", lambda v: (v + 11) + (v + 10) * 2 + (v * 5 + 3) + v * 20),
    "patterns/mixed_dag": ("final", lambda v: (2 * v + (v + v + 5 + 1)) * 3 + (v + 5) + v),
}


def right_values(accepted: Iterable[Any], steps: Mapping[int, StepFacts]) -> list[Violation]:
    """Where every step was run (none was resolved by a person), the last value is what arithmetic says."""
    by_task: dict[int, list[StepFacts]] = defaultdict(list)
    for step in steps.values():
        by_task[step.row["task_id"]].append(step)
    found = []
    for task in accepted:
        of_task = by_task[task.task_id]
        if task.template not in EXPECTED or any(step.row["state"] != "complete" for step in of_task):
            continue
        name, formula = EXPECTED[task.template]
        value = next((step.row["results"] or {}).get("value") for step in of_task if step.row["name"] == name)
        if value != formula(task.context["value"]):
            expected = formula(task.context["value"])
            found.append(f"task {task.task_id} ({task.template}): {name} is {value}, not {expected}")
    return some("data", "a result is wrong", found)


TOO_LARGE = "chaos/too_large"
# capacity × prefetch of one session, whatever it announces (SPEC).
CREDIT_MOST = 20_000


def too_large_ends_alone(
    accepted: Iterable[Any], steps: Mapping[int, StepFacts], effects: Iterable[Effect]
) -> list[Violation]:
    """A step that does not fit into a request ends as such, seen by no worker, and so does no other step."""
    tasks = {task.task_id for task in accepted if task.template == TOO_LARGE}
    started = {effect.step_id for effect in effects}
    found = []
    for step in steps.values():
        row = step.row
        if row["task_id"] in tasks and row["name"] == "gather":
            ended = row["state"] == "error" and row["error_code"] != "request_too_large"
            if step.id in started or row["state"] == "complete" or ended:
                found.append(f"sent, or ended otherwise: {dict(row)}")
        elif row["error_code"] == "request_too_large":
            found.append(f"fits into a request: {row['name']} of task {row['task_id']}")
    return some("I2", "a step is too large for a request, or is called so", found)


def sessions_within_limits(sessions: Iterable[Row]) -> list[Violation]:
    """No session has more credit than the limits allow, and none a name that may not be printed."""
    found = [
        str(dict(row))
        for row in sessions
        if row["credit_limit"] > CREDIT_MOST or not f"{row['worker_id']}{row['host']}".isprintable()
    ]
    return some("I10", "a session was accepted with what its hello may not hold", found)


# ---------------------------------------------------------------------- other people's words


def database_checks(answer: Mapping[str, Any]) -> list[Violation]:
    """The findings of `tasker db check --json`."""
    return [
        Violation(
            f"{check['invariant']} ({check['check']})",
            f"{check['violations_total']} × against: {check['promise']}",
            [str(one) for one in check["violations"][:EXAMPLES]],
        )
        for check in answer["checks"]
        if check["violations_total"]
    ]


def crash_words(name: str, log: str, words: Iterable[str]) -> list[Violation]:
    """A process said in its log that it broke down."""
    lines = log.splitlines()
    for index, line in enumerate(lines):
        if any(word in line for word in words):
            return [Violation("log", f"{name} broke down", lines[max(0, index - 3) : index + 25])]
    return []
