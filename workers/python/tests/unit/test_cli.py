import logging
import os
import signal
import socket
from pathlib import Path

import pytest

import tasker_worker
from tasker_worker import ConfigurationError, cli, settings
from tasker_worker.log import configure

HANDLERS_FILE = str(Path(__file__).parents[1] / "support" / "handlers.py")


def settings_of(arguments, monkeypatch, **env):
    for name in ("STEPS", "RESULTS"):
        monkeypatch.delenv(f"TASKER_{name}_ENDPOINT", raising=False)
        monkeypatch.delenv(f"TASKER_WORKER_{name}_ENDPOINT", raising=False)
    for key, value in env.items():
        monkeypatch.setenv(key, value)
    return cli.settings_from(cli.parser().parse_args(arguments))


@pytest.fixture(autouse=True)
def no_dev(monkeypatch, tmp_path):
    """A `tasker dev` that runs in the checkout is not ours."""
    monkeypatch.chdir(tmp_path)


def test_everything_has_a_default(monkeypatch):
    chosen = settings_of([], monkeypatch)
    assert chosen.steps_endpoints == ("tcp://127.0.0.1:5555",)
    assert chosen.results_endpoints == ("tcp://127.0.0.1:5556",)
    assert (chosen.capacity, chosen.prefetch, chosen.outbox_limit) == (10, 2, 10_000)
    assert (chosen.outbox_bytes, chosen.outbox_path) == (64 * 2**20, None)
    assert (chosen.silence_ms, chosen.reconnect_max_ms, chosen.resend_max_ms) == (5000, 2000, 30_000)
    assert chosen.namespaces == ()
    assert chosen.worker_id == f"{socket.gethostname()}-python-{os.getpid()}"


@pytest.mark.parametrize("name", ["", "a\nb", "half \udc80", "x" * 400])
def test_an_odd_name_of_the_machine_harms_no_report(monkeypatch, name):
    monkeypatch.setattr(settings.socket, "gethostname", lambda: name)
    assert settings.host_name().isprintable() and 0 < len(settings.host_name()) <= 255
    assert settings.Settings(settings.default_worker_id())


def test_namespaces_are_a_list(monkeypatch):
    assert settings_of(["--namespace", "a,b", "--namespaces", "c"], monkeypatch).namespaces == ("a", "b", "c")


ONE_TEMPLATE = "{name: t, namespace_name: no, version: 1, step_templates: [{name: a, handler_class: %s}]}"


def test_templates_are_a_check_at_start(tmp_path, capsys):
    (tmp_path / "t.yaml").write_text(ONE_TEMPLATE % "Tests::Ecko")
    arguments = ["--import", HANDLERS_FILE, "--handlers", "Tests::Echo", "--templates", str(tmp_path)]
    configure("info")
    served = cli.registry_from(cli.parser().parse_args(arguments), "test")
    assert served.handler_classes == ["Tests::Echo"]
    logging.getLogger().handlers[0].flush()
    text = capsys.readouterr().err
    assert 'msg="handler in no template" handler=Tests::Echo did_you_mean=Tests::Ecko' in text
    assert 'msg="served elsewhere" handlers=Tests::Ecko' in text
    assert cli.main([*arguments, "--strict"]) == 2
    text = capsys.readouterr().err
    assert f"Tests::Echo stands in no template of {tmp_path}; did you mean Tests::Ecko?" in text


CONFIG = """
step_execution:
  handler_step_subscriber: ["tcp://10.0.0.1:5555", "tcp://10.0.0.2:5555"]
  handler_result_publisher: tcp://10.0.0.1:5556
"""


def test_the_order_of_precedence(monkeypatch, tmp_path):
    file = tmp_path / "zeromq.yaml"
    file.write_text(CONFIG)
    config = ["--config", str(file)]
    chosen = settings_of(config, monkeypatch)
    assert chosen.steps_endpoints == ("tcp://10.0.0.1:5555", "tcp://10.0.0.2:5555")
    assert chosen.results_endpoints == ("tcp://10.0.0.1:5556",)
    chosen = settings_of(config, monkeypatch, TASKER_STEPS_ENDPOINT="tcp://*:1")
    assert chosen.steps_endpoints == ("tcp://127.0.0.1:1",)
    monkeypatch.setenv("TASKER_WORKER_STEPS_ENDPOINT", "ipc:///a, ipc:///b")
    chosen = cli.settings_from(cli.parser().parse_args(config))
    assert chosen.steps_endpoints == ("ipc:///a", "ipc:///b")
    chosen = cli.settings_from(cli.parser().parse_args([*config, "--steps-endpoint", "ipc:///c,ipc:///d"]))
    assert chosen.steps_endpoints == ("ipc:///c", "ipc:///d")


@pytest.mark.parametrize("text", ["", "other: 1\n", "step_execution:\n  batch_size: 10\n"])
def test_a_config_without_the_keys_means_the_defaults(monkeypatch, tmp_path, text):
    file = tmp_path / "zeromq.yaml"
    file.write_text(text)
    assert settings_of(["--config", str(file)], monkeypatch).steps_endpoints == ("tcp://127.0.0.1:5555",)


def test_without_worker_keys_the_bound_endpoints_count(tmp_path):
    file = tmp_path / "zeromq.yaml"
    file.write_text("step_execution: {step_publisher: 'tcp://*:9', rust_result_subscriber: 'ipc:///r'}\n")
    assert settings.read_config(str(file)) == ("tcp://*:9", "ipc:///r")


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (["--capacity", "0"], "--capacity must be between 1 and 1000, not 0"),
        (["--capacity", "many"], "invalid int value"),
        (["--prefetch", "101"], "--prefetch"),
        (["--outbox-limit", "3"], "--outbox-limit must be between 20"),
        (["--outbox-bytes", "1000"], "--outbox-bytes must be between 1048576"),
        (["--outbox", ""], "--outbox must name a file"),
        (["--silence-ms", "10"], "--silence-ms must be between 500"),
        (["--reconnect-max-ms", "1"], "--reconnect-max-ms must be between 100"),
        (["--resend-max-ms", "1"], "--resend-max-ms must be between 100"),
        (["--drain-timeout", "-1"], "--drain-timeout"),
        (["--log-level", "loud"], "--log-level must be one of debug, info, warn, error"),
        (["--worker-id", ""], "--worker-id"),
        (["--steps-endpoint", "localhost:5555"], "must look like tcp://"),
        (["--config", "/no/such/file"], "/no/such/file: cannot be read"),
        (["--unknown"], "unrecognized arguments"),
        (["--templates", "/no/such/dir"], "/no/such/dir does not exist"),
        (["--import", "/no/such.py", "--handlers", "A"], "there is no such file"),
        (["--handlers", "No::Such"], "No::Such is missing"),
        (["--handlers", " , "], "--handlers names nothing"),
        (["--import", HANDLERS_FILE, "--handlers", "Tests::Ecko"], "did you mean Tests::Echo?"),
        (["--strict", "--import", HANDLERS_FILE], "add --templates DIR"),
        (["--worker-id", "line\nbreak"], "--worker-id must have"),
        (["--worker-id", "half \udc80"], "--worker-id must have"),
        (["--unknown\x1b[2J\u202e"], "--unknown\\x1b[2J\\u202e"),
        (["--namespace", "a b"], "is no namespace"),
        (["--namespace", ","], "--namespace names nothing"),
    ],
)
def test_bad_options_end_with_code_2_and_one_line(arguments, problem, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert problem in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "text", ["step_execution: 3", "step_execution: {handler_step_subscriber: {a: 1}}", "a: ["]
)
def test_a_bad_config_is_named(text, tmp_path):
    file = tmp_path / "zeromq.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match="zeromq.yaml"):
        settings.read_config(str(file))


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for word in ("--import", "--handlers", "TASKER_WORKER_STEPS_ENDPOINT", "examples:", "exit codes"):
        assert word in text
    codes = text.split("exit codes:\n")[1].splitlines()
    assert [line.split()[0] for line in codes] == ["0", "1", "2", "3", "4"]


def test_there_is_one_version(capsys):
    """`hello` shows the same: tests/unit/test_session.py."""
    written = (Path(__file__).parents[4] / "VERSION").read_text()
    assert written == f"{tasker_worker.__version__}\n"
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"tasker-worker {written}"


def test_an_effects_log_that_cannot_be_written_ends_with_code_2(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TASKER_EFFECTS_LOG", str(tmp_path / "missing" / "effects"))
    assert cli.main(["--import", HANDLERS_FILE, "--handlers", "Tests::Echo"]) == 2
    assert "TASKER_EFFECTS_LOG: cannot append to" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, shown", [([], "*"), (["--namespace", "shop,a", "--namespace", "b"], "a,b,shop")]
)
def test_the_first_line_names_the_namespaces(arguments, shown, monkeypatch, capsys):
    class Started:
        handlers_running = 0

        def __init__(self, *_):
            pass

        def run(self):
            return 0

    monkeypatch.setattr(cli, "Worker", Started)
    monkeypatch.setattr(cli, "_drain_on_signals", lambda worker: None)
    assert cli.main(["--import", HANDLERS_FILE, "--handlers", "Tests::Echo", *arguments]) == 0
    logging.getLogger().handlers[0].flush()
    assert f" namespaces={shown} steps_endpoints=" in capsys.readouterr().err


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1", "ipc:///" + 200 * "x"])
def test_an_endpoint_that_libzmq_does_not_take_ends_with_code_2(endpoint, capsys, monkeypatch):
    monkeypatch.setattr(cli, "_drain_on_signals", lambda worker: None)
    arguments = ["--import", HANDLERS_FILE, "--handlers", "Tests::Echo", "--log-level", "error"]
    assert cli.main([*arguments, "--steps-endpoint", endpoint]) == 2
    captured = capsys.readouterr()
    assert (
        captured.err.startswith(f"tasker-worker: endpoint '{endpoint}': ") and captured.err.count("\n") == 1
    )


def test_the_first_signal_drains_the_second_interrupts_and_the_third_exits_with_code_4(monkeypatch):
    done = []

    class StubWorker:
        def request_drain(self, reason):
            done.append(reason)

        def request_interrupt(self):
            done.append("interrupt")

    handlers = {}
    monkeypatch.setattr(cli.signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(cli.os, "_exit", lambda code: done.append(code))
    cli._drain_on_signals(StubWorker())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        handlers[number](number, None)
    assert done == ["SIGTERM", "interrupt", 4]
