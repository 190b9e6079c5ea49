"""A second orchestrator waits beside the first and takes over when that one dies, hangs or is stopped."""

from __future__ import annotations

import json
import signal
import time
from typing import Iterator, Optional

import pytest
import zmq

from checks import assert_all_consistent, assert_first_attempts, assert_started_once
from fault_tools import assert_all_credit_is_back, one_step
from parts import ORCHESTRATOR, PATIENCE, Process, System, SystemFactory, tasker, wait_until
from workers import PYTHON_PATTERNS, RUBY_PATTERNS, SLEEP, chain

TASKS = 120
# The bar: kill -9 of the orchestrator under load, first new step within 2 s.
BAR_S = 2.0
# A holder that is silent for so long is ended by the standby.
HOLDER_SILENT_S = 5.0
SUPERSEDED = 5


class Pair:
    """The orchestrator that serves and its standby on endpoints of its own; workers know both."""

    def __init__(self, system: System, shared_endpoints: bool = False) -> None:
        self.system = system
        self.first_endpoints = system.endpoints
        self.second_endpoints = {
            part: endpoint if shared_endpoints else f"ipc://{system.folder}/standby-{part}"
            for part, endpoint in system.endpoints.items()
        }
        assert system.orchestrator is not None
        self.first = system.orchestrator
        self.second = self.start_standby()

    def start_standby(self) -> Process:
        variables = {
            f"TASKER_{part.upper()}_ENDPOINT": endpoint for part, endpoint in self.second_endpoints.items()
        }
        second = self.system.start(
            "standby", [ORCHESTRATOR, "--config", str(self.system.config)], **variables
        )
        second.wait_for_log("tasker-orchestrator standby")
        return second

    def start_workers(self) -> None:
        """A Ruby and a Python worker that are given both endpoints as lists."""
        for part in ("steps", "results"):
            self.system.endpoints = {
                **self.system.endpoints,
                part: f"{self.first_endpoints[part]},{self.second_endpoints[part]}",
            }
        # Only the workers: whoever asks questions goes on asking the first one.
        command = self.system.endpoints
        ruby = self.system.ruby_worker("ruby", RUBY_PATTERNS, "--handlers", SLEEP, wait=False)
        python = self.system.python_worker("python", PYTHON_PATTERNS, "--handlers", SLEEP, wait=False)
        self.system.endpoints = {**command, **{p: self.first_endpoints[p] for p in ("steps", "results")}}
        self.system.wait_for_worker("ruby", ruby)
        self.system.wait_for_worker("python", python)

    def follow(self) -> None:
        """From now on the second one is the orchestrator of the system."""
        self.system.orchestrator = self.second
        self.system.endpoints = self.second_endpoints
        self.system.wait_for_orchestrator()

    def put_under_load(self) -> None:
        self.system.load_template(chain("naps", SLEEP, 3, handler_config={"sleep_ms": 30}))
        self.system.submit_many("tests", "naps", [{}] * TASKS)
        done = "SELECT count(*) FROM tasker_workflow_steps WHERE state = 'complete'"
        wait_until(
            lambda: self.system.value(done) >= TASKS // 2, "work goes on", on_fail=self.system.describe
        )

    def first_claim_of_epoch(self, epoch: int, limit_s: float) -> float:
        """When the epoch's first batch was made, on this machine's clock."""
        query = (
            "SELECT extract(epoch FROM min(created_at))::float8 FROM tasker_step_execution_batches"
            " WHERE epoch = %s"
        )

        def claimed() -> Optional[float]:
            at: Optional[float] = self.system.value(query, epoch)
            return at

        return float(wait_until(claimed, f"the first claim of epoch {epoch}", limit_s, self.system.describe))

    def assert_all_ended_well(self) -> None:
        self.system.wait_for_end()
        assert self.system.value("SELECT count(*) FROM tasker_tasks WHERE state = 'complete'") == TASKS
        assert_started_once(self.system)
        assert_first_attempts(self.system)
        assert_all_consistent(self.system)
        assert_all_credit_is_back(self.system)


@pytest.fixture
def pair(make_system: SystemFactory) -> Iterator[Pair]:
    yield Pair(make_system())


@pytest.mark.alone
def test_it_takes_over_from_one_that_was_killed_within_the_bar(pair: Pair) -> None:
    pair.start_workers()
    pair.put_under_load()
    killed = time.time()
    pair.first.kill()
    took = pair.first_claim_of_epoch(2, 20) - killed
    print(f"kill -9 to the first new claim: {took:.3f} s (bar {BAR_S} s)")
    pair.follow()
    assert roles(pair.system) == [("active", pair.second.pid)], "it is no standby any more"
    pair.assert_all_ended_well()
    assert took <= BAR_S * PATIENCE


def test_it_takes_over_from_one_that_hangs_which_then_can_commit_nothing(pair: Pair) -> None:
    pair.start_workers()
    pair.put_under_load()
    frozen = time.time()
    pair.first.signal(signal.SIGSTOP)
    took = pair.first_claim_of_epoch(2, 30) - frozen
    print(f"SIGSTOP to the first new claim: {took:.3f} s (silent for {HOLDER_SILENT_S} s first)")
    assert took >= HOLDER_SILENT_S - 1.5, "the caretaker refreshes its sign of life each second"
    pair.follow()
    pair.first.signal(signal.SIGCONT)
    assert pair.first.wait() == SUPERSEDED, pair.first.tail()
    assert "another orchestrator has taken over" in pair.first.output()
    pair.assert_all_ended_well()
    late = (
        "SELECT count(*) FROM tasker_step_execution_batches WHERE epoch = 1 AND created_at > to_timestamp(%s)"
    )
    assert pair.system.value(late, frozen + 1) == 0, "the old one committed after it was frozen"
    assert pair.system.value("SELECT epoch FROM tasker_orchestrators") == 2


def test_it_takes_over_from_one_that_is_stopped_in_order(pair: Pair) -> None:
    pair.start_workers()
    pair.put_under_load()
    stopped = time.time()
    assert pair.first.stop() == 0, pair.first.tail()
    took = pair.first_claim_of_epoch(2, 20) - stopped
    print(f"SIGTERM to the first new claim: {took:.3f} s")
    pair.follow()
    pair.assert_all_ended_well()


def test_two_deaths_in_a_row_with_a_new_standby_each_time(pair: Pair) -> None:
    pair.start_workers()
    pair.put_under_load()
    pair.first.kill()
    pair.follow()
    second, second_endpoints = pair.second, pair.second_endpoints
    pair.second_endpoints = pair.first_endpoints
    pair.second = pair.start_standby()
    second.kill()
    pair.follow()
    pair.assert_all_ended_well()
    assert pair.system.value("SELECT epoch FROM tasker_orchestrators") == 3
    assert second_endpoints != pair.second_endpoints


def test_with_the_same_endpoints_it_binds_when_they_are_free(make_system: SystemFactory) -> None:
    pair = Pair(make_system(), shared_endpoints=True)
    pair.system.python_worker("python", PYTHON_PATTERNS, "--handlers", SLEEP)
    pair.put_under_load()
    pair.first.kill()
    pair.follow()
    pair.assert_all_ended_well()


def roles(system: System) -> list[tuple[str, int]]:
    """Every orchestrator process as `tasker health` lists it."""
    answer = json.loads(tasker(system.url, "health", "--json").stdout)
    return [(process["role"], process["pid"]) for process in answer["orchestrators"]]


def test_a_standby_says_so_and_ends_in_order(pair: Pair) -> None:
    with pair.system.context.socket(zmq.REQ) as requester:
        requester.setsockopt(zmq.LINGER, 0)
        requester.connect(pair.second_endpoints["command"])
        requester.send(b'{"command": "health_check", "level": "basic"}')
        assert requester.poll(int(10_000 * PATIENCE)), pair.second.tail()
        health = json.loads(requester.recv())
    assert health["status"] == "standby", health
    both = [("active", pair.first.pid), ("standby", pair.second.pid)]
    wait_until(lambda: roles(pair.system) == both, "health lists both", on_fail=pair.system.logs)
    assert "there is no standby" not in tasker(pair.system.url, "health").stdout
    assert str(pair.first.pid) in pair.second.output(), "it names who serves"
    pair.system.load_template(one_step("nap", SLEEP, handler_config={"sleep_ms": 1}))
    pair.system.python_worker("python", PYTHON_PATTERNS, "--handlers", SLEEP)
    pair.system.wait_for_task(pair.system.submit("tests/nap", {}), "complete")
    assert pair.second.stop() == 0, pair.second.tail()
    assert pair.first.running() and pair.system.value("SELECT epoch FROM tasker_orchestrators") == 1
    assert roles(pair.system) == [("active", pair.first.pid)]
    assert "there is no standby" in tasker(pair.system.url, "health").stdout
    pair.system.wait_for_verdicts()


def test_a_standby_holds_no_snapshot_and_no_transaction(pair: Pair) -> None:
    """It may wait for weeks: vacuum must not wait with it."""
    waiting = (
        "SELECT a.state, a.backend_xmin IS NULL AND a.backend_xid IS NULL AS free, a.query_start"
        " FROM pg_stat_activity a WHERE a.datname = current_database()"
        " AND a.application_name LIKE 'tasker-orchestrator lane%%'"
        " AND a.pid NOT IN (SELECT unnest(o.backend_pids) FROM tasker_orchestrators o)"
    )
    asked = set()

    def asked_again() -> bool:
        for row in pair.system.rows(waiting):
            assert row["state"] == "active" or (row["state"] == "idle" and row["free"]), row
            asked.add(row["query_start"])
        return len(asked) >= 4

    wait_until(asked_again, "it has asked for the lock several times", on_fail=pair.system.logs)
