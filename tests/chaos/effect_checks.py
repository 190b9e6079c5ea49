"""I3 and I13: what the handlers' side-effect log says against what the database says."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Iterable, Mapping, Sequence

from tests.chaos.checker import StepFacts, Violation, some
from tests.chaos.effects import Effect

# A claim_first step may start this long after its attempt has ended elsewhere: start_window_ms and the time a
# thread needs to get going on a full machine.
START_SLACK_S = 1.5
# Lines of different processes on one clock, each rounded in its own way.
CLOCK_SLACK_S = 0.002


def started_once(effects: Iterable[Effect]) -> list[Violation]:
    starts: dict[tuple[int, int], list[Effect]] = defaultdict(list)
    for effect in effects:
        if effect.event == "start":
            starts[effect.step_id, effect.attempt].append(effect)
    twice = ["; ".join(map(str, found)) for found in starts.values() if len(found) > 1]
    return some("I13", "an attempt was started more than once", twice)


def started_what_was_claimed(steps: Mapping[int, StepFacts], effects: Iterable[Effect]) -> list[Violation]:
    found = []
    for effect in effects:
        step = steps.get(effect.step_id)
        if step is None or not 1 <= effect.attempt <= step.row["attempts"]:
            found.append(str(effect))
    return some("I13", "something was started that was never claimed", found)


def unstarted_is_true(steps: Mapping[int, StepFacts], effects: Iterable[Effect]) -> list[Violation]:
    """A delivery that counted as proven unstarted has no start in the log."""
    starts = {(effect.step_id, effect.attempt): effect for effect in effects if effect.event == "start"}
    found = []
    for step in steps.values():
        for attempt, transitions in step.after_claim().items():
            back = [
                row
                for row in transitions
                if row["from_state"] == "in_progress" and row["to_state"] == "pending"
            ]
            if back and (step.id, attempt) in starts:
                found.append(f"{starts[step.id, attempt]}; {dict(back[0])}")
    return some("I13", "an attempt was handed back as never started, and was started", found)


def absence_is_true(steps: Mapping[int, StepFacts], effects: Iterable[Effect]) -> list[Violation]:
    """A session never forgets a step: what it ran to the end was not absent, whatever an old message said."""
    ends = {(e.step_id, e.attempt, e.session): e for e in effects if e.event == "end" and e.session}
    found = []
    for step in steps.values():
        for delivery in step.deliveries:
            end = ends.get((step.id, delivery["attempt"], delivery["session"]))
            if end is not None and (delivery["metadata"] or {}).get("reason") == "absent":
                found.append(f"{end}; {dict(delivery)}")
    return some("I13", "a step was given up as unknown to the very session that ran it", found)


def no_second_start_by_itself(steps: Mapping[int, StepFacts], effects: Sequence[Effect]) -> list[Violation]:
    """on_orphan: dead_letter: after a start, only an operator or its own failure leads to one more."""
    starts: dict[int, set[int]] = defaultdict(set)
    for effect in effects:
        if effect.event == "start":
            starts[effect.step_id].add(effect.attempt)
    violations = []
    for step in steps.values():
        if step.row["on_orphan"] != "dead_letter":
            continue
        segments = step.after_claim()
        attempts = sorted(starts[step.id])
        for earlier, later in zip(attempts, attempts[1:]):
            between = [row for attempt in range(earlier, later) for row in segments.get(attempt, [])]
            by_operator = any(
                row["from_state"] == "error" and row["to_state"] == "pending" for row in between
            )
            own_failure = any(
                row["attempt"] == earlier
                and row["status"] in ("failed", "error")
                and row.get("stopped", True)
                for row in step.reports
            )
            if not by_operator and not own_failure:
                name = f"step {step.id} ({step.row['name']})"
                text = f"{name} was started again by itself: attempts {earlier}, {later}"
                violations.append(Violation("I13", text, step.evidence(effects)))
    return violations


def granted_before_start(steps: Mapping[int, StepFacts], effects: Iterable[Effect]) -> list[Violation]:
    """claim_first: a start has its grant, and its attempt had not ended elsewhere before."""
    found = []
    for effect in effects:
        step = steps.get(effect.step_id)
        if effect.event != "start" or step is None or not step.row["claim_first"]:
            continue
        granted = [row for row in step.deliveries if row["attempt"] == effect.attempt and row["granted_at"]]
        if not granted:
            found.append(f"without a grant: {effect}")
            continue
        ends = step.after_claim().get(effect.attempt, [])[1:]
        if ends and effect.at > ends[0]["created_at"].timestamp() + START_SLACK_S:
            found.append(f"after the attempt had ended ({dict(ends[0])}): {effect}")
    return some("I13", "a claim_first step was started without being granted", found)


def complete_has_run(steps: Mapping[int, StepFacts], effects: Iterable[Effect]) -> list[Violation]:
    """The attempt that completed a step was started and ended."""
    seen = Counter((effect.step_id, effect.attempt, effect.event) for effect in effects)
    found = []
    for step in steps.values():
        if step.row["state"] != "complete":
            continue
        attempt = step.row["attempts"]
        if not seen[step.id, attempt, "start"] or not seen[step.id, attempt, "end"]:
            found.append(f"step {step.id} ({step.row['name']}) attempt {attempt}")
    return some("I13", "a step is complete whose handler did not run to its end", found)


def parents_first(
    steps: Mapping[int, StepFacts], edges: Iterable[tuple[int, int]], effects: Sequence[Effect]
) -> list[Violation]:
    """I3 by the handlers' own clock: nothing starts before its parents' completing attempts have ended."""
    first_start: dict[int, Effect] = {}
    ends: dict[tuple[int, int], Effect] = {}
    for effect in effects:
        if effect.event == "end":
            ends[effect.step_id, effect.attempt] = effect
        elif effect.step_id not in first_start or effect.at < first_start[effect.step_id].at:
            first_start[effect.step_id] = effect
    found = []
    for parent_id, child_id in edges:
        parent, start = steps.get(parent_id), first_start.get(child_id)
        if parent is None or start is None or parent.row["state"] != "complete":
            continue
        end = ends.get((parent_id, parent.row["attempts"]))
        if end is not None and end.at > start.at + CLOCK_SLACK_S:
            found.append(f"{start}; its parent: {end}")
    return some("I3", "a step was started before its parent had ended", found)


def keys_are_stable(effects: Iterable[Effect]) -> list[Violation]:
    """P11: the idempotency key is the same for all attempts of a step, and no two steps share one."""
    by_step: dict[int, set[str]] = defaultdict(set)
    by_key: dict[str, set[int]] = defaultdict(set)
    for effect in effects:
        if effect.key:
            by_step[effect.step_id].add(effect.key)
            by_key[effect.key].add(effect.step_id)
    changed = [f"step {step}: {sorted(keys)}" for step, keys in by_step.items() if len(keys) > 1]
    shared = [f"key {key}: steps {sorted(found)}" for key, found in by_key.items() if len(found) > 1]
    return some("I13", "an idempotency key is not one step's", changed + shared)
