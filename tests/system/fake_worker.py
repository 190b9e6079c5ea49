"""A worker written by hand: says what a test tells it, byte for byte, and remembers what it hears."""

from __future__ import annotations

import json
import os
import queue
import socket
import secrets
import threading
import time
from datetime import datetime, timezone
from typing import Any, Optional

import zmq

from parts import System, wait_until

HEARTBEAT_S = 0.5


def now() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


class FakeWorker:
    """One session. Its thread owns the sockets and does the handshake, heartbeats and acceptance by itself.

    accepts=False answers batches with silence; heartbeats then list nothing, so nothing counts as accepted.
    """

    def __init__(self, system: System, handlers: list[str], accepts: bool = True, capacity: int = 10) -> None:
        self.system = system
        self.session = secrets.token_hex(8)
        self.worker_id = f"fake-{self.session}"
        self.handlers = handlers
        self.accepts = accepts
        self.capacity = capacity
        self.batch_frames: list[bytes] = []
        self.acked: list[tuple[str, int]] = []
        self.refused: dict[tuple[str, int], str] = {}
        self.heard: list[dict[str, Any]] = []
        self.held: dict[tuple[str, int], dict[str, Any]] = {}
        self.outgoing: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.wake, self.waker = socket.socketpair()
        self.waker.setblocking(False)
        self.ending = False
        self.failure: Optional[BaseException] = None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> FakeWorker:
        self.thread.start()
        wait_until(self.is_ready, "the fake worker's session is ready", on_fail=self.system.logs)
        return self

    def __exit__(self, *_: Any) -> None:
        self.say("goodbye", reason="done")
        self.ending = True
        self.wake_up()
        self.thread.join()
        self.wake.close()
        self.waker.close()
        if self.failure:
            raise self.failure

    def is_ready(self) -> bool:
        sessions = self.system.health()["workers"]
        return any(s["session"] == self.session and s["state"] == "ready" for s in sessions)

    # ------------------------------------------------------------------ what the thread does

    def run(self) -> None:
        steps = self.system.context.socket(zmq.SUB)
        results = self.system.context.socket(zmq.PUB)
        try:
            self.converse(steps, results)
        except BaseException as failure:  # shown by __exit__, in the test's own thread
            self.failure = failure
        finally:
            steps.close(linger=0)
            results.close(linger=1000)

    def converse(self, steps: zmq.Socket[bytes], results: zmq.Socket[bytes]) -> None:
        steps.setsockopt(zmq.RCVHWM, 0)
        results.setsockopt(zmq.SNDHWM, 0)
        steps.connect(self.system.endpoints["steps"])
        results.connect(self.system.endpoints["results"])
        steps.subscribe(f"steps.{self.session} ".encode())
        steps.subscribe(f"control.{self.session} ".encode())
        poller = zmq.Poller()
        poller.register(steps, zmq.POLLIN)
        poller.register(self.wake, zmq.POLLIN)
        next_beat = 0.0
        while True:
            if time.monotonic() >= next_beat:
                self.beat()
                next_beat = time.monotonic() + HEARTBEAT_S
            self.flush(results)
            if self.ending:
                return
            ready = dict(poller.poll(max(0, int((next_beat - time.monotonic()) * 1000))))
            if self.wake.fileno() in ready:
                self.wake.recv(4096)
            if steps in ready:
                self.hear(steps.recv())

    def flush(self, results: zmq.Socket[bytes]) -> None:
        while True:
            try:
                results.send(self.outgoing.get_nowait())
            except queue.Empty:
                return

    def beat(self) -> None:
        welcomed = any(message["message_type"] == "welcome" for message in self.heard)
        if not welcomed:
            fields = {"worker_id": self.worker_id, "language": "test", "sdk_version": "0", "host": "test"}
            self.say(
                "hello",
                **fields,
                namespaces=["*"],
                handlers=self.handlers,
                capacity=self.capacity,
                pid=os.getpid(),
                **self.inventory(),
            )
            return
        self.say("worker_heartbeat", seen_n=0, oldest_unacked_ms=0, free=self.capacity, **self.inventory())

    def inventory(self) -> dict[str, Any]:
        return {"held": list(self.held.values()), "running": [], "unacked": []}

    def hear(self, frame: bytes) -> None:
        topic, _, body = frame.partition(b" ")
        message = json.loads(body)
        if message["message_type"] == "step_batch_request":
            assert topic == f"steps.{self.session}".encode()
            if self.accepts:
                for step in message["steps"]:
                    self.held[message["batch_id"], step["step_id"]] = reference(message, step)
                self.say("batch_accepted", batch_id=message["batch_id"])
            self.batch_frames.append(frame)
        elif message["message_type"] == "ack":
            for batch in message.get("batches") or []:
                self.acked += [(batch["batch_id"], sequence) for sequence in batch["sequences"]]
            for refusal in message.get("rejected") or []:
                self.refused[refusal["batch_id"], refusal["sequence"]] = refusal["code"]
        elif message["message_type"] == "probe":
            self.say("ready", nonce=message["nonce"], **self.inventory())
        self.heard.append(message)

    # ------------------------------------------------------------------ what a test says

    def send(self, frame: bytes) -> None:
        self.outgoing.put(frame)
        self.wake_up()

    def wake_up(self) -> None:
        try:
            self.waker.send(b"!")
        except BlockingIOError:
            pass  # full of wake-ups that it has not read yet: one more is not needed

    def say(self, kind: str, topic: str = "workers", **fields: Any) -> None:
        message = {"message_type": kind, "protocol_version": "1.0", "session": self.session, **fields}
        self.send(topic.encode() + b" " + json.dumps(message).encode())

    def partial_message(
        self, batch: dict[str, Any], step: dict[str, Any], sequence: int, **fields: Any
    ) -> dict[str, Any]:
        return {
            "message_type": "partial_result",
            "protocol_version": "1.0",
            "batch_id": batch["batch_id"],
            "step_id": step["step_id"],
            "attempt": step["metadata"]["attempt"],
            "status": "completed",
            "worker_id": self.worker_id,
            "session": self.session,
            "sequence": sequence,
            "timestamp": now(),
            "execution_time_ms": 1,
            **fields,
        }

    def partial(self, batch: dict[str, Any], step: dict[str, Any], sequence: int, **fields: Any) -> bytes:
        """Sends a partial result and returns its frame, to be sent again."""
        self.held.pop((batch["batch_id"], step["step_id"]), None)
        frame = b"results " + json.dumps(self.partial_message(batch, step, sequence, **fields)).encode()
        self.send(frame)
        return frame

    def completion(self, batch: dict[str, Any], sequence: int, statuses: list[str], **fields: Any) -> bytes:
        summaries = [
            {"step_id": step["step_id"], "final_status": status}
            for step, status in zip(batch["steps"], statuses)
        ]
        completed = statuses.count("completed")
        message = {
            "message_type": "batch_completion",
            "protocol_version": "1.0",
            "batch_id": batch["batch_id"],
            "total_steps": len(statuses),
            "completed_steps": completed,
            "failed_steps": len(statuses) - completed,
            "in_progress_steps": 0,
            "step_summaries": summaries,
            "completed_at": now(),
            "worker_id": self.worker_id,
            "session": self.session,
            "sequence": sequence,
            **fields,
        }
        frame = b"results " + json.dumps(message).encode()
        self.send(frame)
        return frame

    # ------------------------------------------------------------------ what a test waits for

    def batch(self, number: int = 1) -> dict[str, Any]:
        """The number-th batch that came, counted from 1."""
        wait_until(
            lambda: len(self.batch_frames) >= number, f"batch {number} comes", on_fail=self.system.describe
        )
        message: dict[str, Any] = json.loads(self.batch_frames[number - 1].partition(b" ")[2])
        return message

    def wait_for_ack(self, batch: dict[str, Any], sequence: int, times: int = 1) -> None:
        key = (batch["batch_id"], sequence)
        wait_until(lambda: self.acked.count(key) >= times, f"ack of {key}", on_fail=self.system.describe)

    def wait_for_refusal(self, batch_id: str, sequence: int) -> str:
        key = (batch_id, sequence)
        return str(
            wait_until(lambda: self.refused.get(key), f"refusal of {key}", on_fail=self.system.describe)
        )


def reference(batch: dict[str, Any], step: dict[str, Any]) -> dict[str, Any]:
    return {"batch_id": batch["batch_id"], "step_id": step["step_id"], "attempt": step["metadata"]["attempt"]}
