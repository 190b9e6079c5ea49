"""`tasker task explain` names what a task waits for, with every part real."""

from __future__ import annotations

import json
import signal
from typing import Any

from parts import System, SystemFactory, tasker, wait_until
from workers import ECHO, PYTHON_PATTERNS, SLEEP, chain

FAIL = "Patterns::StepHandlers::FailHandler"
FLAKY = "Patterns::StepHandlers::FlakyHandler"


def explain(system: System, task_id: int, *options: str) -> dict[str, Any]:
    done = tasker(system.url, "task", "explain", str(task_id), "--json", *options)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def text(system: System, task_id: int) -> str:
    return tasker(system.url, "task", "explain", str(task_id), "--no-color").stdout


def wait_for_causes(system: System, task_id: int, task: str, **steps: str) -> dict[str, Any]:
    """The first answer in which the task and its steps have these causes."""

    def wanted() -> Any:
        answer = explain(system, task_id)
        causes = {step["name"]: step["cause"] for step in answer["steps"]}
        return answer if (answer["cause"], causes) == (task, steps) else None

    def shown() -> str:
        return f"{text(system, task_id)}\n{system.describe()}"

    answer: dict[str, Any] = wait_until(wanted, f"explain says {task} {steps}", on_fail=shown)
    return answer


def step_of(answer: dict[str, Any], name: str) -> dict[str, Any]:
    found = [step for step in answer["steps"] if step["name"] == name]
    assert len(found) == 1
    return dict(found[0])


def test_a_task_is_explained_from_no_worker_to_its_end(make_system: SystemFactory) -> None:
    system = make_system()
    system.load_template(chain("naps", SLEEP, 2, handler_config={"sleep_ms": 60000}, timeout_seconds=120))
    task = system.submit("tests/naps", {})
    answer = wait_for_causes(system, task, "no_session", s1="no_session", s2="waiting_for_parents")
    assert step_of(answer, "s2")["waits_for"] == [step_of(answer, "s1")["workflow_step_id"]]
    assert f"no worker serves {SLEEP} in namespace tests" in text(system, task)

    system.python_worker("echo", PYTHON_PATTERNS, "--handlers", ECHO)
    wait_until(
        lambda: [s["worker_id"] for s in explain(system, task)["detail"]["sessions"]] == ["echo"],
        "the worker that serves something else is named",
    )
    wait_for_causes(system, task, "no_session", s1="no_session", s2="waiting_for_parents")

    system.python_worker("sleeper", PYTHON_PATTERNS, "--handlers", SLEEP)
    answer = wait_for_causes(system, task, "running", s1="running", s2="waiting_for_parents")
    running = step_of(answer, "s1")
    # The worker's name comes with the list that is refreshed each second.
    wait_until(
        lambda: step_of(explain(system, task), "s1")["worker_id"] == "sleeper",
        "the worker is named",
        on_fail=lambda: text(system, task),
    )
    assert running["next_event"] == "result"
    timeout = system.value(
        "SELECT extract(epoch FROM %s::timestamptz - %s::timestamptz)", running["next_at"], running["since"]
    )
    assert timeout == 120
    assert "runs on worker sleeper" in text(system, task)

    assert system.orchestrator
    system.orchestrator.signal(signal.SIGKILL)
    system.orchestrator.wait()
    wait_for_causes(system, task, "orchestrator_down", s1="running", s2="waiting_for_parents")
    assert "no orchestrator drives it: the last one was seen" in text(system, task)
    system.start_orchestrator()
    wait_for_causes(system, task, "running", s1="running", s2="waiting_for_parents")
    for worker in system.workers():
        worker.kill()


def test_a_worker_for_another_namespace_is_pointed_at(make_system: SystemFactory) -> None:
    system = make_system()
    system.load_template(chain("echoes", ECHO, 1))
    command = ["/usr/bin/python3", "-m", "tasker_worker", "--worker-id", "bank", "--handlers", ECHO]
    command += ["--import", str(PYTHON_PATTERNS[0]), "--namespace", "bank"]
    system.worker("bank", command, wait=True)
    task = system.submit("tests/echoes", {})

    def pointed_at() -> bool:
        return "worker bank runs it, but only for namespace bank" in text(system, task)

    wait_until(pointed_at, "the worker's namespace is named", on_fail=lambda: text(system, task))
    wait_for_causes(system, task, "no_session", s1="no_session")


def test_a_full_worker_is_named_with_how_many_go_first(make_system: SystemFactory) -> None:
    # Who goes first is decided within a lane; with several, this answer is an estimate.
    system = make_system(start=False)
    system.start_orchestrator(TASKER_LANES="1")
    system.load_template(chain("naps", SLEEP, 1, handler_config={"sleep_ms": 1500}))
    options = ["--handlers", SLEEP, "--capacity", "1", "--prefetch", "1"]
    system.python_worker("single", PYTHON_PATTERNS, *options)
    first, second, third = system.submit_many("tests", "naps", [{}] * 3)
    wait_for_causes(system, first, "running", s1="running")
    answer = wait_for_causes(system, third, "no_credit", s1="no_credit")
    assert step_of(answer, "s1")["ahead"] == 1, "the second one goes first"
    assert "single has 1 of 1 in flight" in text(system, third)
    system.wait_for_end()
    assert explain(system, third)["cause"] == "complete"


def test_backoff_and_a_failed_step_say_when_and_what_to_do(make_system: SystemFactory) -> None:
    system = make_system()
    flaky = {"failures": 1, "retry_after_seconds": 30}
    backoff = {"base_seconds": 30, "multiplier": 1, "max_seconds": 60, "jitter": 0}
    system.load_template(chain("flaky", FLAKY, 2, handler_config=flaky, retry_backoff=backoff))
    system.load_template(chain("fails", FAIL, 3, handler_config={"message": "the till is empty"}))
    system.python_worker("worker", PYTHON_PATTERNS, "--handlers", f"{FLAKY},{FAIL}")
    waits = system.submit("tests/flaky", {})
    fails = system.submit("tests/fails", {})

    answer = wait_for_causes(system, waits, "backoff", s1="backoff", s2="waiting_for_parents")
    assert step_of(answer, "s1")["next_event"] == "retry_due"
    assert answer["next_at"] == step_of(answer, "s1")["next_at"]
    assert "attempt 1 of 3 failed" in text(system, waits)
    assert "next attempt in" in text(system, waits)

    answer = wait_for_causes(
        system,
        fails,
        "error",
        s1="failed",
        s2="blocked_by_failed_step",
        s3="blocked_by_failed_step",
    )
    failed = step_of(answer, "s1")["workflow_step_id"]
    assert [step["blocking_step_id"] for step in answer["steps"][1:]] == [failed, failed]
    assert "the till is empty" in text(system, fails)
    assert f"tasker step retry {failed}" in text(system, fails)
    only = explain(system, fails, "--step", "s3")
    assert [step["name"] for step in only["steps"]] == ["s3"]
    # The retry is due in half a minute; nobody has to wait for it here.
    system.connection.execute(
        "UPDATE tasker_workflow_steps SET next_attempt_at = now() WHERE state = 'waiting_for_retry'"
    )
    system.connection.execute("NOTIFY tasker_wake, 'scan'")
    # Soon after, the second step waits in its place.
    wait_until(
        lambda: system.steps(waits)["s1"]["state"] == "complete", "its time has come", on_fail=system.describe
    )


def test_what_does_not_exist_is_said_so(make_system: SystemFactory) -> None:
    system = make_system(start=False)
    assert "there is no task 4711" in tasker(system.url, "task", "explain", "4711", code=4).stderr
    task = system.submit("patterns/diamond", {"value": 1})
    answer = explain(system, task)
    assert answer["cause"] == "orchestrator_down"
    refused = tasker(system.url, "task", "explain", str(task), "--step", "nowhere", code=4)
    assert 'no open step "nowhere"' in refused.stderr
