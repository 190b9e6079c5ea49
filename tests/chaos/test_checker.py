"""Each check is told the truth and finds nothing, and is told a lie and finds it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.chaos import checker, effect_checks, effects, facts, recovery
from tests.chaos.checker import Footprint, StepFacts
from tests.chaos.effects import Effect
from tests.chaos.load import Accepted
from tests.chaos.recovery import Disturbance, Kill, Sample

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def moment(seconds: float) -> float:
    return at(seconds).timestamp()


def step(step_id: int = 1, *moves: tuple[str, str, float], **row: Any) -> StepFacts:
    """A step with the transitions (from, to, second); the row's state and attempts follow from them."""
    history: list[checker.Row] = [
        {"from_state": a, "to_state": b, "event": "", "metadata": None, "created_at": at(s)}
        for a, b, s in moves
    ]
    facts = {
        "workflow_step_id": step_id,
        "task_id": 7,
        "name": f"step{step_id}",
        "state": moves[-1][1] if moves else "pending",
        "attempts": sum(to == "in_progress" for _, to, _ in moves),
        "unstarted_attempts": 0,
        "on_orphan": "retry",
        "claim_first": False,
        "results": None,
        **row,
    }
    return StepFacts(facts, history)


CLAIM = ("pending", "in_progress", 1.0)
DONE = ("in_progress", "complete", 2.0)


def effect(event: str, step_id: int = 1, attempt: int = 1, second: float = 1.5, **more: Any) -> Effect:
    return Effect(event, step_id, attempt, moment(second), worker="w", **more)


def ran(step_id: int = 1, attempt: int = 1, begin: float = 1.2, end: float = 1.8) -> list[Effect]:
    return [effect("start", step_id, attempt, begin), effect("end", step_id, attempt, end)]


def steps_of(*steps: StepFacts) -> dict[int, StepFacts]:
    return {one.id: one for one in steps}


def invariants(violations: list[checker.Violation]) -> list[str]:
    return [violation.invariant for violation in violations]


# ---------------------------------------------------------------------- I1, I2

TASKS = [Accepted("a", "bench/single", 1, {}), Accepted("b", "bench/single", 2, {})]


def test_an_accepted_task_that_is_gone_is_found():
    assert checker.accepted_exist(TASKS, [1, 2, 3]) == []
    found = checker.accepted_exist(TASKS, [2, 3])
    assert invariants(found) == ["I1"] and "task_id=1" in str(found[0])


def test_a_key_with_two_tasks_is_found():
    assert checker.keys_name_one_task([*TASKS, TASKS[0]]) == []
    assert invariants(checker.keys_name_one_task([*TASKS, replace(TASKS[0], task_id=9)])) == ["I1"]


def test_two_keys_with_one_task_are_found():
    assert invariants(checker.keys_name_one_task([*TASKS, replace(TASKS[0], key="c")])) == ["I1"]


def test_a_task_that_nobody_knows_of_is_found():
    assert checker.created_only_what_was_submitted(TASKS, [1, 2]) == []
    assert invariants(checker.created_only_what_was_submitted(TASKS, [1, 2, 3])) == ["I1"]


@pytest.mark.parametrize("state", ["pending", "in_progress"])
def test_a_task_that_has_not_ended_is_found_with_its_explanation(state: str):
    ended = [{"task_id": 1, "state": name} for name in checker.TERMINAL]
    assert checker.all_ended(ended, {}, moment(0), str) == []
    found = checker.all_ended(
        [*ended, {"task_id": 5, "state": state}], {}, moment(0), lambda task: f"why {task}"
    )
    assert invariants(found) == ["I2"] and "why 5" in str(found[0])


def waiting(state: str, due: float | None = None, parents: int = 0) -> dict[str, Any]:
    return {"state": state, "remaining_parents": parents, "next_attempt_at": None if due is None else at(due)}


LATER = waiting("waiting_for_retry", 60)


@pytest.mark.parametrize(
    "steps, excused",
    [
        ([LATER], True),
        ([LATER, waiting("pending", parents=1)], True),
        ([waiting("waiting_for_retry", -1)], False),
        ([waiting("waiting_for_retry")], False),
        ([LATER, waiting("in_progress")], False),
        ([LATER, waiting("pending")], False),
        ([waiting("pending", parents=1)], False),
    ],
)
def test_only_a_retry_that_is_due_later_excuses_an_open_task(steps: list[Any], excused: bool):
    tasks = [{"task_id": 5, "state": "in_progress"}]
    found = checker.all_ended(tasks, {5: steps}, moment(0), lambda _: "backoff until then")
    assert invariants(found) == ([] if excused else ["I2"])
    assert invariants(checker.all_ended(tasks, {5: steps}, moment(0), lambda _: "no idea")) == ["I2"]


# ---------------------------------------------------------------------- I10, I11, I12


def health(**changes: Any) -> dict[str, Any]:
    worker = {"worker_id": "w", "state": "ready", "in_flight": 0}
    return {
        "io": {"credit_in_flight": 0},
        "listener": {"open_batches": 0},
        "workers": [worker],
        **changes,
    }


@pytest.mark.parametrize(
    "told, batches",
    [
        (None, []),
        (health(io={"credit_in_flight": 2}), []),
        (health(listener={"open_batches": 1}), []),
        (health(workers=[{"worker_id": "w", "state": "ready", "in_flight": 1}]), []),
        (health(), [{"batch_id": 1}]),
    ],
)
def test_what_is_still_in_flight_is_found(told: Any, batches: list[Any]):
    assert checker.nothing_in_flight(health(), []) == []
    assert invariants(checker.nothing_in_flight(told, batches)) == ["I10"]


BASE = Footprint(memory_mb=20, descriptors=28, threads=7, connections=3)


@pytest.mark.parametrize(
    "field, value", [("memory_mb", 200), ("descriptors", 60), ("threads", 8), ("connections", 6)]
)
def test_what_is_held_beyond_the_baseline_is_found(field: str, value: int):
    assert checker.back_to_baseline(BASE, replace(BASE, memory_mb=70, descriptors=30)) == []
    assert invariants(checker.back_to_baseline(BASE, replace(BASE, **{field: value}))) == ["I12"]


def sample(seconds: float | None, alone: bool = True) -> Sample:
    return Sample(Kill("active", 100.0, True), seconds, alone)


def test_slow_recoveries_are_found_and_disturbed_ones_are_not_judged():
    assert recovery.too_slow([sample(1.0), sample(1.5), sample(5.9)], 2.0) == []
    assert recovery.too_slow([sample(60.0, alone=False), sample(None)], 2.0) == []
    assert len(recovery.too_slow([sample(2.5), sample(2.5), sample(1.0)], 2.0)) == 1
    assert len(recovery.too_slow([sample(1.0), sample(1.0), sample(6.1)], 2.0)) == 1
    assert recovery.too_slow([sample(2.5), sample(2.5)], 2.0) == [], "too few for a median"


def test_a_kill_is_alone_only_without_another_fault_until_the_recovery():
    kill = Kill("active", 100.0, True)
    own = Disturbance("kill_orchestrator", 100.0, 100.0)
    assert recovery.is_alone(kill, 1.0, [own, Disturbance("x", 90.0, 98.9), Disturbance("x", 101.1, 120.0)])
    assert not recovery.is_alone(kill, 1.0, [own, Disturbance("x", 90.0, 99.5)])
    assert not recovery.is_alone(kill, 1.0, [own, Disturbance("x", 100.9, 120.0)])


# ---------------------------------------------------------------------- what handlers did


def test_an_attempt_that_was_started_twice_is_found():
    twice = [*ran(), effect("start", second=3.0)]
    assert effect_checks.started_once([*ran(), *ran(attempt=2)]) == []
    assert invariants(effect_checks.started_once(twice)) == ["I13"]


@pytest.mark.parametrize(
    "stranger", [effect("start", step_id=9), effect("start", attempt=2), effect("end", attempt=0)]
)
def test_a_start_without_a_claim_is_found(stranger: Effect):
    steps = steps_of(step(1, CLAIM, DONE))
    assert effect_checks.started_what_was_claimed(steps, ran()) == []
    assert invariants(effect_checks.started_what_was_claimed(steps, [*ran(), stranger])) == ["I13"]


def test_a_hand_back_of_something_that_was_started_is_found():
    steps = steps_of(
        step(
            1,
            CLAIM,
            ("in_progress", "pending", 1.5),
            ("pending", "in_progress", 2.0),
            ("in_progress", "complete", 3.0),
        )
    )
    assert effect_checks.unstarted_is_true(steps, ran(attempt=2)) == []
    assert invariants(effect_checks.unstarted_is_true(steps, [effect("start", attempt=1)])) == ["I13"]


def test_a_step_given_up_as_absent_that_its_session_ran_to_the_end_is_found():
    one = step(1, CLAIM, ("in_progress", "error", 1.7))
    delivery = {"attempt": 1, "session": "s", "metadata": {"reason": "absent"}}
    one.deliveries.append(delivery)

    def found(*log: Effect) -> list[str]:
        return invariants(effect_checks.absence_is_true(steps_of(one), log))

    assert found(effect("start", session="s")) == [], "its worker died"
    assert found(effect("end", session="other")) == []
    assert found(effect("start", session="s"), effect("end", session="s")) == ["I13"]
    delivery["metadata"] = {"reason": "session_lost"}
    assert found(effect("start", session="s"), effect("end", session="s")) == [], "it was frozen, perhaps"


AGAIN = ("waiting_for_retry", "in_progress", 3.0)
RETRY = ("in_progress", "waiting_for_retry", 2.0)
LETTER = ("in_progress", "error", 2.0)
REPLAY = ("error", "pending", 2.5)


def payment(*moves: tuple[str, str, float]) -> dict[int, StepFacts]:
    return steps_of(step(1, *moves, on_orphan="dead_letter"))


def test_a_payment_that_was_started_again_by_itself_is_found():
    starts = [effect("start", attempt=1), effect("start", attempt=2, second=3.1)]
    found = effect_checks.no_second_start_by_itself(payment(CLAIM, RETRY, AGAIN), starts)
    assert invariants(found) == ["I13"] and "attempts 1, 2" in str(found[0])
    assert any("history" in line for line in found[0].evidence), "the evidence shows the history"


def test_a_payment_may_be_started_again_by_an_operator_or_after_its_own_failure():
    starts = [effect("start", attempt=1), effect("start", attempt=2, second=3.1)]
    replayed = payment(CLAIM, LETTER, REPLAY, ("pending", "in_progress", 3.0))
    assert effect_checks.no_second_start_by_itself(replayed, starts) == []
    failed = payment(CLAIM, RETRY, AGAIN)
    failed[1].reports.append({"attempt": 1, "status": "failed", "stopped": True})
    assert effect_checks.no_second_start_by_itself(failed, starts) == []


def test_a_payment_whose_handler_still_ran_may_not_be_started_again():
    starts = [effect("start", attempt=1), effect("start", attempt=2, second=3.1)]
    steps = payment(CLAIM, RETRY, AGAIN)
    steps[1].reports.append({"attempt": 1, "status": "failed", "stopped": False})
    assert invariants(effect_checks.no_second_start_by_itself(steps, starts)) == ["I13"]


def test_an_operators_replay_allows_one_more_start_only():
    starts = [effect("start", attempt=number) for number in (1, 2, 3)]
    moves = (
        CLAIM,
        LETTER,
        REPLAY,
        ("pending", "in_progress", 3.0),
        ("in_progress", "waiting_for_retry", 3.5),
    )
    steps = payment(*moves, ("waiting_for_retry", "in_progress", 4.0))
    found = effect_checks.no_second_start_by_itself(steps, starts)
    assert len(found) == 1 and "attempts 2, 3" in str(found[0])


def test_an_attempt_that_was_never_started_does_not_hide_a_second_start():
    starts = [effect("start", attempt=1), effect("start", attempt=3)]
    steps = payment(CLAIM, RETRY, AGAIN, ("in_progress", "pending", 3.5), ("pending", "in_progress", 4.0))
    assert len(effect_checks.no_second_start_by_itself(steps, starts)) == 1


def test_retried_steps_may_be_started_again():
    starts = [effect("start", attempt=1), effect("start", attempt=2, second=3.1)]
    assert effect_checks.no_second_start_by_itself(steps_of(step(1, CLAIM, RETRY, AGAIN)), starts) == []


def claimed(granted: Any, *moves: tuple[str, str, float]) -> dict[int, StepFacts]:
    one = step(1, *moves, claim_first=True)
    one.deliveries.append({"attempt": 1, "granted_at": granted})
    return steps_of(one)


def test_a_claim_first_start_without_its_grant_is_found():
    assert effect_checks.granted_before_start(claimed(at(1.1), CLAIM, DONE), ran()) == []
    assert invariants(effect_checks.granted_before_start(claimed(None, CLAIM, DONE), ran())) == ["I13"]


def test_a_claim_first_start_long_after_its_attempt_had_ended_is_found():
    steps = claimed(at(1.1), CLAIM, RETRY)
    assert effect_checks.granted_before_start(steps, [effect("start", second=2.9)]) == []
    assert invariants(effect_checks.granted_before_start(steps, [effect("start", second=9.0)])) == ["I13"]


@pytest.mark.parametrize("seen", [[], [effect("start")], [effect("end")], ran(attempt=2)])
def test_a_complete_step_whose_handler_did_not_run_to_its_end_is_found(seen: list[Effect]):
    steps = steps_of(step(1, CLAIM, DONE))
    assert effect_checks.complete_has_run(steps, ran()) == []
    assert invariants(effect_checks.complete_has_run(steps, seen)) == ["I13"]


def test_a_child_that_began_before_its_parents_end_is_found():
    steps = steps_of(step(1, CLAIM, DONE), step(2, CLAIM, DONE))
    assert effect_checks.parents_first(steps, [(1, 2)], [*ran(1), *ran(2, begin=2.1, end=2.2)]) == []
    assert invariants(
        effect_checks.parents_first(steps, [(1, 2)], [*ran(1), *ran(2, begin=1.7, end=2.2)])
    ) == ["I3"]


def test_idempotency_keys_that_change_or_are_shared_are_found():
    good = [
        effect("start", key="k1"),
        effect("start", attempt=2, key="k1"),
        effect("start", step_id=2, key="k2"),
    ]
    assert effect_checks.keys_are_stable(good) == []
    assert invariants(effect_checks.keys_are_stable([*good, effect("start", attempt=3, key="k3")])) == ["I13"]
    assert invariants(effect_checks.keys_are_stable([*good, effect("start", step_id=3, key="k1")])) == ["I13"]


# The values that the templates' own comments give for {"value": 6}.
@pytest.mark.parametrize(
    "template, value",
    [
        ("patterns/linear_chain", 66),
        ("patterns/diamond", 28),
        ("patterns/fan_out_fan_in", 5650),
        ("patterns/tree", 202),
        ("patterns/mixed_dag", 107),
    ],
)
def test_a_wrong_result_is_found(template: str, value: int):
    name, _ = checker.EXPECTED[template]
    task = Accepted("a", template, 7, {"value": 6})

    def steps(result: Any, state: str = "complete") -> dict[int, StepFacts]:
        return steps_of(step(1, CLAIM, DONE, name=name, results=result, state=state))

    assert checker.right_values([task], steps({"value": value})) == []
    assert checker.right_values([task], steps({"value": 0}, state="resolved_manually")) == []
    assert invariants(checker.right_values([task], steps({"value": value + 1}))) == ["data"]
    assert invariants(checker.right_values([task], steps(None))) == ["data"]


# ---------------------------------------------------------------------- what others said


def test_findings_of_the_database_check_are_passed_on():
    clean = {
        "check": "task_whole",
        "invariant": "I1",
        "promise": "p",
        "violations_total": 0,
        "violations": [],
    }
    bad = {**clean, "violations_total": 2, "violations": [{"id": 1}, {"id": 2}]}
    assert checker.database_checks({"checks": [clean]}) == []
    assert invariants(checker.database_checks({"checks": [clean, bad]})) == ["I1 (task_whole)"]


@pytest.mark.parametrize(
    "line",
    ["terminate called after throwing", "Traceback (most recent call last):", "x.cpp:1: CHECK failed: n > 0"],
)
def test_a_breakdown_in_a_log_is_found(line: str):
    from tests.chaos.slots import CRASH_WORDS

    assert checker.crash_words("active", "all is well\n", CRASH_WORDS) == []
    assert invariants(checker.crash_words("active", f"all is well\n{line}\nmore", CRASH_WORDS)) == ["log"]


def test_the_side_effect_log_is_read_and_bad_lines_are_shown():
    entry = {"event": "start", "step_id": 3, "task_id": 1, "attempt": 2, "at": "2026-03-01T12:00:01.500000Z"}
    good = json.dumps({**entry, "worker": "w", "session": "s", "pid": 5, "idempotency_key": "k"})
    log, bad = effects.parse([good, good[:20], "{}"])
    assert log == [Effect("start", 3, 2, moment(1.5), "w", 5, "k", "s")]
    assert bad == [good[:20], "{}"]


def test_a_killed_workers_recovery_lasts_until_its_last_step_was_claimed_again_or_decided_upon():
    killed = moment(1.5)
    again = step(1, CLAIM, RETRY, AGAIN)
    decided = step(2, CLAIM, ("in_progress", "error", 4.5))
    untouched = step(3, CLAIM)
    reported = step(4, ("pending", "in_progress", 0.2), ("in_progress", "complete", 1.6))
    taken_up = step(
        5, CLAIM, ("in_progress", "error", 4.5), ("error", "pending", 6.0), ("pending", "in_progress", 7.0)
    )
    steps = steps_of(again, decided, untouched, reported, taken_up)

    def seconds(*in_hand: tuple[int, int]) -> float | None:
        return facts.until_elsewhere(steps, Kill("ruby-1", killed, False, in_hand))

    assert seconds((1, 1)) == pytest.approx(1.5)
    assert seconds((1, 1), (2, 1)) == pytest.approx(3.0)
    assert seconds((5, 1)) == pytest.approx(3.0), "an operator's retry is no part of the recovery"
    assert seconds((3, 1)) is None
    assert seconds((4, 1)) is None, "its report was on the way when it was killed"
