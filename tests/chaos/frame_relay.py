"""A relay that knows ZeroMQ: forwards subscriptions; drops, doubles, delays or reorders single messages.

    frame_relay.py CONTROL_SOCKET SEED LINK…      LINK: name,endpoint to connect,endpoint to bind

A link whose name ends in `.steps` carries messages from the orchestrator (connected) to the workers (which
connect to what the relay binds); one that ends in `.results` carries the workers' messages to the
orchestrator. Subscriptions travel the other way, unharmed, so that both ends see each other come and go as
without a relay.
"""

from __future__ import annotations

import heapq
import itertools
import json
import math
import os
import random
import re
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field, fields
from typing import Any, Iterator

import zmq

REORDER_MAX_S = 0.2
RECENT_FRAMES = 5000
SESSION = re.compile(rb'("session"\s*:\s*")([0-9a-f]{16})"')


@dataclass
class Rule:
    """What happens to each message of a link: independent chances from 0 to 1, times in milliseconds."""

    drop: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    delay_ms: tuple[float, float] = (1.0, 100.0)
    only: str = ""  # messages whose bytes contain this


@dataclass
class Link:
    """One direction of messages. `source` and `sink` are XSUB and XPUB."""

    name: str
    source: zmq.Socket[bytes]
    sink: zmq.Socket[bytes]
    rule: Rule = field(default_factory=Rule)
    held: list[bytes] = field(default_factory=list)  # to be overtaken by the next message


class Mangler:
    """Decides with a seeded generator what becomes of a message; knows no sockets and no clock."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()

    def fate(self, rule: Rule, frame: bytes) -> tuple[str, float]:
        """(`pass`, `drop`, `duplicate`, `delay` or `reorder`, seconds for a delay)"""
        # All numbers are always drawn, so that the same message meets the same luck under any rule.
        drop, duplicate, delay, reorder, length = (self.random.random() for _ in range(5))
        if rule.only and rule.only.encode() not in frame:
            return "pass", 0.0
        if drop < rule.drop:
            return "drop", 0.0
        if duplicate < rule.duplicate:
            return "duplicate", 0.0
        if delay < rule.delay:
            low, high = rule.delay_ms
            return "delay", (low + (high - low) * length) / 1000
        return ("reorder", 0.0) if reorder < rule.reorder else ("pass", 0.0)


class Relay:
    """One thread, one poll loop. `recent` keeps what workers said, to be said again later."""

    def __init__(self, control: str, seed: str, links: list[str]) -> None:
        self.context = zmq.Context()
        self.mangler = Mangler(seed)
        self.links = {link.name: link for link in map(self._open, links)}
        self.recent: deque[tuple[str, bytes]] = deque(maxlen=RECENT_FRAMES)
        self.waiting: list[tuple[float, int, str, bytes]] = []
        self.numbers = itertools.count()
        self.poller = zmq.Poller()
        for link in self.links.values():
            self.poller.register(link.source, zmq.POLLIN)
            self.poller.register(link.sink, zmq.POLLIN)
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.server.bind(control)
        self.server.listen()
        self.poller.register(self.server, zmq.POLLIN)
        self.clients: dict[int, tuple[socket.socket, bytearray]] = {}

    def _open(self, text: str) -> Link:
        name, connect, bind = text.split(",")
        source, sink = self.context.socket(zmq.XSUB), self.context.socket(zmq.XPUB)
        sink.setsockopt(zmq.XPUB_VERBOSER, 1)
        for end in (source, sink):
            end.setsockopt(zmq.LINGER, 0)
            end.setsockopt(zmq.RCVHWM, 0)
            end.setsockopt(zmq.SNDHWM, 0)
            end.setsockopt(zmq.RECONNECT_IVL, 50)
            end.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
        towards_workers = name.endswith(".steps")
        (source if towards_workers else sink).connect(connect)
        (sink if towards_workers else source).bind(bind)
        return Link(name, source, sink)

    # ------------------------------------------------------------------ messages

    def run(self) -> None:
        while True:
            ready = dict(self.poller.poll(self._ms_to_next()))
            self._send_due()
            for link in self.links.values():
                if link.sink in ready:
                    for frame in everything_in(link.sink):
                        link.source.send(frame)
                if link.source in ready:
                    for frame in everything_in(link.source):
                        self._forward(link, frame)
            if self.server.fileno() in ready:
                client, _ = self.server.accept()
                self.clients[client.fileno()] = (client, bytearray())
                self.poller.register(client, zmq.POLLIN)
            for descriptor in [number for number in ready if number in self.clients]:
                self._hear(descriptor)

    def _ms_to_next(self) -> int | None:
        if not self.waiting:
            return None
        return max(0, math.ceil((self.waiting[0][0] - time.monotonic()) * 1000))

    def _forward(self, link: Link, frame: bytes) -> None:
        if link.name.endswith(".results"):
            self.recent.append((link.name, frame))
        fate, seconds = self.mangler.fate(link.rule, frame)
        self.mangler.counts[fate] += 1
        if fate in ("pass", "duplicate"):
            for _ in range(2 if fate == "duplicate" else 1):
                link.sink.send(frame)
            while link.held:
                link.sink.send(link.held.pop(0))
        elif fate == "reorder":
            link.held.append(frame)
            # Nothing may come to overtake it.
            self._later(REORDER_MAX_S, link, b"")
        elif fate == "delay":
            self._later(seconds, link, frame)

    def _later(self, seconds: float, link: Link, frame: bytes) -> None:
        heapq.heappush(self.waiting, (time.monotonic() + seconds, next(self.numbers), link.name, frame))

    def _send_due(self) -> None:
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            _, _, name, frame = heapq.heappop(self.waiting)
            link = self.links[name]
            if frame:
                link.sink.send(frame)
            else:
                while link.held:
                    link.sink.send(link.held.pop(0))

    # ------------------------------------------------------------------ control

    def _hear(self, descriptor: int) -> None:
        client, buffer = self.clients[descriptor]
        data = client.recv(65536)
        if not data:
            self.poller.unregister(client)
            del self.clients[descriptor]
            client.close()
            return
        buffer += data
        while b"\n" in buffer:
            line, _, rest = bytes(buffer).partition(b"\n")
            buffer[:] = rest
            try:
                answer: dict[str, Any] = {"answer": self._obey(json.loads(line))}
            except (KeyError, TypeError, ValueError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            client.sendall(json.dumps(answer).encode() + b"\n")

    def _obey(self, request: dict[str, Any]) -> Any:
        command = request["command"]
        if command == "rule":
            rule = rule_of(request["rule"])
            for name in request["links"]:
                self.links[name].rule = rule
            return None
        if command == "clear":
            for link in self.links.values():
                link.rule = Rule()
            return None
        if command == "replay":
            return self._replay(request["count"], request["times"], request.get("session"))
        if command == "counts":
            return dict(self.mangler.counts)
        raise ValueError(f"unknown command {command}")

    def _replay(self, count: int, times: int, session: str | None) -> int:
        """Says again what workers said before, `times` each; with `session`, as if that one had said it."""
        frames = [item for item in self.recent if item[1].startswith(b"results ")]
        chosen = self.mangler.random.sample(frames, min(count, len(frames)))
        for name, frame in chosen:
            if session is not None:
                frame = SESSION.sub(rb"\g<1>" + session.encode() + b'"', frame)
            for _ in range(times):
                self.links[name].sink.send(frame)
        return len(chosen) * times


def everything_in(end: zmq.Socket[bytes]) -> Iterator[bytes]:
    while True:
        try:
            yield end.recv(zmq.DONTWAIT)
        except zmq.Again:
            return


def rule_of(values: dict[str, Any]) -> Rule:
    known = {entry.name for entry in fields(Rule)}
    unknown = set(values) - known
    if unknown:
        raise ValueError(f"a rule has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")
    return Rule(**values)


def main() -> None:
    control, seed, *links = sys.argv[1:]
    try:
        Relay(control, seed, links).run()
    except KeyboardInterrupt:
        os._exit(130)


if __name__ == "__main__":
    main()
