"""Every workload runs, in miniature, and gives every figure that it promises."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import pytest

from tests.bench import options, templates
from tests.bench.workloads import LINES, WORKLOADS, backlog
from tests.support import procs

pytestmark = pytest.mark.usefixtures("one_cluster")
PERCENTILES = ("p50", "p95", "p99")
COST = {
    "orchestrator_cpu_ms_per_step",
    "postgres_cpu_ms_per_step",
    "workers_cpu_ms_per_step",
    "commits_per_step",
    "wal_bytes_per_step",
    "steps_per_turn",
}
MEMORY = {"orchestrator_peak_mb", "lane_backend_anonymous_mb"}
RATES = {"steps_per_s", "tasks_per_s", *(f"task_{name}_ms" for name in PERCENTILES)}
NEXT_STEP = {f"next_step_{name}_ms" for name in PERCENTILES}
COUNTED = {"rows_written_per_step", "round_trips_per_step"}
BESIDE_FLOOR = {"floor_steps_per_s", "product_to_floor", "wal_to_floor"}
LOADED = COST | MEMORY | RATES
LATENCY = {f"{name}_ms" for name in PERCENTILES} | {"max_ms"}


def run(name: str, *arguments: str) -> dict[str, Any]:
    parsed: argparse.Namespace = options.parse(LINES, [name, "--runs", "1", *arguments])
    parsed.build = procs.build_dir().resolve()
    report = WORKLOADS[name].run(parsed)
    assert report["workload"] == name
    return report


def cases(report: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    found = report.get("cases") or {"": report["results"]}
    for name, case in found.items():
        for figure, value in case.items():
            assert set(value) == {"median", "min", "max"}, (name, figure)
            assert value["min"] <= value["median"] <= value["max"], (name, figure)
        yield name, case


def assert_figures(report: dict[str, Any], promised: set[str]) -> None:
    for name, case in cases(report):
        assert promised <= set(case), f"{name}: {sorted(promised - set(case))} missing"


def test_chain4_beside_the_floor() -> None:
    report = run("chain4", "--tasks", "30", "--with-floor", "--capacity", "10")
    assert_figures(report, LOADED | NEXT_STEP | COUNTED | BESIDE_FLOOR)
    figures = report["results"]
    assert figures["steps"]["median"] == 120
    # A claim, a result and their histories cannot be fewer; far more would be a slip of the count.
    assert 8 <= figures["rows_written_per_step"]["median"] <= 25
    assert 0 < figures["round_trips_per_step"]["median"] < 10
    assert 500 < figures["wal_bytes_per_step"]["median"] < 100_000


def test_chain40_without_the_floor() -> None:
    report = run("chain40", "--tasks", "2", "--no-with-floor")
    assert_figures(report, LOADED | NEXT_STEP | COUNTED)
    assert not BESIDE_FLOOR & set(report["results"])


def test_single_with_two_workers_and_another_batch_size() -> None:
    report = run("single", "--tasks", "20", "--no-with-floor", "--workers", "2", "--batch-size", "3")
    assert_figures(report, LOADED | COUNTED)
    assert (report["workers"], report["batch_size"]) == (2, 3)
    assert report["results"]["steps_per_turn"]["median"] >= 1


def test_fanout() -> None:
    report = run("fanout", "--tasks", "2", "--width", "10")
    assert_figures(report, LOADED | {"alone_ms"})
    assert report["cases"]["1 → 10 → 1"]["steps"]["median"] == 24


def test_latency() -> None:
    report = run("latency", "--samples", "3")
    idle = report["cases"].pop("idle")
    assert set(idle) == {"orchestrator_cpu_percent", "orchestrator_resident_mb"}
    assert set(report["cases"]) == {"1 step", "3 steps", "10 steps"}
    assert_figures(report, LATENCY)


def test_order_fulfillment_with_both_languages() -> None:
    report = run("order_fulfillment", "--tasks", "24")
    assert_figures(report, LOADED)
    assert report["worker"] == "ruby and python"
    # Four of the shipped orders are refused by their first step.
    assert report["results"]["tasks_complete_share"]["median"] == pytest.approx(20 / 24)


def test_load() -> None:
    report = run("load", "--rate", "100", "--seconds", "0.5")
    assert_figures(report, RATES | COST)


def test_sessions() -> None:
    report = run("sessions", "--sessions", "5", "--tasks", "10")
    assert set(report["cases"]) == {
        "one worker alone",
        "beside 5 idle sessions",
        "work spread over 5 sessions",
    }
    assert_figures(report, LOADED | {"idle_orchestrator_cpu_percent"})


def test_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    # Tasks of 10 steps instead of 10 000.
    monkeypatch.setattr(backlog, "WIDE", templates.fan_out("backlog_wide", 8, templates.UNSERVED))
    report = run("backlog", "--size", "30", "--tasks", "5")
    assert set(report["cases"]) == {"30 unserved", "30 behind"}
    assert_figures(report, {"us_per_step", "us_per_step_with_none", "change_percent", "open_steps"})
    assert [case["open_steps"]["median"] for case in report["cases"].values()] == [30, 30]


def test_soak() -> None:
    report = run("soak", "--minutes", "0.04", "--rate", "80")
    assert set(report["cases"]) == {"first third", "last third"}
    assert_figures(
        report, {"steps_per_s", "orchestrator_resident_mb", "tables_mb", "indexes_mb", "dead_rows"}
    )
    # A busy machine may not hold the rate for two seconds; everything else must be in order.
    faults = [note for note in report["notes"] if "the queue grows" not in note and "too few" not in note]
    assert report["held"] is (report["notes"] == ["Nothing grew without bound."])
    assert faults in ([], ["Nothing grew without bound."])


def test_the_floor_alone() -> None:
    report = run("floor", "--tasks", "10", "--turn", "5")
    assert set(report["cases"]) == {"5 per turn, 1 connection", "5 per turn, 2 connections"}
    assert_figures(
        report,
        {
            "steps_per_s",
            "steps_per_turn",
            "postgres_cpu_ms_per_step",
            "commits_per_step",
            "wal_bytes_per_step",
        },
    )
