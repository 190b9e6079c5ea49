"""The code and the commands of README.md run, in their order, in a folder like a checkout.

The marks before a block are those of the root's README.md: `terminal: NAME; ready: TEXT` starts it in the
background until TEXT is in its output. A block whose first line is `# NAME.py` is saved under that name.
"""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.worker_process import PACKAGE_ROOT, STOP_LIMIT_S

ROOT = Path(PACKAGE_ROOT).parents[1]
BLOCK = re.compile(r"(?:^<!-- ([^\n]*) -->\n)?^```(\w+)\n(.*?)^```$", re.M | re.S)
TERMINAL = re.compile(r"terminal: [\w-]+; ready: (.+)")


@pytest.fixture
def checkout(folder):
    ignored = shutil.ignore_patterns("__pycache__", ".*", "build", "*.egg-info")
    for part in ("workers/python", "config"):
        shutil.copytree(ROOT / part, Path(folder) / part, ignore=ignored)
    shutil.copy(ROOT / "VERSION", folder)
    return Path(folder)


def environment(fake):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("TASKER_", "PYTHON"))}
    endpoints = {
        "TASKER_STEPS_ENDPOINT": fake.steps_endpoint,
        "TASKER_RESULTS_ENDPOINT": fake.results_endpoint,
    }
    return {**clean, **endpoints, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def run_in_background(text, ready, checkout, fake):
    *before, last = text.strip().splitlines()
    log = checkout / "terminal.log"
    with open(log, "wb") as stream:
        process = subprocess.Popen(
            ["bash", "-c", "\n".join(["set -eu", *before, f"exec {last}"])],
            cwd=checkout,
            env=environment(fake),
            stdout=stream,
            stderr=stream,
        )
    try:
        fake.wait(
            f"{ready!r} in the output",
            lambda: ready in log.read_text() or (process.poll() is not None and pytest.fail(log.read_text())),
        )
        process.send_signal(signal.SIGTERM)
        fake.wait("the worker's end", lambda: process.poll() is not None)
        assert process.returncode == 0, log.read_text()
    finally:
        process.kill()
        process.wait(STOP_LIMIT_S)


def test_all_blocks_of_the_readme_run_in_their_order(checkout, fake):
    ran = []
    for mark, language, text in BLOCK.findall((Path(PACKAGE_ROOT) / "README.md").read_text()):
        name = re.match(r"# ([\w-]+\.py)\n", text)
        if name:
            (checkout / name[1]).write_text(text)
        elif terminal := TERMINAL.match(mark):
            run_in_background(text, terminal[1], checkout, fake)
            ran.append("terminal")
        else:
            assert (language, mark) == ("sh", ""), f"a block that nobody runs: {text}"
            done = subprocess.run(
                ["bash", "-c", f"set -eu\n{text}"],
                cwd=checkout,
                env=environment(fake),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, text + done.stdout + done.stderr
            ran.append("command")
    assert ran == ["command", "terminal", "command"]
