"""The conformance runner (workers/conformance) against both SDKs, and against a worker with planted faults.

Both SDKs run side by side; each rule is a test of its own here. The faulty worker shows that the rules can
fail: each planted fault is found by the rule that is meant for it.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT / "workers" / "conformance")]
import faulty_parts  # noqa: E402
from runner import rules as _rules  # noqa: E402,F401 (importing them enters them into the rulebook)
from runner.engine import Engine  # noqa: E402
from runner.rulebook import RULES as RULEBOOK  # noqa: E402
from runner.trial import Setup  # noqa: E402

RUNNER = ["workers/conformance/run"]
README = ROOT / "workers" / "conformance" / "README.md"
FAULTY = ["/usr/bin/python3", str(ROOT / "tests" / "conformance" / "faulty_worker.py")]
LIMIT_S = 300
# A sanitizer watches C++ programs; here none runs.
pytestmark = pytest.mark.skipif(
    "ASAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ, reason="no C++ program runs here"
)
# On two cores: so many rules at a time in a whole run, so many runs, and so many planted faults. Most wait.
JOBS = "4"
RUNS_AT_ONCE = 4
FAULTS_AT_ONCE = 6


def runner(*arguments, cwd=ROOT, limit=LIMIT_S):
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [*RUNNER, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )


RULES = list(RULEBOOK)


def shipped_commands():
    """The command lines of README.md, by SDK, as a reader copies them."""
    text = README.read_text(encoding="utf-8")
    found = {}
    for block in text.split("```sh\n")[1:]:
        line = block.partition("```")[0].replace("\\\n", " ").strip()
        for sdk, handlers in (("ruby", "handlers.rb"), ("python", "handlers.py")):
            if line.startswith("workers/conformance/run -- ") and handlers in line:
                found[sdk] = line
    return found


def without_hello():
    """Commands that are no worker with a session, and the cause that the runner names."""
    return {
        "ends": (["true"], "it ended with exit code 0"),
        "sleeps": (["sh", "-c", "exec sleep 100"], "it did not connect"),
        "plain": (["/usr/bin/python3", "workers/python/examples/plain_worker.py"], "it is in plain mode"),
    }


def run_line(line):
    """A command line of README.md, with JSON for an answer."""
    line = line.replace("workers/conformance/run", f"workers/conformance/run --json --jobs {JOBS}", 1)
    started = time.monotonic()
    done = subprocess.run(
        line, cwd=ROOT, shell=True, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    print(f"{time.monotonic() - started:.0f} s, exit code {done.returncode}: {line}")
    return done


def judged(fault, rule):
    """What the rule says about the fault. In this process: 80 starts of the runner would take a minute."""
    setup = Setup((*FAULTY, "--fault", fault), patience=float(os.environ.get("TASKER_TEST_PATIENCE", "1")))
    (result,) = Engine(setup, 1).run([RULEBOOK[rule]], lambda _result: None)
    return result


@pytest.fixture(scope="module")
def runs():
    """Every longer run of the runner, side by side, since most of them wait most of the time."""
    commands = shipped_commands()
    assert set(commands) == {"ruby", "python"}, f"README.md shows the command lines {commands}"
    with ThreadPoolExecutor(RUNS_AT_ONCE) as pool, ThreadPoolExecutor(FAULTS_AT_ONCE) as small:
        futures = {sdk: pool.submit(run_line, line) for sdk, line in commands.items()}
        futures["clean"] = pool.submit(runner, "--jobs", JOBS, "--", *FAULTY)
        for name, (command, _cause) in without_hello().items():
            futures[name] = pool.submit(runner, "--", *command)
        tcp = ("--tcp", "--only", "one_batch", "--only", "two_endpoints,orchestrator_back")
        futures["tcp"] = pool.submit(runner, *tcp, "--", *FAULTY)
        for fault, rule in faulty_parts.FAULTS.items():
            futures[fault] = small.submit(judged, fault, rule)
        return {name: future.result() for name, future in futures.items()}


@pytest.fixture(scope="module")
def shipped(runs):
    """What the runner said about each SDK."""
    for sdk in ("ruby", "python"):
        assert runs[sdk].returncode in (0, 1), runs[sdk].stderr
    reports = {sdk: json.loads(runs[sdk].stdout) for sdk in ("ruby", "python")}
    for sdk, report in reports.items():
        assert report["conforms"] == (runs[sdk].returncode == 0)
    return reports


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("sdk", ["ruby", "python"])
def test_sdk_conforms(shipped, sdk, rule):
    result = next(one for one in shipped[sdk]["rules"] if one["name"] == rule)
    assert result["state"] == "ok", "\n".join([result["seen"], *result["log"]])


@pytest.mark.parametrize("fault", faulty_parts.FAULTS)
def test_planted_fault_is_found(runs, fault):
    result = runs[fault]
    assert (result.rule.name, result.state) == (faulty_parts.FAULTS[fault], "FAILED"), result.seen
    assert "could not be" not in result.seen


def test_a_planted_fault_ends_the_runner_with_1():
    finished = runner(
        "--json", "--only", "refused_for_good", "--", *FAULTY, "--fault", "exits_0_when_refused"
    )
    report = json.loads(finished.stdout)
    assert finished.returncode == 1 and report["conforms"] is False
    assert [(rule["name"], rule["state"]) for rule in report["rules"]] == [("refused_for_good", "FAILED")]
    assert "exit code 0 instead of 3" in report["rules"][0]["seen"]


def test_the_same_worker_without_a_fault_conforms(runs):
    finished = runs["clean"]
    lines = finished.stdout.splitlines()
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert lines[-1] == f"{len(RULES)} passed, 0 failed"
    assert all(line.startswith("ok ") for line in lines[:-1])


def test_each_rule_has_a_fault_to_find():
    assert set(faulty_parts.FAULTS.values()) == set(RULES)


def test_it_works_over_tcp(runs):
    assert runs["tcp"].returncode == 0, runs["tcp"].stdout
    assert runs["tcp"].stdout.splitlines()[-1] == "3 passed, 0 failed"


@pytest.mark.parametrize("name", without_hello())
def test_without_hello_it_does_not_conform(runs, name):
    finished, cause = runs[name], without_hello()[name][1]
    lines = finished.stdout.splitlines()
    assert finished.returncode == 1
    assert cause in lines[0] and "never said hello" in lines[0]
    assert lines[-1] == f"0 passed, 1 failed, {len(RULES) - 1} skipped"


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ([], "no COMMAND"),
        (["--"], "no COMMAND"),
        (["--frobnicate", "--", "true"], "unknown option --frobnicate"),
        (["true"], "COMMAND stands behind --"),
        (["--only", "no_such_rule", "--", "true"], "no_such_rule"),
        (["--without", "arms", "--", "true"], "arms"),
        (["--jobs", "many", "--", "true"], "many"),
        (["--only"], "--only needs a value"),
        (["--", "/there/is/no/such/program"], "is no program"),
    ],
)
def test_wrong_usage_is_told_apart(arguments, complaint):
    finished = runner(*arguments)
    assert finished.returncode == 2
    assert complaint in finished.stderr and finished.stdout == ""


def test_nothing_tried_is_no_conformance():
    finished = runner("--only", "outbox_locked", "--no-options", "--", *FAULTY)
    assert finished.returncode == 1
    assert "the worker is without outbox_file" in finished.stdout
    assert finished.stdout.splitlines()[-1] == "0 passed, 0 failed, 1 skipped"


def test_help_and_list_teach():
    text = runner("--help").stdout
    for word in ("--only", "--without", "outbox_file", "Exit codes", "Conformance::Handler"):
        assert word in text
    assert [line.split()[0] for line in runner("--list").stdout.splitlines()] == RULES


@pytest.fixture
def short_folder():
    """Below it there is room for the paths of sockets, unlike below pytest's own."""
    with tempfile.TemporaryDirectory(prefix="tc", dir="/tmp") as folder:
        yield Path(folder)


def test_a_signal_ends_the_run_and_all_it_started(short_folder):
    environment = {**os.environ, "TMPDIR": str(short_folder)}
    process = subprocess.Popen(
        [*RUNNER, "--only", "silence_makes_new_sockets", "--", *FAULTY],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    end = time.monotonic() + 20
    while not (logs := list(short_folder.glob("*/*/handler.log"))) and time.monotonic() < end:
        time.sleep(0.05)
    assert logs, "the worker of the rule never ran a handler"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert list(short_folder.iterdir()) == []
    running = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    left = [line for line in running.splitlines() if line.split()[0] == str(process.pid)]
    assert left == []
