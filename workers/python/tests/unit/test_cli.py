import pytest

from tasker_worker import ConfigurationError, cli, settings


def settings_of(arguments, monkeypatch, **env):
    for name in ("STEPS", "RESULTS"):
        monkeypatch.delenv(f"TASKER_{name}_ENDPOINT", raising=False)
        monkeypatch.delenv(f"TASKER_WORKER_{name}_ENDPOINT", raising=False)
    for key, value in env.items():
        monkeypatch.setenv(key, value)
    return cli.settings_from(cli.parser().parse_args(arguments))


def test_everything_has_a_default(monkeypatch):
    chosen = settings_of([], monkeypatch)
    assert chosen.steps_endpoints == ("tcp://127.0.0.1:5555",)
    assert chosen.results_endpoints == ("tcp://127.0.0.1:5556",)
    assert (chosen.capacity, chosen.prefetch, chosen.outbox_limit) == (10, 2, 10_000)
    assert (chosen.outbox_bytes, chosen.outbox_path) == (64 * 2**20, None)
    assert (chosen.silence_ms, chosen.reconnect_max_ms, chosen.resend_max_ms) == (5000, 2000, 30_000)
    assert chosen.worker_id


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
        (["--handlers", " , "], "names no handler class"),
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
