"""Runs the libFuzzer targets of tests/fuzz for a short while each, as tests."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from tests.fuzz import corpus
from tests.support import suites
from tests.support.procs import ROOT

FUZZ = ROOT / "tests/fuzz"
# Properties of an input, not of the machine: one that takes this long would hold up a turn or a command.
INPUT_SECONDS_MAX = 20
MEMORY_MB_MAX = 2048
INPUT_BYTES_MAX = 8192
HEX_BYTES_SHOWN = 2048
DICTIONARIES = {"template": "yaml", "options": "yaml"}


def targets(build: Path) -> list[str]:
    """Names of the targets that were built."""
    return sorted(program.name.removeprefix("fuzz_") for program in (build / "bin").glob("fuzz_*"))


def _arguments(build: Path, target: str, seconds: int, seed: int, crashes: Path, folder: Path) -> list[str]:
    regressions = FUZZ / "regressions" / target
    dictionary = FUZZ / "dictionaries" / f"{DICTIONARIES.get(target, 'json')}.dict"
    return [
        str(build / "bin" / f"fuzz_{target}"),
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-timeout={INPUT_SECONDS_MAX}",
        f"-rss_limit_mb={MEMORY_MB_MAX}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-dict={dictionary}",
        f"-artifact_prefix={crashes}/",
        # New finds go into the first folder, which is temporary; the second is only read.
        str(folder),
        *([str(regressions)] if regressions.is_dir() else []),
    ]


def _kept_input(output: str) -> str:
    """What to say about the input that libFuzzer kept: where, its bytes, and what to do with it."""
    found = re.search(r"Test unit written to (\S+)", output)
    if not found:
        return "(no input was kept: the target did not get as far as an input)"
    path = Path(found.group(1))
    content = path.read_bytes()
    shown = content[:HEX_BYTES_SHOWN].hex() + ("…" if len(content) > HEX_BYTES_SHOWN else "")
    return (
        f"input of {len(content)} bytes as hex: {shown}\n"
        f"kept as {path}\nrun it again: {path.parent.parent.parent}/bin/fuzz_{path.parent.name} {path}\n"
        f"once it is fixed, keep it in tests/fuzz/regressions/{path.parent.name}/"
    )


def _told(output: str) -> str:
    """The part of a target's output that tells what was wrong: without progress, byte dumps, and those frames
    of the stack that are not ours."""
    ours = re.compile(r"/(orchestrator|protocol|tests)/")
    noise = re.compile(
        r"#\d+\s|\s*NEW_FUNC|INFO:|Dictionary:|0x[0-9a-f]{2},|Base64:|MS: |NOTE:|\s+Combine libFuzzer"
    )
    lines = [line[:400] for line in output.splitlines() if not noise.match(line)]
    shown = [line for line in lines if not re.match(r"\s+#\d+ ", line) or ours.search(line)]
    return "\n".join(shown[:40])


def run_target(job: suites.Job, build: Path, target: str, seconds: int, seed: int) -> suites.Outcome:
    """One target for `seconds` from its seeds, the regressions and the number `seed`; a crash keeps its input
    below BUILD/crashes/TARGET."""
    crashes = build / "crashes" / target
    crashes.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"tasker-fuzz-{target}-") as name:
        folder = Path(name)
        corpus.write_seeds(target, folder)
        job.command = _arguments(build, target, seconds, seed, crashes, folder)
        job.limit = seconds * 4 + 120
        code, output = job.run()
    outcome = suites.Outcome()
    # A target that stops before its time without a crash has not tested what it was asked to.
    if code == 0 and re.search(r"Done \d+ runs", output):
        outcome.passed = 1
    else:
        text = f"ended with code {code} (seed {seed})\n{_kept_input(output)}\n{_told(output)}"
        outcome.failures.append((f"fuzz.{target}", text))
    return outcome


def run_all(job: suites.Job, build: Path, seconds: int, seed: int) -> suites.Outcome:
    """All targets, one after the other; none built is a failure."""
    outcome = suites.Outcome()
    print(f"   fuzz: {seconds} s for each target, seed {seed}", flush=True)
    for target in targets(build):
        one = suites.Job(f"fuzz-{target}", [], job.folder, job.reports, job.environment)
        outcome.add(run_target(one, build, target, seconds, seed))
    if not outcome.passed and not outcome.failed:
        outcome.failures.append(
            ("fuzz", f"{build}/bin holds no fuzz targets. Build them with: bin/test --only fuzz")
        )
    return outcome
