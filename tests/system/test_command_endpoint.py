"""The command endpoint: health, and a clear answer to everything else."""

from __future__ import annotations

import pytest
import zmq

from fake_worker import FakeWorker
from parts import System, SystemFactory


@pytest.fixture(scope="module", params=["ipc", "tcp"])
def system(request: pytest.FixtureRequest, make_shared_system: SystemFactory) -> System:
    return make_shared_system(request.param)


def test_health_check_answers(system: System) -> None:
    answer = system.command(b'{"command": "health_check"}')
    assert answer["ok"] is True and answer["status"] == "healthy" and answer["database"] == "reachable"


def test_detailed_health_shows_the_workers(system: System) -> None:
    with FakeWorker(system, ["Some::Handler"], capacity=3) as worker:
        (shown,) = [w for w in system.health()["workers"] if w["session"] == worker.session]
        assert (shown["worker_id"], shown["state"], shown["capacity"]) == (worker.worker_id, "ready", 3)


BAD = {
    "unknown_command": (b'{"command": "drop_everything"}', "unknown_command", "command"),
    "reserved_command": (b'{"command": "cancel_task", "task_id": 1}', "unknown_command", "command"),
    "no_command": (b"{}", "missing_field", "command"),
    "command_of_another_type": (b'{"command": 7}', "wrong_type", "command"),
    "not_an_object": (b"[]", "wrong_type", None),
    "malformed_json": (b'{"command": ', "malformed_json", None),
    "invalid_utf8": (b'{"command": "\xff"}', "malformed_json", None),
    "empty": (b"", "malformed_json", None),
    "unknown_level": (b'{"command": "health_check", "level": "deep"}', "out_of_range", "level"),
    "level_of_another_type": (b'{"command": "health_check", "level": 1}', "wrong_type", "level"),
}


@pytest.mark.parametrize("request_kind", BAD)
def test_a_bad_request_is_answered_with_an_error_object(system: System, request_kind: str) -> None:
    text, code, field = BAD[request_kind]
    answer = system.command(text)
    assert answer["ok"] is False
    assert (answer["error"]["code"], answer["error"].get("field")) == (code, field) and answer["error"][
        "message"
    ]
    assert system.command(b'{"command": "health_check"}')["ok"] is True


def test_a_request_of_several_frames_is_answered_with_an_error_object(system: System) -> None:
    with system.context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(system.endpoints["command"])
        dealer.send_multipart([b"", b'{"command":', b'"health_check"}'])
        assert dealer.poll(10_000), "no answer"
        assert b"bad_frame" in dealer.recv_multipart()[-1]
    assert system.command(b'{"command": "health_check"}')["ok"] is True
