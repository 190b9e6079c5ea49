"""`tasker dev` and `tasker migrate`, as people use them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psycopg
import pytest

from tests.support import pg, procs

ENDPOINTS = ("TASKER_STEPS_ENDPOINT", "TASKER_RESULTS_ENDPOINT", "TASKER_COMMAND_ENDPOINT")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """Whatever the developer who runs the tests has set."""
    for name in ("TASKER_DATABASE_URL", "TASKER_ENV", *ENDPOINTS):
        monkeypatch.delenv(name, raising=False)


class Dev:
    """A folder in which `tasker dev` is started and stopped."""

    def __init__(self, folder: Path, processes: procs.Processes):
        self.folder = folder
        self.processes = processes
        self.process: procs.Process | None = None

    def start(self, *arguments: str, **environment: str) -> dict:
        """Starts it and waits until it is ready; returns its state."""
        self.process = self.processes.start(
            "dev", [procs.program("tasker"), "dev", *arguments], cwd=self.folder, env=environment
        )
        self.process.wait_for_output("Stop with Ctrl-C", 60)
        return self.state()

    def state(self) -> dict:
        return json.loads((self.folder / ".tasker/dev.json").read_text())

    def tasker(self, *arguments: str, check: bool = True):
        return procs.run([procs.program("tasker"), *arguments], cwd=self.folder, check=check)


@pytest.fixture
def dev(short_dir: Path, processes: procs.Processes) -> Dev:
    # The server's user must be able to enter.
    short_dir.chmod(0o755)
    return Dev(short_dir, processes)


def server_pid(state: dict) -> int:
    return int((Path(state["data_dir"]) / "postmaster.pid").read_text().split()[0])


def is_alive(pid: int) -> bool:
    """Whether the process runs; a dead child that nobody has reaped does not count."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rsplit(")", 1)[1].split()[0] not in ("Z", "X")


def test_starts_serves_stops_and_finds_its_data_again(dev: Dev, monkeypatch: pytest.MonkeyPatch):
    # The server that is installed, with its own initdb; other tests have copies of one (pg.QuickFolder).
    monkeypatch.delenv("TASKER_PG_BIN", raising=False)
    state = dev.start()
    assert state["pid"] == dev.process.pid
    server = server_pid(state)
    with psycopg.connect(state["database_url"]) as connection:
        installation = connection.execute("SELECT installation_uuid FROM tasker_installation").fetchone()
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    # Other commands find it, also from below.
    below = dev.folder / "some/where"
    below.mkdir(parents=True)
    status = procs.run([procs.program("tasker"), "migrate", "status", "--json"], cwd=below)
    assert json.loads(status.stdout)["ok"] is True
    # As the terminal does it: to the whole process group. The children are not in it.
    os.killpg(dev.process.pid, signal.SIGINT)
    assert dev.process.wait(30) == 0
    assert not is_alive(server)
    assert not is_alive(state["orchestrator_pid"])
    assert not (dev.folder / ".tasker/dev.json").exists()
    assert not list((dev.folder / ".tasker").glob("run/*"))

    again = dev.start()
    with psycopg.connect(again["database_url"]) as connection:
        assert (
            connection.execute("SELECT installation_uuid FROM tasker_installation").fetchone() == installation
        )
    assert dev.process.stop() == 0


def test_templates_dir_of_the_settings_is_loaded_and_only_once(dev: Dev):
    (dev.folder / "mine").mkdir()
    template = {
        "name": "mine",
        "namespace_name": "tests",
        "version": "1.0.0",
        "step_templates": [{"name": "only", "handler_class": "Tests::Only"}],
    }
    (dev.folder / "mine/mine.yaml").write_text(json.dumps(template))
    (dev.folder / "settings.yaml").write_text("templates_dir: mine\n")
    dev.start("--config", "settings.yaml")
    output = dev.process.output()
    assert "1 template from mine, 1 new or changed" in output
    assert "templates loaded" not in output, "the orchestrator leaves them to tasker dev"
    assert dev.process.stop() == 0


def test_environment_lines_reach_the_running_one(dev: Dev):
    state = dev.start()
    lines = dev.tasker("dev", "--env").stdout
    script = (
        lines + "\nprintf '%s\\n' \"$TASKER_DATABASE_URL\" " + " ".join(f'"${name}"' for name in ENDPOINTS)
    )
    values = procs.run(["sh", "-c", script]).stdout.split()
    endpoints = state["endpoints"]
    assert values == [state["database_url"], endpoints["steps"], endpoints["results"], endpoints["command"]]
    assert all(value.startswith("ipc://") for value in values[1:])


def test_endpoints_of_the_environment_win(dev: Dev, short_dir: Path):
    steps = f"ipc://{short_dir}/mine"
    state = dev.start(TASKER_STEPS_ENDPOINT=steps)
    assert state["endpoints"]["steps"] == steps
    assert (short_dir / "mine").is_socket()


def test_second_one_in_the_same_folder_is_refused(dev: Dev):
    state = dev.start()
    second = dev.tasker("dev", check=False)
    assert second.returncode == 1
    assert f"pid {state['pid']}" in second.stderr
    assert "already runs" in second.stderr
    # and has not disturbed the first
    assert dev.state() == state
    assert dev.tasker("migrate", "status").returncode == 0


def test_killed_one_leaves_nothing_running_and_the_next_start_works(dev: Dev):
    state = dev.start()
    server = server_pid(state)
    with psycopg.connect(state["database_url"]) as connection:
        installation = connection.execute("SELECT installation_uuid FROM tasker_installation").fetchone()
    os.kill(dev.process.pid, signal.SIGKILL)
    dev.process.wait()
    procs.wait_until(lambda: not is_alive(state["orchestrator_pid"]), 10, "the orchestrator ends")
    # Stale files are there, and do not deceive.
    assert (dev.folder / ".tasker/dev.json").exists()
    assert dev.tasker("dev", "--env", check=False).returncode == 4
    # At once: the old server may still be shutting down.
    again = dev.start()
    assert not is_alive(server)
    with psycopg.connect(again["database_url"]) as connection:
        assert (
            connection.execute("SELECT installation_uuid FROM tasker_installation").fetchone() == installation
        )


def test_server_that_outlived_its_dev_is_stopped_first(dev: Dev, processes: procs.Processes):
    state = dev.start()
    assert dev.process.stop() == 0
    # As if the parent-death signal had not reached it.
    user = "postgres" if os.geteuid() == 0 else None
    data = state["data_dir"]
    arguments = [pg.find_server() / "postgres", "-D", data, "-k", data, "-h", ""]
    orphan = processes.start("orphan", arguments, user=user, cwd=Path("/"), death_signal="INT")
    orphan.wait_for_output("ready to accept connections", 30)
    assert server_pid(state) == orphan.pid
    dev.start()
    assert not orphan.running()


def test_orchestrator_that_dies_early_is_reported_and_everything_stopped(dev: Dev):
    done = dev.tasker("dev", "--orchestrator", "/bin/false", check=False)
    assert done.returncode == 1
    assert "the orchestrator exited with code 1 before it was ready" in done.stderr
    assert not list((dev.folder / ".tasker/postgres").glob("postmaster.pid"))
    assert not (dev.folder / ".tasker/dev.json").exists()


def test_missing_orchestrator_is_explained(dev: Dev):
    done = dev.tasker("dev", "--orchestrator", "./no-such-program", check=False)
    assert done.returncode == 1
    assert "no-such-program is missing" in done.stderr
    assert "bin/setup" in done.stderr


# What a path may hold and an address may not.
@pytest.mark.parametrize(
    "name",
    ["My Projects", "a,b", "it's", 'say "hi"', "größe", b"latin-\xe9", "100%", "a\nb", "$HOME;x", "x" * 240],
)
def test_any_name_of_a_folder_will_do(dev: Dev, name: str | bytes):
    dev.folder = dev.folder / os.fsdecode(name)
    dev.folder.mkdir()
    dev.start()
    sockets = [value.removeprefix("ipc://") for value in dev.state()["endpoints"].values()]
    assert all(Path(socket).is_socket() for socket in sockets)
    values = procs.run(["sh", "-ec", f"{dev.tasker('dev', '--env').stdout}\nenv"]).stdout
    assert f"TASKER_STEPS_ENDPOINT=ipc://{sockets[0]}\n" in values
    assert dev.tasker("worker", "list").returncode == 0
    assert dev.process.stop() == 0
    assert not any(Path(socket).exists() for socket in sockets)
    dev.start()
    assert "creating" not in dev.process.output()


def test_a_very_long_path_keeps_its_data(dev: Dev):
    dev.folder = dev.folder / "/".join(["a-long-directory-name-" * 10] * 8)
    dev.folder.mkdir(parents=True)
    state = dev.start()
    data = Path(state["data_dir"])
    try:
        assert len(str(data)) < 60
        assert dev.process.stop() == 0
        assert dev.start()["data_dir"] == str(data)
        assert dev.process.stop() == 0
    finally:
        procs.run(["rm", "-rf", str(data.parent)])


def eval_environment(dev: Dev) -> dict[str, str]:
    """What `eval "$(tasker dev --env)"` leaves in a terminal."""
    lines = procs.run(["sh", "-ec", f"{dev.tasker('dev', '--env').stdout}\nenv"]).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if line.startswith("TASKER_"))


@pytest.mark.parametrize("name", ["plain", "a place elsewhere"])
def test_variables_of_a_stopped_one_hinder_nobody(dev: Dev, name: str):
    dev.folder = dev.folder / name
    dev.folder.mkdir()
    dev.start()
    left = eval_environment(dev)
    assert dev.process.stop() == 0

    def listed():
        environment = {**os.environ, **left}
        return procs.run(
            [procs.program("tasker"), "worker", "list"], cwd=dev.folder, env=environment, check=False
        )

    stopped = listed()
    assert stopped.returncode == 3
    assert "a tasker dev that has stopped" in stopped.stderr
    assert "unset TASKER_DATABASE_URL" in stopped.stderr
    state = dev.start(**left)
    assert Path(state["data_dir"]) == dev.folder / ".tasker/postgres"
    assert Path(state["endpoints"]["steps"].removeprefix("ipc://")).is_socket()
    assert listed().returncode == 0


def test_variables_of_another_running_one_are_not_its_database(dev: Dev, short_dir: Path):
    dev.folder = short_dir / "one"
    dev.folder.mkdir()
    first = dev.start()
    left = eval_environment(dev)
    other = Dev(short_dir / "two", dev.processes)
    other.folder.mkdir()
    second = other.start(**left)
    assert second["database_url"] != first["database_url"]
    assert second["endpoints"] != first["endpoints"]
    assert "ignored       TASKER_DATABASE_URL" in other.process.output()
    # For commands a variable wins, as long as its server runs.
    shown = procs.run(
        [procs.program("tasker"), "health", "--json"],
        cwd=other.folder,
        env={**os.environ, **left},
        check=False,
    )
    assert shown.returncode == 0, shown.stderr


def test_interrupt_during_the_start_leaves_nothing(dev: Dev):
    process = dev.processes.start("dev", [procs.program("tasker"), "dev"], cwd=dev.folder)
    process.wait_for_output("creating a private PostgreSQL", 30)
    process.signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert not list((dev.folder / ".tasker").glob("postgres/postmaster.pid"))
    dev.start()


def test_long_path_keeps_the_data_inside_and_the_sockets_elsewhere(dev: Dev):
    dev.folder = dev.folder / ("a-long-directory-name-" * 3) / ("another-" * 4)
    dev.folder.mkdir(parents=True)
    state = dev.start()
    assert state["data_dir"] == str(dev.folder / ".tasker/postgres")
    sockets = Path(state["endpoints"]["steps"].removeprefix("ipc://")).parent
    assert len(str(sockets)) < 60
    assert "sockets are in" in dev.process.output()
    assert dev.process.stop() == 0
    assert not sockets.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only as root does the server run as another user")
def test_directory_the_server_cannot_enter_keeps_its_data_elsewhere(dev: Dev):
    dev.folder.chmod(0o700)
    state = dev.start()
    data = Path(state["data_dir"])
    try:
        assert dev.folder not in data.parents
        with psycopg.connect(state["database_url"]) as connection:
            connection.execute("CREATE TABLE kept_by_test ()")
        assert dev.process.stop() == 0
        again = dev.start()
        assert again["data_dir"] == str(data)
        with psycopg.connect(again["database_url"]) as connection:
            connection.execute("SELECT FROM kept_by_test")
        assert dev.process.stop() == 0
    finally:
        procs.run(["rm", "-rf", str(data.parent)])


def test_existing_server_is_used_when_named(dev: Dev, empty_database_url: str):
    state = dev.start(TASKER_DATABASE_URL=empty_database_url)
    assert state["database_url"] == empty_database_url
    assert not (dev.folder / ".tasker/postgres").exists()
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT count(DISTINCT pid) FROM tasker_orchestrators").fetchone() == (1,)
    assert dev.process.stop() == 0
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def tasker(*arguments: str):
    return procs.run([procs.program("tasker"), *arguments], check=False)


def test_migrate_up_down_status(empty_database_url: str):
    where = ["--database", empty_database_url]
    assert tasker("migrate", "status", *where).returncode == 1
    assert tasker("migrate", "up", *where).returncode == 0
    status = json.loads(tasker("migrate", "status", "--json", *where).stdout)
    assert status["ok"] is True
    assert {line["state"] for line in status["migrations"]} == {"applied"}
    assert status["functions"]["state"] == "applied"
    assert status["functions"]["objects"] >= status["functions"]["files"] > 50

    refused = tasker("migrate", "down", *where)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert json.loads(tasker("migrate", "status", "--json", *where).stdout)["version"] == status["version"]

    assert tasker("migrate", "down", "--yes", *where).returncode == 0
    assert (
        json.loads(tasker("migrate", "status", "--json", *where).stdout)["version"] == status["version"] - 1
    )
    assert tasker("migrate", "down", "--to", "0", "--yes", *where).returncode == 0
    assert tasker("migrate", "up", "--to", "2", *where).returncode == 0
    status = json.loads(tasker("migrate", "status", "--json", *where).stdout)
    assert status["version"] == 2
    assert status["functions"]["state"] == "pending"


def test_functions_of_another_program_are_replaced_by_up(database_url: str):
    where = ["--database", database_url]
    name = "tasker_is_open_batch"
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE tasker_schema_layer SET checksum = repeat('0', 64)")
        connection.execute(
            "UPDATE tasker_schema_objects SET checksum = repeat('0', 64) WHERE name = %s", [name]
        )
        connection.execute(
            "INSERT INTO tasker_schema_objects (position, kind, name, arguments, file, checksum)"
            " VALUES (0, 'function', 'of_yesterday', '', 'turn/of_yesterday.sql', repeat('0', 64))"
        )
        connection.execute("CREATE FUNCTION of_yesterday() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    status = tasker("migrate", "status", *where)
    assert status.returncode == 1
    assert "2 files differ" in status.stdout
    refused = tasker("worker", "list", *where)
    assert refused.returncode == 5
    assert "tasker migrate up" in refused.stderr
    assert "functions" in tasker("migrate", "up", *where).stdout
    assert tasker("migrate", "status", *where).returncode == 0
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regproc('of_yesterday')").fetchone() == (None,)


def test_newer_schema_is_refused(database_url: str):
    future = (
        "INSERT INTO tasker_schema_migrations (version, name, checksum) VALUES (999, 'from_the_future', 'x')"
    )
    with psycopg.connect(database_url) as connection:
        connection.execute(future)
    done = tasker("migrate", "up", "--database", database_url)
    assert done.returncode == 1
    assert "schema version 999" in done.stderr
    health = tasker("worker", "list", "--database", database_url)
    assert health.returncode == 5


def test_unreachable_database_is_explained_without_its_password(tmp_path: Path):
    url = "postgresql://someone:s3cret-word@127.0.0.1:1/orders"
    done = tasker("migrate", "status", "--database", url)
    assert done.returncode == 3
    assert 'database "orders" at 127.0.0.1:1' in done.stderr
    assert "--database" in done.stderr
    assert "s3cret-word" not in done.stdout + done.stderr
    as_json = tasker("migrate", "status", "--json", "--database", url)
    assert json.loads(as_json.stderr)["error"]["code"] == "database_unreachable"


def test_no_database_known(tmp_path: Path):
    done = procs.run([procs.program("tasker"), "migrate", "status"], cwd=tmp_path, check=False)
    assert done.returncode == 3
    assert "tasker dev" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["migrate"], ["migrate", "up", "--to", "x"]])
def test_bad_arguments_end_with_2(arguments: list[str]):
    assert tasker(*arguments).returncode == 2


@pytest.mark.parametrize("arguments", [["--help"], ["migrate", "--help"], ["dev", "--help"], ["--version"]])
def test_help_ends_with_0(arguments: list[str]):
    done = tasker(*arguments)
    assert done.returncode == 0
    assert done.stdout
