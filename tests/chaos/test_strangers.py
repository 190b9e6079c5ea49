"""What strangers do in a run, and the two checks that judge what became of them, each told a lie."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from tests.chaos import checker, faults_strangers, report
from tests.chaos.checker import StepFacts
from tests.chaos.effects import Effect
from tests.chaos.load import Accepted
from tests.chaos.slots import Slot
from tests.chaos.stranger import hello_of
from tests.chaos.world import HERE
from tests.support import procs
from tests.support.procs import ROOT

BULKY = [Accepted("a", "chaos/too_large", 7, {}), Accepted("b", "bench/single", 8, {})]


def step(task_id: int, name: str, state: str, error_code: str | None = None) -> dict[int, StepFacts]:
    row = {"workflow_step_id": 1, "task_id": task_id, "name": name, "state": state, "error_code": error_code}
    return {1: StepFacts(row)}


@pytest.mark.parametrize(
    "steps",
    [
        step(7, "gather", "error", "request_too_large"),
        step(7, "gather", "pending"),
        step(7, "gather", "resolved_manually", "request_too_large"),
        step(7, "part_1", "complete"),
        step(8, "step", "error", "timed_out"),
    ],
)
def test_what_ends_alone_is_no_violation(steps: dict[int, StepFacts]):
    assert checker.too_large_ends_alone(BULKY, steps, []) == []


@pytest.mark.parametrize(
    "steps",
    [
        step(7, "gather", "error", "timed_out"),
        step(7, "gather", "complete"),
        step(7, "part_1", "error", "request_too_large"),
        step(8, "gather", "error", "request_too_large"),
    ],
)
def test_what_ends_otherwise_or_takes_others_along_is_found(steps: dict[int, StepFacts]):
    assert len(checker.too_large_ends_alone(BULKY, steps, [])) == 1


def test_a_request_that_was_sent_though_it_is_too_large_is_found():
    steps = step(7, "gather", "error", "request_too_large")
    assert len(checker.too_large_ends_alone(BULKY, steps, [Effect("start", 1, 1, 0.0)])) == 1


@pytest.mark.parametrize(
    "lie, found",
    [
        ({}, 0),
        ({"credit_limit": 20_000}, 0),
        ({"credit_limit": 20_001}, 1),
        ({"worker_id": "a bell\u0007"}, 1),
        ({"host": "a \u202eturn"}, 1),
    ],
)
def test_a_session_beyond_the_limits_is_found(lie: dict[str, Any], found: int):
    row = {"session": "00ff", "worker_id": "w", "host": None, "state": "ready", "credit_limit": 16, **lie}
    assert len(checker.sessions_within_limits([row])) == found


@pytest.mark.parametrize("kind", faults_strangers.BORDERS)
def test_hellos_reach_the_borders_of_the_schema(kind: str):
    hello = hello_of("00ff", kind)
    assert (hello["capacity"] == 2**31 - 1) == (kind != "names")
    assert (len(hello["handlers"]) == 10_000) == (kind == "handlers")
    assert hello["worker_id"].isprintable() == (kind != "names")
    assert len(json.dumps(hello["handlers"])) < 256 * 1024


class Stranger:
    """One stranger on sockets that this test has bound."""

    def __init__(self, folder: Path, role: str, parameters: dict[str, Any]) -> None:
        self.context = zmq.Context()
        self.steps, self.results = self.context.socket(zmq.XPUB), self.context.socket(zmq.SUB)
        for name, socket in (("steps", self.steps), ("results", self.results)):
            socket.bind(f"ipc://{folder}/{name}")
            socket.setsockopt(zmq.RCVTIMEO, int(20_000 * procs.PATIENCE))
        self.results.subscribe(b"workers ")
        places = [f"ipc://{folder}/{name}" for name in ("steps", "results")]
        command = [sys.executable, str(HERE / "stranger.py"), role, *places, json.dumps(parameters)]
        self.process = procs.Process(command, folder / "log", env={"PYTHONPATH": str(ROOT)})

    def close(self) -> None:
        self.process.kill()
        self.context.destroy(linger=0)


@pytest.fixture
def start(short_dir: Path):
    started: list[Stranger] = []

    def begin(role: str, **parameters: Any) -> Stranger:
        started.append(Stranger(short_dir, role, parameters))
        return started[-1]

    yield begin
    for stranger in started:
        stranger.close()


def test_a_subscriber_stops_once_its_subscription_has_arrived(start):
    stranger = start("stop_reading", topic="steps")
    assert stranger.steps.recv() == b"\x01steps"
    stranger.steps.send(b"steps.00ff {}")
    stranger.process.wait_for_output("proof: subscribed to 'steps', receiving, and stopped")
    status = Path(f"/proc/{stranger.process.pid}/status")
    procs.wait_until(lambda: "\nState:\tT" in status.read_text(), 10, "it is stopped")


def test_a_flood_subscribes_to_all_of_it(start):
    stranger = start("flood", topics=500)
    topics = {stranger.steps.recv() for _ in range(500)}
    assert len(topics) == 500
    stranger.process.wait_for_output("proof: flooded with 500 subscriptions")


def test_a_session_greets_proves_itself_and_beats_at_the_borders(start):
    stranger = start("greet", session="00ff12ab34cd56ef", kind="numbers")
    assert {stranger.steps.recv() for _ in range(2)} == {
        b"\x01steps.00ff12ab34cd56ef ",
        b"\x01control.00ff12ab34cd56ef ",
    }

    def heard(kind: str) -> dict[str, Any]:
        while (message := json.loads(stranger.results.recv().partition(b" ")[2]))["message_type"] != kind:
            pass
        return message

    def say(topic: str, **message: Any) -> None:
        stranger.steps.send(f"{topic}.00ff12ab34cd56ef {json.dumps(message)}".encode())

    assert heard("hello")["capacity"] == 2**31 - 1
    say("control", message_type="welcome", capacity=50)
    say("steps", message_type="probe", nonce="7-1")
    assert heard("ready")["nonce"] == "7-1"
    assert heard("worker_heartbeat")["seen_n"] == heard("start_request")["n"] == 2**63 - 1
    stranger.process.wait_for_output("proof: welcomed with numbers at the border, capacity 50")


def test_a_slot_that_is_to_stay_away_does_and_then_comes_back(tmp_path: Path):
    slot = Slot("sleeper", ["sleep", "600"], tmp_path, dict)
    slot.start()
    try:
        first, sent = slot.pid, slot.signals
        assert slot.stay_away(0.5) and slot.signals == sent + 1
        until = slot.away_until
        assert slot.process is not None and slot.process.wait(10) < 0
        slot.tend(lambda: 0.0)
        while slot.pid is None:
            slot.tend(lambda: 0.0)
        assert slot.pid != first and time.monotonic() >= until
        assert slot.kill_and_wait() and slot.pid is None
    finally:
        slot.kill()


def test_the_report_counts_what_strangers_and_logs_say(tmp_path: Path):
    (tmp_path / "log").write_text("proof: the one\nproof: the one\nother\n")
    (tmp_path / "slot").write_text(
        'x warning a connection to the steps endpoint was ended cause="it floods" peer="p"\n'
        'msg="new epoch" worker_id=w epoch=4\nmsg="new epoch" worker_id=w epoch=2\n'
    )
    peer = SimpleNamespace(log=tmp_path / "log", output=(tmp_path / "log").read_text)
    database = SimpleNamespace(value=lambda _query: 3)
    world: Any = SimpleNamespace(
        proofs={"done": 1}, peers=[peer], slots=[SimpleNamespace(log=tmp_path / "slot")], database=database
    )
    assert report.happened(world) == {
        "done": 1,
        "the one": 2,
        "connections ended: it floods": 1,
        "a worker followed a lower epoch": 1,
        "steps too large": 3,
    }


def test_a_role_that_does_not_exist_ends_at_once():
    done = subprocess.run(
        [sys.executable, str(HERE / "stranger.py"), "dance", "x", "y", "{}"],
        capture_output=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1
