"""An orchestrator small enough to be driven by a test: it binds, remembers what comes, sends what it is told.

It runs in the test's own thread: nothing happens except inside `wait` and `pump`, so a test decides when a
message is read and answered. The worker on the other side is a real process.
"""

import itertools
import json
import os
import time
import uuid
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional

import zmq

from tasker_worker.wire import codec

LIMIT_S = 20.0
NOW = "2026-01-02T03:04:05.000000Z"


@dataclass
class Received:
    """One message from a worker: its object, its bytes, and when it was read (monotonic)."""

    topic: str
    body: Dict[str, Any]
    frame: bytes
    at: float


def a_step(step_id: int, handler_class: str, /, **changes: Any) -> Dict[str, Any]:
    """A step request; keyword arguments replace fields, those of the metadata included."""
    metadata = {
        "attempt": 1,
        "retry_limit": 3,
        "timeout_ms": 30_000,
        "sequence": 1,
        "total_steps": 1,
        "created_at": NOW,
        "idempotency_key": f"installation-{step_id}",
    }
    step = {
        "step_id": step_id,
        "task_id": 7,
        "namespace": "tests",
        "task_name": "tests",
        "task_version": "1.0.0",
        "step_name": f"step_{step_id}",
        "handler_class": handler_class,
        "handler_config": {},
        "task_context": {},
        "previous_results": {},
        "metadata": metadata,
    }
    for key, value in changes.items():
        (metadata if key in metadata or key == "claim_first" else step)[key] = value
    return step


class FakeOrchestrator:
    """Binds `steps` (XPUB) and `results` (SUB) below `folder`."""

    def __init__(self, folder: str, epoch: int = 1, heartbeat_ms: int = 200, resend_ms: int = 300) -> None:
        self.epoch = epoch
        self.heartbeat_ms = heartbeat_ms
        self.resend_ms = resend_ms
        self.auto_ack = True
        self.answers_hello = True
        self.beats = True
        self.limits = {"batch_bytes": 2**24, "result_bytes": 2**20, "depth": 64}
        self.received: List[Received] = []
        self.subscribed: List[bytes] = []
        self.steps_endpoint = f"ipc://{os.path.join(folder, 'steps')}"
        self.results_endpoint = f"ipc://{os.path.join(folder, 'results')}"
        self.session = ""
        #: the session whose hello waits for its welcome
        self._greeted = ""
        self._context = zmq.Context()
        self._numbers = itertools.count(1)
        self._next_beat = 0.0
        self._bind()

    def _bind(self) -> None:
        self._steps = self._context.socket(zmq.XPUB)
        self._steps.setsockopt(zmq.XPUB_VERBOSER, 1)
        self._steps.setsockopt(zmq.LINGER, 0)
        self._results = self._context.socket(zmq.SUB)
        self._results.setsockopt(zmq.RCVHWM, 0)
        self._results.setsockopt(zmq.LINGER, 0)
        self._results.setsockopt(zmq.SUBSCRIBE, b"workers ")
        self._results.setsockopt(zmq.SUBSCRIBE, b"results ")
        self._steps.bind(self.steps_endpoint)
        self._results.bind(self.results_endpoint)
        self._poller = zmq.Poller()
        self._poller.register(self._steps, zmq.POLLIN)
        self._poller.register(self._results, zmq.POLLIN)

    def restart(self, epoch: int) -> None:
        """Dies and comes back with another epoch, as far as sockets can tell."""
        self._steps.close(0)
        self._results.close(0)
        self.subscribed.clear()
        self.epoch = epoch
        self._bind()

    def close(self) -> None:
        self._steps.close(0)
        self._results.close(0)
        self._context.term()

    # ------------------------------------------------------------------ sending

    def send(self, topic: str, message_type: str, **fields: Any) -> None:
        body = {
            "message_type": message_type,
            "protocol_version": "1.0",
            "orchestrator_id": "fake",
            "epoch": self.epoch,
            **fields,
        }
        self._steps.send(codec.make_frame(topic, json.dumps(body)))

    def control(self, message_type: str, **fields: Any) -> None:
        self.send(f"control.{self.session}", message_type, **fields)

    def heartbeat(self) -> None:
        self.control("heartbeat", n=next(self._numbers))

    def batch(self, steps: List[Dict[str, Any]], batch_id: Optional[str] = None) -> str:
        """Sends a batch to the session; returns its id."""
        batch_id = batch_id or str(uuid.uuid4())
        self.send(
            f"steps.{self.session}",
            "step_batch_request",
            batch_id=batch_id,
            handler_class=steps[0]["handler_class"] if steps else "Tests::Echo",
            steps=steps,
        )
        return batch_id

    def ack(self, message: Received) -> None:
        body = message.body
        acked = [{"batch_id": body["batch_id"], "sequences": [body["sequence"]]}]
        self.control("ack", session=self.session, batches=acked, rejected=[])

    # ------------------------------------------------------------------ receiving

    def pump(self, timeout_ms: int = 10) -> None:
        """Reads everything that has come and does what is automatic."""
        now = time.monotonic()
        if self.beats and self.session and now >= self._next_beat:
            self._next_beat = now + self.heartbeat_ms / 1000
            self.heartbeat()
        self._poller.poll(timeout_ms)
        for event in self._drain(self._steps):
            self.subscribed.append(event)
            if event.startswith(b"\x01control.") and self.beats:
                self.send(event[1:].decode().strip(), "heartbeat", n=next(self._numbers))
        for frame in self._drain(self._results):
            topic, body = codec.split_frame(frame)
            codec.decode_worker_message(body)  # whatever a worker sends must be valid
            message = Received(topic.decode(), json.loads(body), frame, time.monotonic())
            self.received.append(message)
            self._react(message)
        # A hello may come before the subscriptions, which travel on another connection.
        if self._greeted and self.answers_hello and self._is_subscribed(f"control.{self._greeted} "):
            self.welcome()

    def _is_subscribed(self, topic: str) -> bool:
        return b"\x01" + topic.encode() in self.subscribed

    @staticmethod
    def _drain(socket: Any) -> List[bytes]:
        frames = []
        while True:
            try:
                frames.append(socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                return frames

    def _react(self, message: Received) -> None:
        kind = message.body["message_type"]
        if kind == "hello":
            self.session = self._greeted = message.body["session"]
        elif self.auto_ack and "sequence" in message.body and message.body.get("status") != "in_progress":
            self.ack(message)

    def welcome(self) -> None:
        self._greeted = ""
        self.control(
            "welcome",
            session=self.session,
            heartbeat_ms=self.heartbeat_ms,
            lease_ms=8000,
            resend_ms=self.resend_ms,
            limits=self.limits,
        )

    def wait(self, what: str, found: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
        """Pumps until `found` returns something true, and returns that; fails after the limit."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            result = found()
            if result:
                return result
            self.pump()
        seen = [message.body for message in self.received[-10:]]
        raise AssertionError(f"waited {limit_s} s for {what}; the last messages were {seen}")

    def of(self, message_type: str, since: int = 0, **fields: Any) -> List[Received]:
        """Messages of a type (from index `since` of `received` on) whose fields have these values."""
        return [
            message
            for message in self.received[since:]
            if message.body["message_type"] == message_type
            and all(message.body.get(key) == value for key, value in fields.items())
        ]

    def wait_for(self, message_type: str, since: int = 0, count: int = 1, **fields: Any) -> Received:
        """Waits until `count` such messages have come and returns the last of them."""
        messages: List[Received] = self.wait(
            f"{count} x {message_type} {fields}",
            lambda: len(found := self.of(message_type, since, **fields)) >= count and found,
        )
        return messages[count - 1]

    def handshake(self) -> Dict[str, Any]:
        """hello → welcome → probe → ready; returns the hello."""
        since = len(self.received)
        hello = self.wait_for("hello", since)
        if self.answers_hello:
            self.wait("the welcome", lambda: not self._greeted)
        # A further hello may cross the welcome; the probe goes to the session that spoke.
        self.probe("n-1")
        return hello.body

    def probe(self, nonce: str) -> Received:
        self.wait("the steps subscription", lambda: self._is_subscribed(f"steps.{self.session} "))
        since = len(self.received)
        self.send(f"steps.{self.session}", "probe", nonce=nonce)
        return self.wait_for("ready", since, nonce=nonce)
