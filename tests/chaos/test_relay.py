"""The relays on real sockets: what they let pass, and that each of their faults really happens."""

from __future__ import annotations

import os
import socket
import socketserver
import sys
import threading
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
import zmq

from tests.chaos.frame_relay import Mangler, Rule
from tests.chaos.relay_control import Control
from tests.support.procs import PATIENCE, ROOT, Processes, wait_until

LIMIT_MS = int(10_000 * PATIENCE)


class Frames:
    """An orchestrator's socket, a worker's socket, and the frame relay between them."""

    def __init__(
        self, folder: Path, processes: Processes, link: str = "active.steps", seed: str = "1"
    ) -> None:
        ends = [f"ipc://{folder}/real", f"ipc://{folder}/front"]
        script = ROOT / "tests/chaos/frame_relay.py"
        command: list[str | Path] = [sys.executable, script, folder / "ctl", seed, ",".join([link, *ends])]
        self.relay = processes.start("relay", command, env={"PYTHONPATH": str(ROOT)})
        self.link = link
        self.control = Control(folder / "ctl")
        self.context = zmq.Context()
        towards_workers = link.endswith("steps")
        self.publisher, self.subscriber = self.context.socket(zmq.XPUB), self.context.socket(zmq.SUB)
        self.publisher.setsockopt(zmq.SNDHWM, 0)
        self.subscriber.setsockopt(zmq.RCVHWM, 0)
        if towards_workers:
            self.publisher.bind(ends[0])
            self.subscriber.connect(ends[1])
        else:
            self.publisher.connect(ends[1])
            self.subscriber.bind(ends[0])
        self.subscribe(b"topic ")

    def subscribe(self, topic: bytes) -> None:
        """Returns when the publisher has heard of it."""
        self.subscriber.subscribe(topic)

        def heard() -> bool:
            # A bound SUB tells newcomers what it wants only when its own thread touches it.
            self.subscriber.poll(0)
            return bool(self.publisher.poll(10))

        wait_until(heard, 10, "the subscription comes through")
        assert self.publisher.recv() == b"\x01" + topic

    def rule(self, **rule: Any) -> None:
        self.control.ask("rule", links=[self.link], rule=rule)

    def send(self, count: int, text: str = "") -> list[bytes]:
        frames = [f"topic {text}{number}".encode() for number in range(count)]
        for frame in frames:
            self.publisher.send(frame)
        return frames

    def receive(self) -> list[bytes]:
        """Everything that came before the message of end()."""
        found: list[bytes] = []
        while True:
            assert self.subscriber.poll(LIMIT_MS), f"the relay lets the end mark through; so far {len(found)}"
            frame = self.subscriber.recv()
            if frame == b"topic end":
                return found
            found.append(frame)

    def end(self) -> None:
        self.rule()
        self.publisher.send(b"topic end")

    def close(self) -> None:
        self.control.close()
        self.context.destroy(linger=0)


@pytest.fixture
def frames(short_dir: Path, processes: Processes) -> Iterator[Frames]:
    made = Frames(short_dir, processes)
    yield made
    made.close()


def wait_for_relay(frames: Frames, passed: int) -> None:
    wait_until(
        lambda: sum(frames.control.ask("counts").values()) >= passed, 10, f"{passed} messages were seen"
    )


def test_without_a_rule_everything_passes_in_order(frames: Frames):
    sent = frames.send(2000)
    frames.end()
    assert frames.receive() == sent


def test_dropped_messages_are_gone_and_the_others_keep_their_order(frames: Frames):
    frames.rule(drop=0.3)
    sent = frames.send(2000)
    wait_for_relay(frames, 2000)
    frames.end()
    found = frames.receive()
    assert 1200 < len(found) < 1600
    assert found == [frame for frame in sent if frame in set(found)]
    assert frames.control.ask("counts")["drop"] == 2000 - len(found)


def test_duplicated_messages_come_twice(frames: Frames):
    frames.rule(duplicate=0.5)
    sent = frames.send(1000)
    wait_for_relay(frames, 1000)
    frames.end()
    found = frames.receive()
    assert 1400 < len(found) < 1600
    assert sorted(set(found)) == sorted(sent)


def test_reordered_messages_all_come_in_another_order(frames: Frames):
    frames.rule(reorder=0.3)
    sent = frames.send(1000)
    wait_for_relay(frames, 1000)
    frames.end()
    found = frames.receive()
    assert found != sent
    assert sorted(found) == sorted(sent)


def test_a_message_to_be_reordered_comes_even_if_no_other_follows(frames: Frames):
    frames.rule(reorder=1.0)
    frames.publisher.send(b"topic alone")
    assert frames.subscriber.poll(LIMIT_MS)
    assert frames.subscriber.recv() == b"topic alone"


def test_delayed_messages_come_late(frames: Frames):
    frames.rule(delay=1.0, delay_ms=[300, 400])
    begin = time.monotonic()
    sent = frames.send(5)
    found = [frames.subscriber.recv() for _ in sent if frames.subscriber.poll(LIMIT_MS)]
    assert time.monotonic() - begin >= 0.29
    assert sorted(found) == sorted(sent)


def test_a_rule_can_be_for_some_messages_only(frames: Frames):
    frames.rule(drop=1.0, only="bad")
    good, bad = frames.send(10, "good"), frames.send(10, "bad")
    wait_for_relay(frames, 20)
    frames.end()
    assert frames.receive() == good
    assert bad


def test_an_unknown_rule_is_refused_and_nothing_changes(frames: Frames):
    with pytest.raises(RuntimeError, match="a rule has no drp"):
        frames.rule(drp=1.0)
    sent = frames.send(3)
    frames.end()
    assert frames.receive() == sent


def test_the_end_of_a_subscriber_is_seen_through_the_relay(frames: Frames):
    frames.subscriber.close(linger=0)
    assert frames.publisher.poll(LIMIT_MS), "the unsubscription comes through"
    assert frames.publisher.recv() == b"\x00topic "


@pytest.fixture
def reports(short_dir: Path, processes: Processes) -> Iterator[Frames]:
    """The way back: workers publish, the orchestrator subscribes."""
    made = Frames(short_dir, processes, link="active.results")
    made.subscribe(b"results ")
    yield made
    made.close()


def test_old_reports_are_said_again_also_in_anothers_name(reports: Frames):
    frame = b'results {"session": "00ff12ab34cd56ef", "step_id": 1}'
    reports.publisher.send(frame)
    assert reports.subscriber.poll(LIMIT_MS) and reports.subscriber.recv() == frame
    assert reports.control.ask("replay", count=10, times=5) == 5
    for _ in range(5):
        assert reports.subscriber.poll(LIMIT_MS) and reports.subscriber.recv() == frame
    reports.control.ask("replay", count=1, times=1, session="ffffffffffffffff")
    assert reports.subscriber.poll(LIMIT_MS)
    assert reports.subscriber.recv() == frame.replace(b"00ff12ab34cd56ef", b"ffffffffffffffff")


def test_a_seed_decides_the_fate_of_each_message():
    rule = Rule(drop=0.2, duplicate=0.2, delay=0.2, reorder=0.2)

    def fates(seed: str) -> list[tuple[str, float]]:
        mangler = Mangler(seed)
        return [mangler.fate(rule, b"x") for _ in range(200)]

    assert fates("1") == fates("1")
    assert fates("1") != fates("2")
    assert {name for name, _ in fates("1")} == {"pass", "drop", "duplicate", "delay", "reorder"}


# ---------------------------------------------------------------------- bytes


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Bytes:
    """A server that echoes, and the byte relay in front of it."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self.server = socketserver.ThreadingUnixStreamServer(str(folder / "server"), Echo)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        command: list[str | Path] = [sys.executable, ROOT / "tests/chaos/byte_relay.py"]
        command += [folder / "ctl", f"p,{folder}/server"]
        processes.start("relay", command, env={"PYTHONPATH": str(ROOT)})
        self.control = Control(folder / "ctl")
        self.port = self.control.ask("ports")["p"]

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port))
        client.settimeout(10 * PATIENCE)
        return client

    def mode(self, **mode: Any) -> None:
        self.control.ask("mode", paths=["p"], mode=mode)

    def close(self) -> None:
        self.control.close()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def path(short_dir: Path, processes: Processes) -> Iterator[Bytes]:
    made = Bytes(short_dir, processes)
    yield made
    made.close()


def read_exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = client.recv(65536)
        assert chunk, f"the connection ended after {len(data)} bytes"
        data += chunk
    return data


def echoes(client: socket.socket, text: bytes) -> bool:
    client.sendall(text)
    return read_exactly(client, len(text)) == text


def silent(client: socket.socket, seconds: float = 0.3) -> bool:
    client.settimeout(seconds)
    try:
        return client.recv(1) is None
    except TimeoutError:
        return True
    finally:
        client.settimeout(10 * PATIENCE)


def test_bytes_pass_unchanged(path: Bytes):
    with path.connect() as client:
        data = os.urandom(1_000_000)
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        assert read_exactly(client, len(data)) == data
        sender.join()


@pytest.mark.parametrize("side", ["stall_up", "stall_down"])
def test_stalled_bytes_wait_and_come_afterwards(path: Bytes, side: str):
    with path.connect() as client:
        assert echoes(client, b"before")
        path.mode(**{side: True})
        client.sendall(b"during")
        assert silent(client)
        path.mode()
        assert read_exactly(client, 6) == b"during"


def test_swallowed_bytes_never_come(path: Bytes):
    with path.connect() as client:
        assert echoes(client, b"before")
        path.mode(swallow=True)
        client.sendall(b"lost")
        assert silent(client)
        path.mode()
        assert echoes(client, b"after")


def test_a_cut_connection_ends_and_a_new_one_works(path: Bytes):
    with path.connect() as client:
        assert echoes(client, b"before")
        assert path.control.ask("cut", paths=["p"]) == 2
        try:
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass
    with path.connect() as client:
        assert echoes(client, b"again")


def test_a_refusing_path_carries_no_new_connection(path: Bytes):
    path.mode(refuse=True)
    with path.connect() as client:
        try:
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass
    path.mode()
    with path.connect() as client:
        assert echoes(client, b"again")


def test_delayed_bytes_take_their_time_each_way(path: Bytes):
    with path.connect() as client:
        path.mode(delay_ms=150)
        begin = time.monotonic()
        assert echoes(client, b"slow")
        assert time.monotonic() - begin >= 0.29


def test_a_narrow_path_bounds_the_rate(path: Bytes):
    with path.connect() as client:
        assert echoes(client, b"before")
        path.mode(bytes_per_second=1_000_000)
        begin = time.monotonic()
        data = os.urandom(400_000)
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        assert read_exactly(client, len(data)) == data
        sender.join()
        assert time.monotonic() - begin >= 0.3


def test_clear_cuts_what_had_swallowed_bytes(path: Bytes):
    with path.connect() as client:
        assert echoes(client, b"before")
        path.mode(swallow=True)
        path.control.ask("clear")
        try:
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass


def test_an_unknown_mode_is_refused(path: Bytes):
    with pytest.raises(RuntimeError, match="a mode has no stal"):
        path.mode(stal=True)
