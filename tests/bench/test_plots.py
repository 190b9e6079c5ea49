"""Pictures of a results file. Drawing needs matplotlib, which bin/setup leaves to those who draw."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.bench.test_figures import REPORTS
from tests.support import procs


def test_both_pictures_are_drawn_from_a_results_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs python3-matplotlib")
    from tests.bench import plots

    pictures = plots.draw(json.loads(json.dumps(REPORTS)), tmp_path / "plots")
    assert [picture.name for picture in pictures] == ["throughput_by_batch_size.png", "latency_by_load.png"]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_a_file_without_what_is_drawn_is_refused_with_the_way_to_get_it(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs python3-matplotlib")
    from tests.bench import plots

    with pytest.raises(SystemExit, match="bin/bench batch_size load --out"):
        plots.draw([{"workload": "chain4"}], tmp_path)


def test_without_matplotlib_the_package_to_install_is_named(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not here')")
    file = tmp_path / "results.json"
    file.write_text(json.dumps(REPORTS))
    done = subprocess.run(
        ["/usr/bin/python3", str(procs.ROOT / "tests/bench/bench.py"), "--plots", str(file)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "apt-get install python3-matplotlib" in done.stderr
