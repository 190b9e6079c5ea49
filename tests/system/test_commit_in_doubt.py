"""The answer to a COMMIT is lost: what was committed is not done again, what was not is."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Iterator, Optional

import psycopg
import pytest

from checks import assert_all_consistent, assert_first_attempts
from fault_tools import OddWorker, assert_all_credit_is_back, dispositions, one_step, short
from parts import System, SystemFactory, wait_until
from workers import NOOP, chain

PORT = "5432"
LANE = b"tasker-orchestrator lane"
TURN = b"\x00turn\x00"  # the name of the prepared statement, as Bind carries it
READY = b"Z\x00\x00\x00\x05I"  # the server is idle again: what it was asked to do is committed


class Relay:
    """Stands between the orchestrator and PostgreSQL, and can cut the lane's connection around a turn."""

    def __init__(self, url: str, folder: Path) -> None:
        parts = psycopg.conninfo.conninfo_to_dict(url)
        self.server = f"{parts['host']}/.s.PGSQL.{parts.get('port', PORT)}"
        self.url = psycopg.conninfo.make_conninfo(url, host=str(folder), port=PORT)
        self.cut: Optional[str] = None  # "question": the turn never arrives; "answer": its result gets lost
        self.cuts = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{folder}/.s.PGSQL.{PORT}")
        self.listener.listen(50)
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            Pair(self, client)


class Pair:
    """One relayed connection: a thread per direction."""

    def __init__(self, relay: Relay, client: socket.socket) -> None:
        self.relay = relay
        self.client = client
        self.server = socket.socket(socket.AF_UNIX)
        self.server.connect(relay.server)
        self.is_lane = False
        self.in_turn = False
        for target in (self.to_server, self.to_client):
            threading.Thread(target=target, daemon=True).start()

    def end(self) -> None:
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other thread was first

    def cut_now(self, where: str) -> bool:
        if self.relay.cut != where or not self.in_turn:
            return False
        self.relay.cut = None
        self.relay.cuts += 1
        return True

    def to_server(self) -> None:
        try:
            while data := self.client.recv(1 << 16):
                self.is_lane = self.is_lane or LANE in data
                self.in_turn = self.in_turn or (self.is_lane and TURN in data)
                if self.cut_now("question"):
                    break
                self.server.sendall(data)
        except OSError:
            pass  # cut
        self.end()

    def to_client(self) -> None:
        try:
            while data := self.server.recv(1 << 16):
                if data.endswith(READY):
                    if self.cut_now("answer"):
                        break
                    self.in_turn = False
                self.client.sendall(data)
        except OSError:
            pass  # cut
        self.end()


@pytest.fixture
def relayed(make_system: SystemFactory) -> Iterator[tuple[System, Relay]]:
    system = make_system(settings=short(lease_ms=20000), start=False)
    relay = Relay(system.url, system.folder)
    system.start_orchestrator(TASKER_DATABASE_URL=relay.url)
    yield system, relay
    relay.close()


@pytest.mark.parametrize("lost", ["question", "answer"])
def test_a_report_in_doubt_is_applied_exactly_once(relayed: tuple[System, Relay], lost: str) -> None:
    """The worker says it once only: whether it is acknowledged shows that the doubt was settled."""
    system, relay = relayed
    system.load_template(chain("two", NOOP, 2))
    with OddWorker(system, [NOOP]) as worker:
        task_id = system.submit("tests/two", {})
        batch = worker.batch()
        relay.cut = lost
        worker.partial(batch, batch["steps"][0], 1, output={"once": True})
        worker.wait_for_ack(batch, 1)
        assert relay.cuts == 1
        worker.completion(batch, 2, ["completed"])
        # The second step was claimed by the turn in doubt: its batch goes out all the same, and once.
        worker.finish(worker.batch(2))
        system.wait_for_task(task_id, "complete")
        assert len(worker.batch_frames) == len(set(worker.batch_frames)) == 2
    assert dispositions(system) == ["applied", "applied"], "nothing was recorded twice"
    health = system.health()["listener"]
    assert (health["reconnects"], health["commits_in_doubt"]) == (1, int(lost == "answer"))
    assert_first_attempts(system)
    assert_all_consistent(system)
    assert_all_credit_is_back(system)


@pytest.mark.parametrize("lost", ["question", "answer"])
def test_a_claim_in_doubt_is_published_exactly_once(relayed: tuple[System, Relay], lost: str) -> None:
    system, relay = relayed
    system.load_template(one_step("one", NOOP))
    with OddWorker(system, [NOOP]) as worker:
        relay.cut = lost
        task_id = system.submit("tests/one", {})
        batch = worker.batch()
        wait_until(lambda: relay.cuts == 1, "the connection was cut", on_fail=system.logs)
        worker.finish(batch)
        system.wait_for_task(task_id, "complete")
        assert len(worker.batch_frames) == 1
    assert system.value("SELECT count(*) FROM tasker_step_execution_batches") == 1
    assert_first_attempts(system)
    assert_all_consistent(system)
    assert_all_credit_is_back(system)
