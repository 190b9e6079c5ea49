"""Workers that are there and do not do what they should: accept, start, answer, stop, remember."""

from __future__ import annotations

import time

import pytest

from checks import assert_all_consistent, assert_first_attempts
from fault_tools import (
    FAULT_HANDLERS,
    HANG,
    OddWorker,
    assert_all_credit_is_back,
    dead_letters,
    one_step,
    reasons,
    session_state,
    short,
    wait_for_step,
)
from parts import System, SystemFactory, wait_until
from workers import NOOP


def in_flight(system: System, session: str) -> int:
    return sum(int(w["in_flight"]) for w in system.health()["workers"] if w["session"] == session)


def claim_times(system: System, task_id: int) -> list[float]:
    rows = system.rows(
        "SELECT extract(epoch FROM created_at)::float8 AS at FROM tasker_workflow_step_transitions"
        " WHERE task_id = %s AND event = 'claim' ORDER BY sort_key",
        task_id,
    )
    return [row["at"] for row in rows]


def test_a_worker_that_beats_but_accepts_nothing_gives_its_work_to_others(make_system: SystemFactory) -> None:
    """Three sends, then the batch is an orphan and its session suspect until it answers a later probe."""
    system = make_system(settings=short())
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP], accepts=False) as idle:
        task_id = system.submit("tests/one", {})
        idle.batch(3)
        wait_for_step(system, task_id, "waiting_for_retry", 1)
        assert session_state(system, idle.session) == "suspect"
        assert len(idle.batch_frames) == 3 and len(set(idle.batch_frames)) == 1
        with OddWorker(system, [NOOP]) as heir:
            heir.finish(heir.batch())
            system.wait_for_task(task_id, "complete")
        assert reasons(system) == ["not_accepted"]
        assert system.steps(task_id)["s1"]["attempts"] == 2
        sent_three_times, again = claim_times(system, task_id)
        print(f"claim to claim elsewhere: {again - sent_three_times:.2f} s (3 × accept_timeout_ms = 0.9 s)")
        idle.accepts = True
        idle.wait_for_state("ready")
        later = system.submit("tests/one", {})
        idle.finish(idle.batch(4))
        system.wait_for_task(later, "complete")
    system.wait_for_verdicts()
    assert_all_credit_is_back(system)


def test_not_accepting_a_payment_ends_in_the_dead_letters_since_nothing_is_proven(
    make_system: SystemFactory,
) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("pay", NOOP, on_orphan="dead_letter"))
    with OddWorker(system, [NOOP], accepts=False):
        task_id = system.submit("tests/pay", {})
        system.wait_for_task(task_id, "error")
    assert [letter["reason"] for letter in dead_letters(system)] == ["not_accepted"]
    assert_all_credit_is_back(system)


def test_a_worker_that_takes_but_never_answers_runs_into_the_time_out(make_system: SystemFactory) -> None:
    """Its credit stays taken while its heartbeats list the step, and it is told to stop."""
    system = make_system(settings=short())
    system.load_template(one_step("one", NOOP, timeout_seconds=1, default_retry_limit=2))
    with OddWorker(system, [NOOP], capacity=1) as mute:
        task_id = system.submit("tests/one", {})
        batch = mute.batch()
        (step,) = batch["steps"]
        # By our own clock: the database records the start when its turn commits, after the timer has begun.
        began = time.monotonic()
        mute.run_step(batch, step)
        cancel = mute.wait_to_hear("cancel")
        assert [ref["step_id"] for ref in cancel["steps"]] == [step["step_id"]]
        wait_until(lambda: reasons(system) == ["timed_out"], "the time-out", on_fail=system.describe)
        waited = time.monotonic() - began
        assert in_flight(system, mute.session) >= 1, "it still runs, so its place is taken"
        mute.forget(batch, step)
        again = mute.batch(2)
        assert again["steps"][0]["metadata"]["attempt"] == 2
        mute.finish(again)
        system.wait_for_task(task_id, "complete")
    print(f"reported start to orphan: {waited:.2f} s (time-out 1 s + grace 0.3 s)")
    assert 1.3 <= waited
    system.wait_for_verdicts()
    assert_all_credit_is_back(system)


@pytest.mark.parametrize("on_orphan", ["retry", "dead_letter"])
def test_a_handler_that_hangs_keeps_its_place_until_it_ends(
    make_system: SystemFactory, on_orphan: str
) -> None:
    """The worker reports the time-out with handler_stopped: false; on_orphan decides about the step."""
    system = make_system(settings=short())
    until = system.folder / "until"
    system.load_template(
        one_step(
            "hang",
            HANG,
            handler_config={"until": str(until), "hangs": 1},
            timeout_seconds=1,
            on_orphan=on_orphan,
            retry_backoff={"base_seconds": 0.05},
        )
    )
    worker = system.python_worker("python", FAULT_HANDLERS, "--handlers", HANG)
    task_id = system.submit("tests/hang", {})
    if on_orphan == "retry":
        system.wait_for_task(task_id, "complete")
        assert system.steps(task_id)["s1"]["results"] == {"attempt": 2}
    else:
        system.wait_for_task(task_id, "error")
        assert [letter["reason"] for letter in dead_letters(system)] == ["handler_still_running"]
        assert system.steps(task_id)["s1"]["attempts"] == 1
    (session,) = (w["session"] for w in system.health()["workers"] if w["worker_id"] == "python")
    assert in_flight(system, session) == 1, "the hanging handler still occupies a thread"
    until.touch()
    wait_until(lambda: in_flight(system, session) == 0, "its place is free again", on_fail=system.describe)
    assert worker.running()
    assert_all_credit_is_back(system)


def test_what_is_accepted_and_then_missing_from_heartbeats_is_an_orphan(make_system: SystemFactory) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP]) as forgetful:
        task_id = system.submit("tests/one", {})
        batch = forgetful.batch()
        forgetful.forget(batch, batch["steps"][0])
        again = forgetful.batch(2)
        assert again["steps"][0]["metadata"]["attempt"] == 2
        forgetful.finish(again)
        system.wait_for_task(task_id, "complete")
    assert reasons(system) == ["absent"]
    system.wait_for_verdicts()
    assert_all_credit_is_back(system)


def test_what_stands_unacked_in_an_inventory_is_waited_for(make_system: SystemFactory) -> None:
    """Its report was lost on the way: it is in the outbox, so nothing runs again."""
    system = make_system(settings=short())
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP]) as worker:
        task_id = system.submit("tests/one", {})
        batch = worker.batch()
        (step,) = batch["steps"]
        (reference,) = worker.held.values()
        worker.unacked.append(reference)
        worker.forget(batch, step)
        beats = system.health()["io"]["heartbeats_received"]
        wait_until(
            lambda: system.health()["io"]["heartbeats_received"] > beats + 5,
            "heartbeats",
            on_fail=system.logs,
        )
        wait_for_step(system, task_id, "in_progress", 1)
        worker.unacked.clear()
        worker.finish(batch)
        system.wait_for_task(task_id, "complete")
    assert_first_attempts(system)
    assert_all_consistent(system)


def test_a_step_held_beside_free_slots_is_called_in_and_then_taken_away(make_system: SystemFactory) -> None:
    """Ten seconds, told to give it back, ten more: this one test has to be that slow."""
    system = make_system(settings=short())
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP]) as hoarder:
        task_id = system.submit("tests/one", {})
        batch = hoarder.batch()
        cancel = hoarder.wait_to_hear("cancel", 20, reason="held_unstarted")
        assert [ref["step_id"] for ref in cancel["steps"]] == [batch["steps"][0]["step_id"]]
        assert system.steps(task_id)["s1"]["state"] == "in_progress", "it may still be started meanwhile"
        hoarder.reject(batch, batch["steps"][0], "cancelled")
        wait_for_step(system, task_id, "in_progress", 2)
        hoarder.wait_for_state("ready")
        hoarder.finish(hoarder.batch(2))
        system.wait_for_task(task_id, "complete")
    assert reasons(system) == ["cancelled"]
    assert_first_attempts(system)
