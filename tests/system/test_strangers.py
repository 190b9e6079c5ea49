"""Peers that are no workers of this system: what one of them does must not stop the others."""

from __future__ import annotations

import json
import re
import signal
import socket
import struct
import uuid
from pathlib import Path

import pytest
import zmq

from checks import assert_all_consistent
from fault_tools import SANITIZER_KIB
from parts import Process, System, SystemFactory, wait_until
from workers import NOOP, PYTHON_PATTERNS, RUBY_PATTERNS, chain

TASKS, STEPS = 250, 4
# So short that a peer which reads nothing is in the way after some dozens of batches.
SHORT_QUEUE = {"step_execution": {"step_queue_hwm": 10}}
# 10 MB in all: more than the kernel keeps for a connection (4 MiB over tcp) and the queue together.
FILLER = "x" * 10_000

SUBSCRIBER = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.setsockopt(zmq.RCVHWM, 1)
socket.setsockopt(zmq.RCVBUF, 4096)
socket.setsockopt_string(zmq.SUBSCRIBE, sys.argv[2])
socket.connect(sys.argv[1])
while True:
    socket.recv()
    print("a message has come", flush=True)
"""


def subscriber(system: System, topic: str) -> Process:
    return system.start(
        "stranger",
        ["/usr/bin/python3", "-c", SUBSCRIBER, system.endpoints["steps"], topic],
    )


def cuts(system: System) -> int:
    return int(system.health()["io"]["connections_cut"])


def run_all(system: System) -> None:
    system.load_template(chain("many", NOOP, STEPS))
    system.submit_many("tests", "many", [{"filler": FILLER}] * TASKS)
    system.wait_for_end(60)
    complete = "SELECT count(*) FROM tasker_workflow_steps WHERE state = 'complete'"
    assert system.value(complete) == TASKS * STEPS
    assert_all_consistent(system)


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
@pytest.mark.parametrize("topic", ["", "steps", "steps.", "c"])
def test_a_stopped_subscriber_of_everything_stops_nobody(
    make_system: SystemFactory, transport: str, topic: str
) -> None:
    system = make_system(transport, SHORT_QUEUE)
    assert system.orchestrator
    system.python_worker("python", PYTHON_PATTERNS)
    stranger = subscriber(system, topic)
    if topic == "steps":  # an old plain worker, as long as it reads
        system.orchestrator.wait_for_log("plain worker subscribed")
    else:
        system.orchestrator.wait_for_log("a connection to the steps endpoint was ended")
    stranger.signal(signal.SIGSTOP)
    run_all(system)
    assert cuts(system) >= 1
    stranger.kill()


def test_a_stopped_stranger_on_the_topic_of_a_session_stops_nobody(
    make_system: SystemFactory,
) -> None:
    system = make_system("ipc", SHORT_QUEUE)
    for name in ("one", "two"):
        system.python_worker(name, PYTHON_PATTERNS)
    (session,) = [w["session"] for w in system.health()["workers"] if w["worker_id"] == "one"]
    stranger = subscriber(system, f"steps.{session} ")
    stranger.wait_for_log("a message has come")  # the session is proven anew: its probe reaches both
    stranger.signal(signal.SIGSTOP)
    run_all(system)
    stranger.kill()


class RawSubscriber:
    """A SUB that speaks ZMTP 3.0 by hand, since libzmq sends no end of a subscription that it never began."""

    def __init__(self, endpoint: str) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(10)
        self.connection.connect(endpoint.removeprefix("ipc://"))
        self.connection.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
        self.receive(64)
        ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 3) + b"SUB"
        self.connection.sendall(bytes([4, len(ready)]) + ready)
        (_, size) = self.receive(2)
        self.receive(size)

    def receive(self, size: int) -> bytes:
        text = b""
        while len(text) < size:
            part = self.connection.recv(size - len(text))
            assert part, "the connection was ended"
            text += part
        return text

    def send(self, message: bytes) -> None:
        self.connection.sendall(bytes([0, len(message)]) + message)

    def is_ended(self) -> bool:
        self.connection.settimeout(0.01)
        try:
            return self.connection.recv(4096) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True


@pytest.mark.parametrize("topic", ["steps", "control"])
def test_nobody_ends_the_subscription_of_another(make_system: SystemFactory, topic: str) -> None:
    system = make_system()
    assert system.orchestrator
    system.python_worker("one", PYTHON_PATTERNS)
    (session,) = [w["session"] for w in system.health()["workers"]]
    stranger = RawSubscriber(system.endpoints["steps"])
    stranger.send(b"\0" + f"{topic}.{session} ".encode())
    wait_until(stranger.is_ended, "the stranger is disconnected", 10, system.logs)
    system.orchestrator.wait_for_log("it ends a subscription that it never began")
    run_all(system)
    (worker,) = system.health()["workers"]
    assert (worker["session"], worker["state"]) == (session, "ready")


def test_a_worker_that_is_stopped_is_the_one_that_gets_no_work(
    make_system: SystemFactory,
) -> None:
    system = make_system("ipc", SHORT_QUEUE)
    stopped = system.python_worker("stopped", PYTHON_PATTERNS)
    system.python_worker("other", PYTHON_PATTERNS)
    stopped.signal(signal.SIGSTOP)
    system.load_template(chain("many", NOOP, STEPS))
    system.submit_many("tests", "many", [{"filler": FILLER}] * TASKS)

    def is_suspect() -> bool:
        states = {w["worker_id"]: w["state"] for w in system.health()["workers"]}
        assert states["other"] == "ready", system.logs()
        return states["stopped"] in ("suspect", "lost")

    wait_until(is_suspect, "the stopped worker gets no work", 20, system.logs)
    system.wait_for_end(60)
    complete = "SELECT count(*) FROM tasker_workflow_steps WHERE state = 'complete'"
    assert system.value(complete) == TASKS * STEPS
    stopped.signal(signal.SIGCONT)
    system.wait_for_verdicts()
    # What lay in its queue when it stopped came back when its session ended; that explains each such batch.
    odd = system.rows(
        "SELECT b.batch_id, w.worker_id, d.kind, d.explained_by"
        " FROM tasker_step_execution_batches b"
        " LEFT JOIN tasker_workers w USING (session)"
        " LEFT JOIN tasker_reconciliation_discrepancies d USING (batch_id)"
        " WHERE b.reconciliation_status <> 'consistent'"
    )
    assert all((row["worker_id"], row["explained_by"]) == ("stopped", "session_lost") for row in odd), odd
    assert len({row["batch_id"] for row in odd}) <= TASKS * STEPS // 10 // 2, odd


FLOODER = """
import sys, zmq
socket = zmq.Context().socket(zmq.XPUB)
socket.connect(sys.argv[1])
socket.recv()  # somebody listens
frames = [b"results {no json", b"workers " + b"x" * 10000, b"results " + sys.argv[2].encode()]
while True:
    for frame in frames:
        socket.send(frame)
"""


def test_a_flood_of_results_fills_neither_memory_nor_tables_nor_stops_work(
    make_system: SystemFactory,
) -> None:
    system = make_system()
    assert system.orchestrator
    system.python_worker("python", PYTHON_PATTERNS)
    unknown = {
        "message_type": "batch_completion",
        "batch_id": str(uuid.uuid4()),
        "total_steps": 1,
        "completed_steps": 1,
        "failed_steps": 0,
        "in_progress_steps": 0,
        "step_summaries": [],
        "completed_at": "2026-03-01T12:00:00Z",
        "worker_id": "nobody",
        "sequence": 1,
    }
    flood = system.start(
        "flood",
        [
            "/usr/bin/python3",
            "-c",
            FLOODER,
            system.endpoints["results"],
            json.dumps(unknown),
        ],
    )
    wait_until(
        lambda: system.health()["io"]["frames_flooded"] > 50_000,
        "the flood is dropped",
        30,
    )
    run_all(system)
    status = Path(f"/proc/{system.orchestrator.pid}/status").read_text()
    (resident_kb,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
    assert int(resident_kb) < 500_000 + SANITIZER_KIB
    # 60 a minute of each code that cannot be read, and 600 of each lane about unknown batches.
    assert system.value("SELECT count(*) FROM tasker_rejected_messages") < 4000
    flood.kill()


def test_a_flood_of_subscriptions_is_ended_and_logs_little(
    make_system: SystemFactory,
) -> None:
    system = make_system()
    assert system.orchestrator
    system.python_worker("python", PYTHON_PATTERNS)
    with system.context.socket(zmq.SUB) as greedy:
        greedy.setsockopt(zmq.LINGER, 0)
        greedy.setsockopt(zmq.SNDHWM, 0)
        greedy.setsockopt(zmq.RECONNECT_IVL, -1)
        greedy.connect(system.endpoints["steps"])
        for number in range(50_000):
            greedy.setsockopt(zmq.SUBSCRIBE, f"topic {number} {'x' * 200}".encode())
        system.orchestrator.wait_for_log("it subscribes without end")
    run_all(system)
    assert len(system.orchestrator.output()) < 1_000_000


@pytest.mark.parametrize("host", ["[::1]", "localhost"])
def test_workers_reach_the_orchestrator_by_ipv6_and_by_name(make_system: SystemFactory, host: str) -> None:
    system = make_system("tcp", start=False)
    system.endpoints = {
        part: endpoint.replace("127.0.0.1", host) for part, endpoint in system.endpoints.items()
    }
    system.context.setsockopt(zmq.IPV6, int(host == "[::1]"))  # of this test's own sockets
    system.start_orchestrator()
    system.load_template(chain("one", NOOP, 2))
    for start, handlers in (
        (system.python_worker, PYTHON_PATTERNS),
        (system.ruby_worker, RUBY_PATTERNS),
    ):
        worker = start("worker", handlers)
        system.wait_for_task(system.submit("tests/one", {}), "complete")
        assert worker.stop() == 0
