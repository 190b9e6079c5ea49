"""Credit: the publishing queue is never needed, nothing starves, and all of it comes back."""

from __future__ import annotations

from collections import Counter

from checks import assert_all_consistent, assert_first_attempts, assert_started_once
from fault_tools import OddWorker, assert_all_credit_is_back, one_step, short
from parts import SystemFactory, wait_until
from workers import NOOP, PYTHON_PATTERNS, RUBY_PATTERNS, SLEEP, chain


def test_with_a_queue_of_one_message_real_load_still_completes(make_system: SystemFactory) -> None:
    """step_queue_hwm: 1. What finds no room is sent again by its timer; nothing is lost, nothing starves."""
    settings = {
        "step_execution": {"step_queue_hwm": 1, "batch_size": 2},
        "timers": {"accept_timeout_ms": 300},
    }
    system = make_system(settings=settings)
    system.load_template(chain("quick", NOOP, 3))
    system.load_template(chain("naps", SLEEP, 2, handler_config={"sleep_ms": 1}))
    for number in range(2):
        system.python_worker(f"python-{number}", PYTHON_PATTERNS, "--handlers", f"{NOOP},{SLEEP}")
        system.ruby_worker(f"ruby-{number}", RUBY_PATTERNS, "--handlers", f"{NOOP},{SLEEP}")
    system.submit_many("tests", "quick", [{}] * 400)
    system.submit_many("tests", "naps", [{}] * 200)
    system.wait_for_end(90)
    assert system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == 600
    batches = system.value("SELECT count(*) FROM tasker_step_execution_batches")
    health = system.health()["io"]
    print(f"{batches} batches, {health['batches_resent']} sent again")
    assert batches >= 800, "the load was to be many small batches"
    shares = Counter(e["worker"] for e in system.effects() if e["event"] == "start")
    assert len(shares) == 4, f"somebody starved: {shares}"
    assert_started_once(system)
    assert_first_attempts(system)
    assert_all_consistent(system)
    assert_all_credit_is_back(system)


def test_a_session_never_has_more_in_hand_than_its_capacity_times_its_prefetch(
    make_system: SystemFactory,
) -> None:
    system = make_system(settings=short())
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP], capacity=3) as worker:
        system.submit_many("tests", "one", [{}] * 20)
        wait_until(lambda: len(worker.held) == 6, "its hands are full", on_fail=system.describe)
        finished: set[str] = set()
        most = 0

        def work() -> bool:
            nonlocal most
            for number in range(1, len(worker.batch_frames) + 1):
                most = max(most, len(worker.held))
                batch = worker.batch(number)
                if batch["batch_id"] not in finished:
                    finished.add(batch["batch_id"])
                    worker.finish(batch)
            return system.open_tasks() == 0

        wait_until(work, "all tasks have ended", on_fail=system.describe)
        assert most <= 6, f"{most} steps in hand"
        assert_all_credit_is_back(system)
    assert_first_attempts(system)
    assert_all_consistent(system)


def test_credit_comes_back_for_every_way_a_step_can_leave_a_worker(make_system: SystemFactory) -> None:
    """With room for two steps only, one unit of credit that is lost would stop the work for good."""
    system = make_system(settings=short())
    system.load_template(one_step("one", NOOP, default_retry_limit=3, retry_backoff={"base_seconds": 0.01}))
    with OddWorker(system, [NOOP], capacity=1) as worker:
        done = 0

        def next_batch() -> dict[str, object]:
            nonlocal done
            done += 1
            return worker.batch(done)

        for leave in ("reject", "fail", "error", "twice", "forget", "complete") * 2:
            before = system.open_tasks()
            assert before == 0
            system.submit("tests/one", {})
            batch = next_batch()
            (step,) = batch["steps"]  # type: ignore[misc]
            if leave == "reject":
                worker.reject(batch, step, "over_capacity")
            elif leave == "fail":
                worker.partial(batch, step, 1, status="failed")
                worker.completion(batch, 2, ["failed"])
            elif leave == "error":
                worker.partial(batch, step, 1, status="error")
                worker.completion(batch, 2, ["error"])
            elif leave == "forget":
                worker.forget(batch, step)
            else:
                for _ in range(3 if leave == "twice" else 1):
                    worker.finish(batch)
            if leave in ("reject", "fail", "forget"):
                worker.finish(next_batch())
            wait_until(lambda: system.open_tasks() == 0, f"the end after {leave}", on_fail=system.describe)
        wait_until(
            lambda: system.health()["workers"][0]["in_flight"] == 0, "nothing is in hand", on_fail=system.logs
        )
    system.wait_for_verdicts()
    assert_all_credit_is_back(system)
