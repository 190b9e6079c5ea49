"""Pictures of a results file: throughput against batch size, and latency against load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

try:
    import matplotlib
except ImportError:
    raise SystemExit(
        "bin/bench: pictures need matplotlib for /usr/bin/python3: apt-get install python3-matplotlib"
    ) from None
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

Report = dict[str, Any]


def draw(reports: list[Report], folder: Path) -> list[Path]:
    """Draws what the file has figures for; returns the pictures' paths. SystemExit when it has none."""
    by_name = {report["workload"]: report for report in reports}
    wanted = {"batch_size": throughput_by_batch_size, "load": latency_by_load}
    drawn = [name for name in wanted if name in by_name]
    if not drawn:
        raise SystemExit(
            "bin/bench: the file has no figures to draw: measure with bin/bench batch_size load --out FILE"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return [wanted[name](by_name[name], folder) for name in drawn]


def _axes(title: str, x: str, y: str) -> tuple[Any, Any]:
    picture, axes = pyplot.subplots(figsize=(7, 4.2), dpi=120)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(True, which="major", alpha=0.3)
    return picture, axes


def _save(picture: Any, report: Report, file: Path) -> Path:
    around = report.get("environment", {})
    machine = f"{around.get('machine', '')} · {around.get('commit', '')} · {around.get('date', '')}"
    picture.text(0.01, 0.01, machine, fontsize=6, color="gray")
    picture.tight_layout(rect=(0, 0.03, 1, 1))
    # Without the time in it, the same figures make the same file.
    picture.savefig(file, metadata={"Software": None})
    pyplot.close(picture)
    return file


def throughput_by_batch_size(report: Report, folder: Path) -> Path:
    picture, axes = _axes("chain4: throughput by batch size", "steps per batch, at most", "steps/s")
    sizes = [int(name) for name in report["cases"]]
    rates = [case["steps_per_s"] for case in report["cases"].values()]
    medians = [rate["median"] for rate in rates]
    below = [rate["median"] - rate["min"] for rate in rates]
    above = [rate["max"] - rate["median"] for rate in rates]
    axes.errorbar(sizes, medians, yerr=[below, above], marker="o", capsize=3, label="median, least, greatest")
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_ylim(bottom=0)
    axes.legend()
    return _save(picture, report, folder / "throughput_by_batch_size.png")


def latency_by_load(report: Report, folder: Path) -> Path:
    picture, axes = _axes(
        "chain4: latency by load", "steps/s done", "submit → complete of 4 chained steps, ms"
    )
    done = [case["steps_per_s"]["median"] for case in report["cases"].values()]
    for name in ("p50", "p95", "p99"):
        times = [case[f"task_{name}_ms"]["median"] for case in report["cases"].values()]
        axes.plot(done, times, marker="o", label=name)
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.legend()
    return _save(picture, report, folder / "latency_by_load.png")
