"""The orchestrator's side of the wire for one rule: it binds, keeps what comes, and sends what it is told.

It runs in the rule's own thread: nothing is read or answered except inside `wait` and `pass_time`, so a rule
decides when. Automatic are, as long as they are switched on: heartbeats, the welcome after a hello, acks.
"""

import itertools
import json
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import zmq

from . import frames
from .errors import Stopped, Violation
from .frames import Received

WAIT_S = 8.0
LAST_WORDS_S = 0.5
LIMITS = {"batch_bytes": 2**24, "result_bytes": 2**20, "depth": 64}


class Watch:
    """How long a rule may take, and how patient its waits are; `stop` ends every rule at once."""

    def __init__(self, limit_s: float, patience: float, stop: threading.Event) -> None:
        self.patience = patience
        self._limit_s = limit_s * patience
        self._end = time.monotonic() + self._limit_s
        self._stop = stop

    def check(self) -> None:
        if self._stop.is_set():
            raise Stopped()
        if time.monotonic() > self._end:
            raise Violation(f"the rule was not over within its limit of {self._limit_s:.0f} s")


@dataclass(frozen=True)
class Subscription:
    """What the steps socket saw: a topic that was subscribed to (`on`) or given up."""

    on: bool
    topic: str
    at: float


class Orchestrator:
    """One orchestrator on a pair of endpoints (steps, results).

    `delivers_all`: every frame goes to every subscriber, so that the worker itself must compare topics.
    """

    def __init__(
        self,
        endpoints: Tuple[str, str],
        watch: Watch,
        epoch: int = 1,
        heartbeat_ms: int = 300,
        lease_ms: int = 8000,
        resend_ms: int = 5000,
        limits: Optional[Dict[str, int]] = None,
        delivers_all: bool = False,
    ) -> None:
        self.steps_endpoint, self.results_endpoint = endpoints
        self.epoch = epoch
        #: what welcome and heartbeats name; None: nothing, like an orchestrator of an earlier release
        self.installation: Optional[str] = None
        self.heartbeat_ms = heartbeat_ms
        self.lease_ms = lease_ms
        self.resend_ms = resend_ms
        self.limits = {**LIMITS, **(limits or {})}
        self.delivers_all = delivers_all
        self.answers_hello = True
        self.acks = True
        self.beats = True
        self.session = ""
        self.received: List[Received] = []
        self.subscriptions: List[Subscription] = []
        self.watch = watch
        #: asked in each wait; returns why waiting is vain (the worker is gone), or None
        self.hopeless: Callable[[], Optional[str]] = lambda: None
        self._numbers = itertools.count(1)
        self._next_beat = 0.0
        self._unanswered: Optional[str] = None
        self._context: "zmq.Context[zmq.Socket[bytes]]" = zmq.Context()
        self._bound = False
        self.bind()

    # ------------------------------------------------------------------ sockets

    def bind(self) -> None:
        self._steps = self._context.socket(zmq.XPUB)
        self._steps.setsockopt(zmq.XPUB_MANUAL if self.delivers_all else zmq.XPUB_VERBOSER, 1)
        self._steps.setsockopt(zmq.SNDHWM, 0)
        self._results = self._context.socket(zmq.SUB)
        self._results.setsockopt(zmq.RCVHWM, 0)
        self._results.setsockopt(zmq.SUBSCRIBE, b"")
        for socket, endpoint in ((self._steps, self.steps_endpoint), (self._results, self.results_endpoint)):
            socket.setsockopt(zmq.LINGER, 0)
            self._bind_soon(socket, endpoint)
        self._poller = zmq.Poller()
        self._poller.register(self._steps, zmq.POLLIN)
        self._poller.register(self._results, zmq.POLLIN)
        self._bound = True

    def _bind_soon(self, socket: Any, endpoint: str) -> None:
        """libzmq gives an address free a moment after its socket was closed."""
        while True:
            try:
                socket.bind(endpoint)
                return
            except zmq.ZMQError as error:
                if error.errno != zmq.EADDRINUSE:
                    raise
                self.watch.check()
                time.sleep(0.01)

    def unbind(self) -> None:
        """Dies, as far as sockets can tell; `bind` brings it back."""
        self._steps.close(0)
        self._results.close(0)
        self.subscriptions.clear()
        self._bound = False

    def close(self) -> None:
        self._context.destroy(linger=0)

    # ------------------------------------------------------------------ sending

    def send_frame(self, frame: bytes) -> None:
        self._steps.send(frame)

    def send(self, topic: str, message_type: str, **fields: Any) -> None:
        """A message; None leaves a field out, so that also the common ones can be left out."""
        body = {
            "message_type": message_type,
            "protocol_version": "1.0",
            "orchestrator_id": "conformance",
            "epoch": self.epoch,
            **fields,
        }
        text = json.dumps({name: value for name, value in body.items() if value is not None})
        self.send_frame(f"{topic} {text}".encode())

    def control(self, message_type: str, **fields: Any) -> None:
        """A message on the session's control topic; `session` is filled in where the message has it."""
        if message_type not in ("heartbeat", "refused"):
            fields = {"session": self.session, **fields}
        self.send(f"control.{self.session}", message_type, **fields)

    def heartbeat(self, n: Optional[int] = None) -> None:
        number = next(self._numbers) if n is None else n
        self.control("heartbeat", n=number, installation=self.installation)

    def welcome(self) -> None:
        self.control(
            "welcome",
            heartbeat_ms=self.heartbeat_ms,
            lease_ms=self.lease_ms,
            resend_ms=self.resend_ms,
            limits=self.limits,
            installation=self.installation,
        )

    def batch(self, steps: Sequence[Dict[str, Any]], batch_id: Optional[str] = None, **fields: Any) -> str:
        """Sends a batch to the session; returns its id."""
        batch_id = batch_id or str(uuid.uuid4())
        for place, step in enumerate(steps, 1):
            step["metadata"].update(sequence=place, total_steps=len(steps))
        head = {"batch_id": batch_id, "handler_class": steps[0]["handler_class"], "steps": list(steps)}
        fields = {"topic": f"steps.{self.session}", "message_type": "step_batch_request", **head, **fields}
        self.send(**fields)
        return batch_id

    def probe(self, nonce: str) -> None:
        self.send(f"steps.{self.session}", "probe", nonce=nonce)

    def ack(self, *messages: Received) -> None:
        batches: Dict[str, List[int]] = {}
        for message in messages:
            batches.setdefault(message.body["batch_id"], []).append(message.body["sequence"])
        listed = [{"batch_id": batch_id, "sequences": numbers} for batch_id, numbers in batches.items()]
        self.control("ack", batches=listed, rejected=[])

    # ------------------------------------------------------------------ receiving

    def pump(self, timeout_ms: int = 10) -> None:
        """Reads everything that has come and does what is automatic."""
        self.watch.check()
        if not self._bound:
            time.sleep(timeout_ms / 1000)
            return
        now = time.monotonic()
        if self.beats and self.session and now >= self._next_beat:
            self._next_beat = now + self.heartbeat_ms / 1000
            self.heartbeat()
        self._poller.poll(timeout_ms)
        while (event := self._receive(self._steps)) is not None:
            self._on_subscription(event)
        while (frame := self._receive(self._results)) is not None:
            message = frames.read(frame, time.monotonic(), self.limits["result_bytes"])
            self.received.append(message)
            if message.body:
                self._on_message(message)

    @staticmethod
    def _receive(socket: Any) -> Optional[bytes]:
        try:
            frame: bytes = socket.recv(zmq.NOBLOCK)
            return frame
        except zmq.Again:
            return None

    def _on_subscription(self, event: bytes) -> None:
        if self.delivers_all:
            self._steps.setsockopt(zmq.SUBSCRIBE if event[:1] == b"\x01" else zmq.UNSUBSCRIBE, b"")
        topic = event[1:].decode("latin-1")
        self.subscriptions.append(Subscription(event[:1] == b"\x01", topic, time.monotonic()))
        if event.startswith(b"\x01control."):
            if self.beats:
                self.send(
                    topic.rstrip(" "), "heartbeat", n=next(self._numbers), installation=self.installation
                )
            self._answer_hello()

    def _on_message(self, message: Received) -> None:
        body = message.body
        if message.kind == "hello" and isinstance(body.get("session"), str):
            self.session = body["session"]
            self._unanswered = self.session
            self._answer_hello()
        elif self.acks and "sequence" in body and body.get("status") != "in_progress":
            self.ack(message)

    def _answer_hello(self) -> None:
        """Welcomes whoever said hello, once its subscription is there: before that nothing can reach it."""
        if self.answers_hello and self._unanswered and self.subscribed(f"control.{self._unanswered}"):
            self._unanswered = None
            self.welcome()

    def subscribed(self, topic: str) -> bool:
        """Whether somebody subscribes to a topic, with its space or without."""
        count = sum(1 if one.on else -1 for one in self.subscriptions if one.topic.rstrip(" ") == topic)
        return count > 0

    # ------------------------------------------------------------------ waiting

    def wait(self, what: str, found: Callable[[], Any], limit_s: float = WAIT_S) -> Any:
        """Pumps until `found` returns something true, and returns that; a Violation after the limit."""
        end = time.monotonic() + limit_s * self.watch.patience
        reason = None
        while True:
            result = found()
            if result:
                return result
            if reason is None and (reason := self.hopeless()) is not None:
                # What a worker sent before it ended may still be on its way.
                end = min(end, time.monotonic() + LAST_WORDS_S * self.watch.patience)
            if time.monotonic() > end:
                late = f" within {limit_s * self.watch.patience:.1f} s; {self.latest()}"
                raise Violation(f"no {what}: {reason}" if reason else f"no {what}{late}")
            self.pump()

    def pass_time(self, seconds: float) -> None:
        """Pumps for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump()

    def latest(self, count: int = 4) -> str:
        """The last messages, heartbeats aside, for people."""
        names = ("step_id", "status", "sequence", "reason", "nonce", "n")
        shown = []
        messages = [message for message in self.received if message.kind != "worker_heartbeat"]
        for message in messages[-count:]:
            details = [f"{name}={message.body[name]}" for name in names if name in message.body]
            shown.append(" ".join([message.kind, *details]))
        beats = len(self.received) - len(messages)
        last = f"the last messages were: {'; '.join(shown)}" if shown else "no message has come"
        return f"{last} ({beats} heartbeats in all)" if beats else last

    def mark(self) -> int:
        """A place in `received`, for `since`."""
        return len(self.received)

    def of(self, kind: str, since: int = 0, **fields: Any) -> List[Received]:
        """Messages of a kind (from index `since` on) whose fields have these values."""
        return [
            message
            for message in self.received[since:]
            if message.kind == kind and all(message.body.get(name) == value for name, value in fields.items())
        ]

    def get(
        self, kind: str, since: int = 0, count: int = 1, limit_s: float = WAIT_S, **fields: Any
    ) -> Received:
        """Waits until `count` such messages have come and returns the last of them."""
        wanted = " ".join([kind, *(f"{name}={value}" for name, value in fields.items())])
        times = f"{count} x " if count > 1 else ""

        def enough() -> bool:
            return len(self.of(kind, since, **fields)) >= count

        self.wait(times + wanted, enough, limit_s)
        return self.of(kind, since, **fields)[count - 1]

    def final(self, batch_id: str, step_id: int, since: int = 0, limit_s: float = WAIT_S) -> Received:
        """Waits for the final partial result of a step."""

        def finals() -> List[Received]:
            reports = self.of("partial_result", since, batch_id=batch_id, step_id=step_id)
            return [report for report in reports if report.body.get("status") != "in_progress"]

        self.wait(f"final partial_result of step {step_id}", finals, limit_s)
        return finals()[0]

    def ready(self, nonce: str) -> Received:
        """Probes and waits for the ready that answers."""
        self.wait("subscription to the steps topic", lambda: self.subscribed(f"steps.{self.session}"))
        since = self.mark()
        self.probe(nonce)
        return self.get("ready", since, nonce=nonce)

    def beat_of_now(self) -> Received:
        """The second heartbeat from now on: its lists were made after whatever has been sent until now."""
        return self.get("worker_heartbeat", self.mark(), count=2)
