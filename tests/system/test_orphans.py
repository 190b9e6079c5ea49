"""A worker dies, hangs or does nothing with what it has: its steps run elsewhere or wait for a decision."""

from __future__ import annotations

import signal
import time

import pytest

from checks import assert_started_once
from fault_tools import (
    DIE,
    DISCONNECT_GRACE_S,
    FAULT_HANDLERS,
    OddWorker,
    assert_all_credit_is_back,
    dead_letters,
    dispositions,
    one_step,
    reasons,
    short,
)
from parts import PATIENCE, SystemFactory, wait_until
from workers import NOOP, PYTHON_PATTERNS, RUBY_PATTERNS, SLEEP

# The bar: a dead worker's steps run elsewhere within disconnect_grace_ms + 1 s.
BAR_S = DISCONNECT_GRACE_S + 1


@pytest.mark.alone
@pytest.mark.parametrize("accepted", [False, True], ids=["before_it_accepted", "after_it_accepted"])
def test_a_dead_workers_step_runs_elsewhere_within_the_bar(
    make_system: SystemFactory, accepted: bool
) -> None:
    system = make_system(settings=short(accept_timeout_ms=1500))
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP], accepts=accepted) as doomed:
        task_id = system.submit("tests/one", {})
        batch = doomed.batch()
        if accepted:
            doomed.run_step(batch, batch["steps"][0])
        with OddWorker(system, [NOOP]) as heir:
            died = time.time()
            doomed.die()
            again = heir.batch()
            took = time.time() - died
            print(f"death to delivery elsewhere: {took:.3f} s (bar {BAR_S} s)")
            assert took <= BAR_S * PATIENCE
            assert [step["metadata"]["attempt"] for step in again["steps"]] == [2]
            heir.finish(again)
            system.wait_for_task(task_id, "complete")
    assert reasons(system) == ["session_lost"]
    system.wait_for_verdicts()
    assert_all_credit_is_back(system)


def test_kill_9_in_the_middle_of_many_steps_of_both_languages(make_system: SystemFactory) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("nap", SLEEP, handler_config={"sleep_ms": 300}, default_retry_limit=5))
    doomed = system.python_worker("doomed", PYTHON_PATTERNS, "--handlers", SLEEP)
    ruby = system.ruby_worker("doomed-too", RUBY_PATTERNS, "--handlers", SLEEP)
    # Before there is work: on a busy machine it may take longer to start than all steps together.
    system.python_worker("heir", PYTHON_PATTERNS, "--handlers", SLEEP)
    system.submit_many("tests", "nap", [{}] * 150)
    workers = {"doomed", "doomed-too"}

    def both_work() -> bool:
        return workers <= {effect["worker"] for effect in system.effects()}

    wait_until(both_work, "work is going on", on_fail=system.describe)
    doomed.kill()
    ruby.kill()
    system.wait_for_end()
    assert system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == 150
    assert system.value("SELECT max(attempts) FROM tasker_workflow_steps") == 2, "nobody died twice"
    starts = [(e["step_id"], e["attempt"]) for e in system.effects() if e["event"] == "start"]
    assert len(starts) == len(set(starts)), "an attempt was started twice"
    system.wait_for_verdicts()
    assert_all_credit_is_back(system)


def test_a_worker_that_dies_after_the_work_and_before_the_result_costs_an_attempt(
    make_system: SystemFactory,
) -> None:
    system = make_system(settings=short())
    work = system.folder / "work"
    system.load_template(one_step("die", DIE, handler_config={"work_path": str(work), "deaths": 1}))
    system.python_worker("doomed", FAULT_HANDLERS, "--handlers", DIE)
    task_id = system.submit("tests/die", {})
    wait_until(lambda: work.exists() and work.read_text(), "the work was done", on_fail=system.describe)
    system.python_worker("heir", FAULT_HANDLERS, "--handlers", DIE)
    system.wait_for_task(task_id, "complete")
    assert work.read_text().split() == ["1", "2"], "at least once: the effect is there twice"
    assert system.steps(task_id)["s1"]["attempts"] == 2
    assert_all_credit_is_back(system)


def test_a_worker_that_dies_after_its_result_and_before_the_ack_costs_nothing(
    make_system: SystemFactory,
) -> None:
    system = make_system(settings=short())
    assert system.orchestrator
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP]) as doomed, OddWorker(system, [NOOP]) as heir:
        task_id = system.submit("tests/one", {})
        wait_until(lambda: doomed.batch_frames or heir.batch_frames, "a batch", on_fail=system.describe)
        worker = doomed if doomed.batch_frames else heir
        batch = worker.batch()
        worker.partial(batch, batch["steps"][0], 1, output={"done": True})
        worker.die()
        system.wait_for_task(task_id, "complete")
        system.wait_for_verdicts()
    step = system.steps(task_id)["s1"]
    assert (step["attempts"], step["results"]) == (1, {"done": True})
    found = system.rows("SELECT kind, explained_by FROM tasker_reconciliation_discrepancies")
    expected = [("missing_completion", "session_lost")]
    assert [(row["kind"], row["explained_by"]) for row in found] == expected, "nobody will send it"
    # …and nobody is alerted: it is missing because its worker is gone.
    assert "do not agree" not in system.orchestrator.output()
    assert system.health()["listener"]["discrepancies"] == 0
    assert_all_credit_is_back(system)


def test_a_step_that_kills_its_worker_each_time_ends_in_the_dead_letters(make_system: SystemFactory) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("die", DIE, handler_config={"deaths": 9}, default_retry_limit=2))
    victims = [system.python_worker(f"victim-{n}", FAULT_HANDLERS, "--handlers", DIE) for n in range(3)]
    task_id = system.submit("tests/die", {})
    system.wait_for_task(task_id, "error")
    step = system.steps(task_id)["s1"]
    assert (step["attempts"], step["unstarted_attempts"]) == (2, 0)
    (letter,) = dead_letters(system)
    assert (letter["workflow_step_id"], letter["attempt"]) == (step["workflow_step_id"], 2)
    assert letter["reason"] == "session_lost" and letter["last_worker"].startswith("victim-")
    assert sum(not victim.running() for victim in victims) == 2, "the third one was spared"
    assert_started_once(system)
    assert_all_credit_is_back(system)


def test_a_payment_whose_worker_died_is_never_started_a_second_time(make_system: SystemFactory) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("pay", DIE, handler_config={"deaths": 9}, on_orphan="dead_letter"))
    for name in ("first", "second"):
        system.python_worker(name, FAULT_HANDLERS, "--handlers", DIE)
    task_id = system.submit("tests/pay", {})
    system.wait_for_task(task_id, "error")
    (letter,) = dead_letters(system)
    assert (letter["reason"], letter["attempt"]) == ("session_lost", 1)
    assert (
        letter["last_error"]["error_code"] == "session_lost"
        and "not known" in letter["last_error"]["message"]
    )
    # A second task of the same kind proves that the other worker would have taken it.
    other = system.submit("tests/pay", {})
    system.wait_for_task(other, "error")
    starts = [e["task_id"] for e in system.effects() if e["event"] == "start"]
    assert sorted(starts) == sorted([task_id, other])
    assert_all_credit_is_back(system)


def test_a_frozen_workers_late_answer_is_recorded_only_and_it_works_again(make_system: SystemFactory) -> None:
    """SIGSTOP past the lease: the step runs elsewhere, and after SIGCONT the first answer changes nothing."""
    system = make_system(settings=short())
    system.load_template(one_step("nap", SLEEP, handler_config={"sleep_ms": 300}))
    frozen = system.python_worker("frozen", PYTHON_PATTERNS, "--handlers", SLEEP)
    task_id = system.submit("tests/nap", {})
    wait_until(lambda: system.effects(), "it has begun", on_fail=system.describe)
    frozen.signal(signal.SIGSTOP)
    heir = system.ruby_worker("heir", RUBY_PATTERNS, "--handlers", SLEEP)
    system.wait_for_task(task_id, "complete")
    assert system.steps(task_id)["s1"]["attempts"] == 2
    assert [e["worker"] for e in system.effects() if e["event"] == "start"] == ["frozen", "heir"]
    frozen.signal(signal.SIGCONT)
    wait_until(
        lambda: dispositions(system).count("stale_attempt") == 1, "its late answer", on_fail=system.describe
    )
    assert dispositions(system).count("applied") == 1
    system.wait_for_worker("frozen", frozen)
    assert heir.stop() == 0
    later = system.submit("tests/nap", {})
    system.wait_for_task(later, "complete")
    assert system.effects()[-1]["worker"] == "frozen"
    system.wait_for_verdicts()
    assert_all_credit_is_back(system)


def test_a_late_success_is_shown_on_its_dead_letter(make_system: SystemFactory) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("pay", NOOP, on_orphan="dead_letter"))
    with OddWorker(system, [NOOP]) as worker:
        task_id = system.submit("tests/pay", {})
        batch = worker.batch()
        worker.run_step(batch, batch["steps"][0])
        worker.silent = True
        system.wait_for_task(task_id, "error")
        worker.silent = False
        worker.wait_for_state("ready")
        worker.finish(batch, output={"receipt": 17})
        worker.wait_for_ack(batch, 1)
        wait_until(lambda: dead_letters(system)[0]["late_result"], "the late result", on_fail=system.describe)
        assert dead_letters(system)[0]["late_result"] == {"receipt": 17}
        assert system.steps(task_id)["s1"]["state"] == "error" and system.task_state(task_id) == "error"
        assert dispositions(system) == ["late"]
        system.wait_for_verdicts()
        assert_all_credit_is_back(system)
