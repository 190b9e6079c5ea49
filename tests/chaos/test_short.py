"""The short run of bin/chaos: two fixed seeds, as many kinds of faults as fit in. And its end by Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.support.procs import PATIENCE, ROOT, Processes, wait_until

CHAOS = str(ROOT / "bin/chaos")
# Faults for half a minute, healing for about as long.
OPTIONS = ["--minutes", "0.5", "--tasks", "250"]


@pytest.mark.parametrize("seed", ["101", "202"])
def test_nothing_is_lost_or_doubled_under_half_a_minute_of_faults(seed: str):
    command = [CHAOS, "--seed", seed, *OPTIONS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400 * PATIENCE, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert "0 violations" in done.stdout


def processes_that_name(text: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in words:
            found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()!r}")
    return found


def none_names(text: str) -> bool:
    return not processes_that_name(text)


def test_ctrl_c_leaves_nothing_behind(processes: Processes):
    chaos = processes.start("chaos", [CHAOS, "--seed", "1", "--minutes", "5", "--tasks", "500"])
    chaos.wait_for_output(" accepted; ", 90)
    places = re.findall(r"/tmp/t\S+-\w+", chaos.wait_for_output("starting in "))
    assert len(places) == 2 and all(processes_that_name(place) for place in places)
    chaos.signal(signal.SIGINT)
    assert chaos.wait(60) == 130, chaos.output()
    for place in places:
        wait_until(partial(none_names, place), 10, f"no process of {place} is left")
        assert not Path(place).exists()
    assert "interrupted" in chaos.output()
