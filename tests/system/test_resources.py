"""Much of everything: wide, deep, one namespace that floods, and an orchestrator without file descriptors."""

from __future__ import annotations

import resource
import socket
import time
from pathlib import Path
from typing import Any, Optional

import pytest

from checks import assert_all_consistent, assert_first_attempts
from fault_tools import SANITIZER_KIB, assert_all_credit_is_back, one_step, resident_kib
from parts import ORCHESTRATOR, PATIENCE, Process, System, SystemFactory, procs, wait_until
from workers import NOOP, chain


def start_native_worker(system: System) -> Process:
    """The benchmark's worker: it costs next to nothing, so what is measured is the orchestrator."""
    endpoints = [system.endpoints["steps"], system.endpoints["results"]]
    process = system.start("native", [procs.program("tasker-bench-worker"), *endpoints, "500"])

    def ready() -> bool:
        return any(worker["state"] == "ready" for worker in system.health()["workers"])

    wait_until(ready, "the native worker is ready", 20, system.logs)
    return process


@pytest.fixture
def system(make_system: SystemFactory) -> System:
    made: System = make_system()
    return made


def fan_out(width: int) -> dict[str, Any]:
    """start → part_1 … part_width → total"""
    parts = [f"part_{number}" for number in range(1, width + 1)]
    steps: list[dict[str, Any]] = [{"name": "start", "handler_class": NOOP}]
    steps += [{"name": name, "handler_class": NOOP, "depends_on_steps": ["start"]} for name in parts]
    steps.append({"name": "total", "handler_class": NOOP, "depends_on_steps": parts})
    return {"name": "wide", "namespace_name": "tests", "version": "1.0.0", "step_templates": steps}


def assert_task_completed_with(system: System, task_id: int, steps: int) -> None:
    assert system.task_state(task_id) == "complete"
    done = "SELECT count(*) FROM tasker_workflow_steps WHERE task_id = %s AND state = 'complete'"
    assert system.value(done, task_id) == steps
    assert_first_attempts(system)
    assert_all_consistent(system)
    assert_all_credit_is_back(system)


def test_a_task_of_ten_thousand_steps_that_fans_out_and_in(system: System) -> None:
    width = 9_998  # a template may have 10 000 steps
    # Statistics of tables that were small, as autovacuum leaves them: they once made this take minutes.
    system.connection.execute("ANALYZE")
    system.load_template(fan_out(width))
    start_native_worker(system)
    (task_id,) = system.submit_many("tests", "wide", [{}])
    began = time.monotonic()
    system.wait_for_end(120)
    print(f"1 → {width} → 1 in {time.monotonic() - began:.2f} s")
    parents = system.value(
        "SELECT count(*) FROM tasker_workflow_step_edges e JOIN tasker_workflow_steps s"
        " ON s.workflow_step_id = e.to_step_id WHERE s.name = 'total'"
    )
    assert parents == width
    assert_task_completed_with(system, task_id, width + 2)


def test_a_chain_of_a_thousand_steps(system: System) -> None:
    depth = 1000
    system.load_template(chain("deep", NOOP, depth))
    start_native_worker(system)
    (task_id,) = system.submit_many("tests", "deep", [{}])
    began = time.monotonic()
    system.wait_for_end(120)
    print(f"{depth} steps one after the other in {time.monotonic() - began:.2f} s")
    disorder = system.value(
        "SELECT count(*) FROM tasker_workflow_step_edges e"
        " JOIN tasker_workflow_steps parent ON parent.workflow_step_id = e.from_step_id"
        " JOIN tasker_workflow_steps child ON child.workflow_step_id = e.to_step_id"
        " WHERE parent.processed_at > child.last_attempted_at"
    )
    assert disorder == 0, "a step was started before its parent had ended"
    assert_task_completed_with(system, task_id, depth)


@pytest.mark.alone
def test_a_namespace_that_floods_does_not_hold_up_another_ones_single_task(system: System) -> None:
    flood = 20_000
    system.load_template(one_step("flood", NOOP))
    system.load_template({**one_step("single", NOOP), "namespace_name": "quiet"})
    system.submit_many("tests", "flood", [{}] * flood)
    start_native_worker(system)
    waiting = "SELECT count(*) FROM tasker_tasks WHERE state = 'pending'"
    wait_until(lambda: system.value(waiting) < flood - 1000, "the flood is being worked on")
    began = time.monotonic()
    (task_id,) = system.submit_many("quiet", "single", [{}])
    system.wait_for_task(task_id, "complete")
    took = time.monotonic() - began
    left = system.value(waiting)
    print(f"one task beside {left} waiting ones of another namespace: {took:.3f} s")
    assert left > 0, "the flood was over before the single task was"
    assert took < 2 * PATIENCE
    system.wait_for_end(120)
    assert_first_attempts(system)
    assert_all_credit_is_back(system)
    system.wait_for_verdicts()
    # As autovacuum would by and by: without statistics the closing check takes a quarter of a minute.
    system.connection.execute("ANALYZE")


def descriptors(process: Optional[Process]) -> int:
    assert process is not None
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def strangers(system: System, count: int) -> list[socket.socket]:
    """Connections to where results are taken, that say nothing."""
    transport, _, address = system.endpoints["results"].partition("://")
    made = []
    for _ in range(count):
        if transport == "ipc":
            made.append(socket.socket(socket.AF_UNIX))
            made[-1].connect(address)
        else:
            host, _, port = address.partition(":")
            made.append(socket.create_connection((host, int(port))))
    return made


def test_a_low_soft_limit_of_descriptors_is_raised_to_the_hard_one(make_system: SystemFactory) -> None:
    """libzmq ends a process that cannot accept on an ipc endpoint: with 64 descriptors this would."""
    system = make_system(start=False)
    limited = ["prlimit", "--nofile=64:4096", ORCHESTRATOR, "--config", str(system.config)]
    system.orchestrator = system.start("orchestrator", limited)
    system.wait_for_orchestrator()
    assert resource.prlimit(system.orchestrator.pid, resource.RLIMIT_NOFILE)[0] == 4096
    many = strangers(system, 200)
    wait_until(lambda: descriptors(system.orchestrator) > 200, "all are connected", on_fail=system.logs)
    system.load_template(one_step("one", NOOP))
    start_native_worker(system)
    (task_id,) = system.submit_many("tests", "one", [{}])
    system.wait_for_task(task_id, "complete")
    for stranger in many:
        stranger.close()
    system.wait_for_verdicts()


@pytest.mark.skipif(procs.IS_SANITIZED, reason="a sanitizer needs descriptors to look at an object")
def test_without_file_descriptors_it_says_so_and_goes_on_when_there_are_some(
    make_system: SystemFactory,
) -> None:
    """Strangers' connections take the last ones; then its database connections are cut as well."""
    system = make_system("tcp")
    assert system.orchestrator
    orchestrator = system.orchestrator
    system.load_template(one_step("one", NOOP))
    start_native_worker(system)
    used = descriptors(orchestrator)
    before = resource.prlimit(orchestrator.pid, resource.RLIMIT_NOFILE)
    limit = used + 5
    resource.prlimit(orchestrator.pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    many = strangers(system, 40)
    wait_until(lambda: descriptors(orchestrator) >= limit - 1, "there are no more", on_fail=system.logs)
    system.submit_many("tests", "one", [{}] * 100)
    system.wait_for_end()  # what it has open already is enough to work
    cut = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'tasker-orchestrator%%'"
    )

    def cannot_come_back() -> bool:
        system.value(cut)
        return "too many open files" in orchestrator.output().lower()

    wait_until(cannot_come_back, "it says why it cannot come back", 20, orchestrator.tail)
    assert orchestrator.running()
    system.submit_many("tests", "one", [{}] * 100)
    for stranger in many:
        stranger.close()
    orchestrator.wait_for_log("database connection is back")
    system.wait_for_end()
    wait_until(lambda: descriptors(orchestrator) <= used, "none has leaked", 10, orchestrator.tail)
    resource.prlimit(orchestrator.pid, resource.RLIMIT_NOFILE, before)
    assert_first_attempts(system)
    assert_all_consistent(system)
    assert_all_credit_is_back(system)


def test_memory_and_descriptors_return_to_the_baseline_after_heavy_load(system: System) -> None:
    """Five waves: what the first one needed is enough for the later ones (I12)."""
    assert system.orchestrator
    system.load_template(chain("four", NOOP, 4))
    start_native_worker(system)
    orchestrator, files = system.orchestrator, descriptors(system.orchestrator)
    kib, threads = [], []
    for _ in range(5):
        system.submit_many("tests", "four", [{}] * 500)
        system.wait_for_end(60)
        system.wait_for_verdicts()
        assert_all_credit_is_back(system)
        kib.append(resident_kib(system.orchestrator.pid))
        threads.append(len(list(Path(f"/proc/{system.orchestrator.pid}/task").iterdir())))
    print(f"after each wave of 2 000 steps: {kib} KiB, {threads} threads")
    assert kib[-1] - kib[1] < 8 * 1024 + SANITIZER_KIB, "memory grows with the number of steps"
    assert max(threads[1:]) <= threads[0]
    # The connection of whoever asks for its health may be among them for a moment.
    wait_until(lambda: descriptors(orchestrator) <= files, "no descriptor has leaked", 10, orchestrator.tail)
    assert_first_attempts(system)
