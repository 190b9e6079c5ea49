import fcntl
import json
import logging
import os
from pathlib import Path

import pytest

from tasker_worker import cli, dev, log

ENDPOINTS = {"steps": "ipc:///x/steps", "results": "ipc:///x/results", "command": "ipc:///x/command"}

OWN = "postgresql://tasker@/tasker?host=%2Fx%2F.tasker%2Frun%2Fpg"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The `.tasker/` of one that runs: its lock is held."""
    for name in ("STEPS", "RESULTS"):
        monkeypatch.delenv(f"TASKER_{name}_ENDPOINT", raising=False)
        monkeypatch.delenv(f"TASKER_WORKER_{name}_ENDPOINT", raising=False)
    made = tmp_path / "project" / ".tasker"
    made.mkdir(parents=True)
    (made / "dev.json").write_text(json.dumps({"pid": 1, "endpoints": ENDPOINTS, "database_url": OWN}))
    monkeypatch.chdir(made.parent)
    with open(made / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield made


def chosen(*arguments: str):
    settings = cli.settings_from(cli.parser().parse_args(list(arguments)))
    return settings.steps_endpoints + settings.results_endpoints


DEFAULTS = ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5556")
FOUND = ("ipc:///x/steps", "ipc:///x/results")


def test_the_running_one_is_found_from_below(folder, monkeypatch):
    below = folder.parent / "some" / "where"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert chosen() == FOUND


def test_what_names_an_endpoint_wins(folder, tmp_path, monkeypatch):
    assert chosen("--steps-endpoint", "ipc:///mine") == ("ipc:///mine", "ipc:///x/results")
    file = tmp_path / "zeromq.yaml"
    file.write_text("step_execution: {step_publisher: 'tcp://*:9', result_subscriber: 'tcp://*:8'}\n")
    assert chosen("--config", str(file)) == ("tcp://127.0.0.1:9", "tcp://127.0.0.1:8")
    monkeypatch.setenv("TASKER_RESULTS_ENDPOINT", "tcp://h:1")
    assert chosen() == ("ipc:///x/steps", "tcp://h:1")


def test_variables_of_one_that_is_gone_give_way_to_one_that_runs(folder, monkeypatch):
    for left in ("ipc:///tmp/tasker-run-AbCd12/steps", "ipc:///gone/.tasker/run/steps"):
        monkeypatch.setenv("TASKER_STEPS_ENDPOINT", left)
        assert chosen() == FOUND
        (folder / "dev.json").rename(folder / "away")
        assert chosen()[0] == left, "nothing better is known"
        (folder / "away").rename(folder / "dev.json")


def test_a_socket_that_is_there_is_not_left_over(tmp_path):
    socket = tmp_path / "tasker-run-AbCd12" / "steps"
    socket.parent.mkdir()
    assert dev.left_over(f"ipc://{socket}")
    socket.touch()
    assert not dev.left_over(f"ipc://{socket}")
    assert not dev.left_over("ipc:///elsewhere/steps")


def test_one_that_has_ended_does_not_count(folder):
    (folder / "lock").unlink()
    (folder / "lock").touch()
    assert chosen() == DEFAULTS


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"endpoints": 5}', '{"endpoints": {"steps": 1, "results": 2}}']
)
def test_a_state_of_another_shape_does_not_count(folder, text):
    (folder / "dev.json").write_text(text)
    assert chosen() == DEFAULTS


@pytest.mark.parametrize("name", ["dev.json", "lock"])
def test_links_and_pipes_do_not_count(folder, tmp_path, name):
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    assert chosen() == DEFAULTS
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert chosen() == DEFAULTS


def test_a_linked_folder_does_not_count(folder, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (other / ".tasker").symlink_to(folder)
    assert dev.endpoints(other) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")
@pytest.mark.parametrize("name", ["", "dev.json", "lock"])
def test_what_belongs_to_another_user_does_not_count(folder: Path, name):
    os.chown(folder / name, 65534, 65534)
    assert chosen() == DEFAULTS


def warned(capsys, *arguments: str) -> str:
    log.configure("info")
    cli._warn_of_another_database(cli.settings_from(cli.parser().parse_args(list(arguments))))
    logging.getLogger().handlers[0].flush()
    return capsys.readouterr().err


def test_another_database_than_that_of_the_running_one_is_a_warning(folder, monkeypatch, capsys):
    monkeypatch.setenv("TASKER_DATABASE_URL", "postgresql://me:secret@db/mine")
    text = warned(capsys)
    assert "level=warn" in text and text.count("\n") == 1
    assert 'msg="connected to a tasker dev, but TASKER_DATABASE_URL names another database"' in text
    assert f"folder={folder} " in text and "secret" not in text
    assert "folder=" in warned(capsys, "--steps-endpoint", "ipc:///mine"), "results still go there"


@pytest.mark.parametrize(
    "url", [None, "", OWN, "postgresql://tasker@/tasker?host=/gone/tasker-run-AbCd12/pg&port=5432"]
)
def test_the_database_of_the_running_one_and_one_that_is_gone_are_no_warning(
    folder, monkeypatch, capsys, url
):
    monkeypatch.delenv("TASKER_DATABASE_URL", raising=False)
    if url is not None:
        monkeypatch.setenv("TASKER_DATABASE_URL", url)
    assert warned(capsys) == ""


def test_endpoints_elsewhere_are_no_warning(folder, monkeypatch, capsys):
    monkeypatch.setenv("TASKER_DATABASE_URL", "postgresql://db/mine")
    monkeypatch.setenv("TASKER_STEPS_ENDPOINT", "tcp://127.0.0.1:5555")
    monkeypatch.setenv("TASKER_RESULTS_ENDPOINT", "tcp://127.0.0.1:5556")
    assert warned(capsys) == ""


def test_a_server_that_runs_is_not_left_over(tmp_path):
    server = tmp_path / "tasker-run-AbCd12" / "pg"
    server.mkdir(parents=True)
    assert dev.url_left_over(f"postgresql:///tasker?host={server}")
    (server / ".s.PGSQL.5432").touch()
    assert not dev.url_left_over(f"postgresql:///tasker?host={server}")
    assert not dev.url_left_over("postgresql://db.example.com/tasker")
