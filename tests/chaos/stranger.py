"""A peer that is no worker of the system, as a process of its own: stranger.py ROLE STEPS RESULTS PARAMETERS

It prints a line "proof: …" for each thing that it has really done or been answered; the report counts them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from typing import Any, Callable

import zmq

Parameters = dict[str, Any]
BEAT_S = 0.5
MOST = {"int": 2**31 - 1, "long": 2**63 - 1}
NOWHERE = {
    "batch_id": "0198c5a4-7d1e-7c3a-9f10-2b6d5e4f3a21",
    "step_id": MOST["long"],
    "attempt": MOST["int"],
}


def proof(text: str) -> None:
    print(f"proof: {text}", flush=True)


def stop_reading(context: zmq.Context[Any], steps: str, _results: str, parameters: Parameters) -> None:
    """Subscribes to more than is its own, and stops as by Ctrl-Z."""
    subscriber = context.socket(zmq.SUB)
    subscriber.setsockopt(zmq.RCVHWM, 1)
    subscriber.setsockopt(zmq.RCVBUF, 4096)
    subscriber.setsockopt_string(zmq.SUBSCRIBE, parameters["topic"])
    events = subscriber.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    subscriber.connect(steps)
    # Either shows that the subscription has arrived.
    poller = zmq.Poller()
    poller.register(subscriber, zmq.POLLIN)
    poller.register(events, zmq.POLLIN)
    answer = "disconnected" if events in dict(poller.poll()) else "receiving"
    proof(f"subscribed to {parameters['topic']!r}, {answer}, and stopped")
    os.kill(os.getpid(), signal.SIGSTOP)


def flood(context: zmq.Context[Any], steps: str, _results: str, parameters: Parameters) -> None:
    """Subscribes without end: disconnected, the socket connects again and subscribes to all of it."""
    greedy = context.socket(zmq.SUB)
    greedy.setsockopt(zmq.SNDHWM, 0)
    monitor = greedy.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    greedy.connect(steps)
    for number in range(parameters["topics"]):
        greedy.setsockopt_string(zmq.SUBSCRIBE, f"topic {number}")
    while True:
        monitor.recv_multipart()
        proof(f"flooded with {parameters['topics']} subscriptions")


def hello_of(session: str, kind: str) -> Parameters:
    """What the schema allows at most (`names`: and one character that it does not)."""
    count = 10_000 if kind == "handlers" else 3
    return {
        "worker_id": "a bell\u0007 and a \u202eturn" if kind == "names" else f"stranger-{session}",
        "language": "x",
        "sdk_version": "x",
        "host": socket.gethostname(),
        "pid": MOST["int"] if kind == "numbers" else os.getpid(),
        "namespaces": ["*"],
        "handlers": [f"Stranger::H{number}" for number in range(count)],
        "capacity": 1 if kind == "names" else MOST["int"],
        "prefetch": 1 if kind == "names" else MOST["int"],
    }


class Session:
    """Greets, proves itself and beats, with numbers at their borders in everything that it says."""

    def __init__(self, context: zmq.Context[Any], steps: str, results: str, parameters: Parameters) -> None:
        self.session, self.kind = parameters["session"], parameters["kind"]
        self.steps, self.results = context.socket(zmq.SUB), context.socket(zmq.PUB)
        self.results.connect(results)
        self.steps.connect(steps)
        for topic in ("steps", "control"):
            self.steps.setsockopt_string(zmq.SUBSCRIBE, f"{topic}.{self.session} ")
        self.welcomed = False

    def say(self, kind: str, **fields: Any) -> None:
        message = {"message_type": kind, "protocol_version": "1.0", "session": self.session, **fields}
        self.results.send(b"workers " + json.dumps(message).encode())

    def inventory(self) -> Parameters:
        listed = [NOWHERE] if self.kind == "numbers" else []
        return {"held": listed, "running": [], "unacked": listed}

    def run(self) -> None:
        next_beat = 0.0
        while True:
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + BEAT_S
                self.beat()
            if self.steps.poll(max(0, int((next_beat - time.monotonic()) * 1000))):
                self.hear(json.loads(self.steps.recv().partition(b" ")[2]))

    def beat(self) -> None:
        if not self.welcomed:
            self.say("hello", **hello_of(self.session, self.kind), **self.inventory())
            return
        fields = {"seen_n": MOST["long"], "free": MOST["int"], "oldest_unacked_ms": MOST["long"]}
        self.say("worker_heartbeat", **fields, **self.inventory())
        self.say("start_request", **NOWHERE, n=MOST["long"])

    def hear(self, message: Parameters) -> None:
        kind = message["message_type"]
        if kind == "welcome" and not self.welcomed:
            self.welcomed = True
            proof(f"welcomed with {self.kind} at the border, capacity {message['capacity']}")
        elif kind == "refused":
            proof(f"refused with {self.kind} at the border ({message['code']})")
        elif kind == "probe" and self.welcomed:
            self.say("ready", nonce=message["nonce"], **self.inventory())


def greet(context: zmq.Context[Any], steps: str, results: str, parameters: Parameters) -> None:
    Session(context, steps, results, parameters).run()


ROLES: dict[str, Callable[[zmq.Context[Any], str, str, Parameters], None]] = {
    "stop_reading": stop_reading,
    "flood": flood,
    "greet": greet,
}


if __name__ == "__main__":
    ROLES[sys.argv[1]](zmq.Context(), sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
