"""`--outbox PATH`: what a killed worker had finished is sent by the process that follows it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from checks import assert_all_consistent, assert_first_attempts, assert_started_once
from parts import Process, System, SystemFactory, wait_until
from workers import PYTHON_PATTERNS, RUBY_PATTERNS, SLEEP, chain

TASKS = 4


def start_worker(system: System, language: str, path: Path, wait: bool) -> Process:
    options = ("--handlers", SLEEP, "--capacity", "1", "--prefetch", str(TASKS), "--outbox", str(path))
    if language == "ruby":
        return system.ruby_worker("keeper", RUBY_PATTERNS, *options, wait=wait)
    return system.python_worker("keeper", PYTHON_PATTERNS, *options, wait=wait)


@pytest.mark.parametrize("first, second", [("python", "python"), ("ruby", "ruby"), ("python", "ruby")])
def test_results_and_hand_backs_outlive_worker_and_orchestrator(
    make_system: SystemFactory, first: str, second: str
) -> None:
    """With one attempt per step: a step that was run again, or given up, would end its task in error."""
    # One lane, one batch: when its first step runs, the worker has all of them.
    system = make_system(start=False)
    system.start_orchestrator(TASKER_LANES="1")
    system.load_template(chain("nap", SLEEP, 1, handler_config={"sleep_ms": 1000}, default_retry_limit=1))
    path = system.folder / "outbox"
    worker = start_worker(system, first, path, wait=True)
    system.submit_many("tests", "nap", [{}] * TASKS)
    accepted = "SELECT count(*) FROM tasker_workflow_steps WHERE state = 'in_progress'"
    wait_until(lambda: system.value(accepted) == TASKS, "all steps are out", on_fail=system.describe)
    wait_until(lambda: system.effects(), "the first handler has begun", on_fail=system.describe)
    assert system.orchestrator
    system.orchestrator.signal(signal.SIGKILL)
    system.orchestrator.wait()
    # Nobody hears what the worker hands back and reports now; only its file does.
    worker.signal(signal.SIGTERM)

    def written() -> bool:
        text = path.read_bytes()
        return b'"draining"' in text and b'"batch_completion"' in text and b'"completed"' in text

    wait_until(written, "the reports are on the disk", on_fail=system.describe)
    worker.signal(signal.SIGKILL)
    worker.wait()
    ran = len(system.effects())
    assert ran < 2 * TASKS, "nothing was left to hand back"
    successor = start_worker(system, second, path, wait=False)
    system.start_orchestrator()
    system.wait_for_end()
    assert system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == TASKS
    assert len(system.effects()) == 2 * TASKS
    assert_started_once(system)
    assert_first_attempts(system)
    assert_all_consistent(system)
    # Every ack found its way, those of the hand-backs too: nothing is left to send.
    successor.signal(signal.SIGTERM)
    assert successor.wait() == 0, successor.tail()
    assert "reason=drained" in successor.output()
    assert path.read_bytes() == b"tasker-outbox 1\n"
