"""A short task on an idle system. A loose bound: bin/bench measures, this only sees a lost wake-up."""

from __future__ import annotations

import select
import statistics
import time

import psycopg
import pytest

from parts import PATIENCE, SystemFactory
from workers import NOOP, PYTHON_PATTERNS, chain

RUNS = 20


def wait_for_done(listener: psycopg.Connection[tuple[object, ...]], task_id: int) -> None:
    deadline = time.monotonic() + 10 * PATIENCE
    while True:
        listener.pgconn.consume_input()
        while notice := listener.pgconn.notifies():
            if str(task_id) in notice.extra.decode().split(","):
                return
        left = deadline - time.monotonic()
        assert left > 0, f"no tasker_done for task {task_id}"
        select.select([listener.fileno()], [], [], left)


@pytest.mark.alone
def test_four_steps_on_an_idle_system_complete_at_once(make_system: SystemFactory) -> None:
    system = make_system()
    system.load_template(chain("four", NOOP, 4))
    system.python_worker("python", PYTHON_PATTERNS)
    took: list[float] = []
    with psycopg.connect(system.url, autocommit=True) as listener:
        listener.execute("LISTEN tasker_done")
        for _ in range(RUNS):
            started = time.monotonic()
            (task_id,) = system.submit_many("tests", "four", [{}])
            wait_for_done(listener, task_id)
            took.append((time.monotonic() - started) * 1000)
            assert system.task_state(task_id) == "complete"
    median, worst = statistics.median(took), max(took)
    print(f"\n4 steps, submit to completion notice: median {median:.1f} ms, worst {worst:.1f} ms")
    assert median < 1000 * PATIENCE
