"""The command line: bad arguments are refused with what is wrong and what there is; files are checked."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.bench import cli
from tests.bench.workloads import LINES
from tests.bench.workloads.everything import PLAN
from tests.support import procs

BENCH = procs.ROOT / "tests/bench/bench.py"


def bench(*arguments: str | Path) -> subprocess.CompletedProcess:
    command = ["/usr/bin/python3", str(BENCH), *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_help_explains_every_workload_in_a_line() -> None:
    text = bench("--help").stdout
    for name, line in LINES.items():
        assert f"  {name} " in text and line in text
    assert "bin/bench all --out results.json" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chain5"], "there is no workload 'chain5'; there are: chain4,"),
        (["all", "chain4"], "`all` stands alone"),
        (["chain4", "--runs", "0"], "0 is not a whole number from 1"),
        (["chain4", "--tasks", "many"], "argument --tasks: invalid positive value: 'many'"),
        (["soak", "--rate", "-1"], "-1 is not a number above 0"),
        (["soak", "--minutes", "nan"], "nan is not a number above 0"),
        (["chain4", "--worker", "go"], "invalid choice: 'go'"),
        (["floor", "--worker", "ruby"], "have no ruby worker"),
        (["all", "--worker", "python"], "all has every kind"),
        (["fanout", "--width", "9999"], "--width is at most 9998: a template may have 10000 steps"),
        (["chain4", "--report", "x.json"], "they measure nothing"),
    ],
)
def test_bad_arguments_are_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_programs_that_were_not_built_are_named_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="bin/tasker is missing: run bin/setup"):
        cli.main(["chain4", "--build", str(tmp_path)])


def test_a_results_file_that_cannot_be_written_is_found_out_before_measuring(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="cannot write .*No such file or directory; name another file"):
        cli.main(["chain4", "--out", str(tmp_path / "missing" / "results.json")])


@pytest.mark.parametrize("text", ["not json", "{}", '[{"name": 1}]'])
def test_a_file_that_holds_no_results_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(SystemExit, match="not a results file"):
        cli.main(["--report", str(file)])


def test_a_report_is_made_from_a_results_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "results.json"
    figure = {"median": 1.0, "min": 1.0, "max": 2.0}
    reports = [{"workload": "chain4", "environment": {}, "results": {"steps_per_s": figure}}]
    file.write_text(json.dumps(reports))
    assert cli.main(["--report", str(file)]) == 0
    assert "| `steps_per_s` | 1.00 (1.00 – 2.00) |" in capsys.readouterr().out


def test_everything_includes_every_workload() -> None:
    assert {name for name, _changes in PLAN} == set(LINES)
