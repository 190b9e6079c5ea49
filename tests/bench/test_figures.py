"""The arithmetic: percentiles, summaries, and what a soak judges by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.bench import bounds, figures, report


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [figures.percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert figures.percentile([7.0], 0.01) == figures.percentile([7.0], 0.99) == 7
    assert figures.percentile([1.0, 2.0], 0.5) == 1 and figures.percentile([1.0, 2.0], 0.51) == 2
    with pytest.raises(ValueError, match="at least one"):
        figures.percentile([], 0.5)


def test_percentiles_do_not_depend_on_order_and_are_left_out_when_nothing_was_measured() -> None:
    assert figures.percentiles([3, 1, 2], "task") == {"task_p50_ms": 2, "task_p95_ms": 3, "task_p99_ms": 3}
    assert figures.percentiles([], "task") == {}
    assert figures.bucket_percentiles([], "next_step") == {}


def test_percentiles_of_a_histogram_are_within_its_resolution() -> None:
    first, second = [[1000.0, 60], [2000.0, 30]], [[1000.0, 5], [4000.0, 5]]
    merged = figures.merge_buckets([first, second])
    assert merged == [(1000.0, 65), (2000.0, 30), (4000.0, 5)]
    found = figures.bucket_percentiles(merged, "next_step")
    assert found["next_step_p50_ms"] == pytest.approx(1.0, rel=0.03)
    assert found["next_step_p95_ms"] == pytest.approx(2.0, rel=0.03)
    assert found["next_step_p99_ms"] == pytest.approx(4.0, rel=0.03)


def test_a_summary_has_median_least_and_greatest_of_each_figure() -> None:
    summary = figures.summarise([{"a": 3.0, "b": 1.0}, {"a": 1.0}, {"a": 2.0}])
    assert summary["a"] == {"median": 2, "min": 1, "max": 3}
    assert summary["b"] == {"median": 1, "min": 1, "max": 1}
    assert figures.change_percent(110, 100) == pytest.approx(10)


SAMPLE = bounds.Sample(0.0, 1000.0, {"orchestrator": 50.0}, {"t": 10_000}, {"t": 100}, {"t": 0})


def samples(count: int = 9, **last: object) -> list[bounds.Sample]:
    """Ten seconds apart; the last third differs as told."""
    made = [replace(SAMPLE, at_s=10.0 * place, updates={"t": 100 * place}) for place in range(count)]
    return made[: -count // 3] + [replace(sample, **last) for sample in made[-count // 3 :]]


def test_what_stays_as_it_was_is_not_complained_about() -> None:
    assert bounds.complaints(samples(), 1000) == []
    # A tenth more memory is how allocators are.
    assert bounds.complaints(samples(memory_mb={"orchestrator": 55.0}), 1000) == []


def test_memory_that_grows_is() -> None:
    (text,) = bounds.complaints(samples(memory_mb={"orchestrator": 70.0}), 1000)
    assert "orchestrator grew from 50 to 70 MB" in text


def test_dead_rows_that_vacuum_leaves_behind_are() -> None:
    # 2 × (50 + 0.2 × 10 000) start vacuums, 10 updates/s for 120 s come meanwhile: 5 300.
    assert bounds.complaints(samples(dead={"t": 5_299}), 1000) == []
    (text,) = bounds.complaints(samples(dead={"t": 5_301}), 1000)
    assert "t has 5301 dead rows" in text


def test_a_queue_that_grows_is() -> None:
    (text,) = bounds.complaints(samples(steps_per_s=900.0), 1000)
    assert "900 steps/s were done" in text and "1000 offered" in text


def test_two_samples_are_too_few_to_tell() -> None:
    (text,) = bounds.complaints([SAMPLE, SAMPLE], 1000)
    assert "too few" in text


def one(value: float) -> dict[str, float]:
    return {"median": value, "min": value * 0.9, "max": value * 1.1}


REPORTS: list[dict[str, Any]] = [
    {
        "workload": "batch_size",
        "runs": 2,
        "worker": "native",
        "environment": {"machine": "a machine", "commit": "abc", "date": "2026-01-01"},
        "cases": {str(size): {"steps_per_s": one(1000.0 * size), "steps": one(4)} for size in (1, 10)},
    },
    {
        "workload": "load",
        "environment": {},
        "cases": {
            rate: {
                name: one(float(rate))
                for name in ("steps_per_s", "task_p50_ms", "task_p95_ms", "task_p99_ms")
            }
            for rate in ("100", "500")
        },
    },
]


def test_a_workload_of_its_own_kind_gets_a_table_with_every_figure_and_its_spread() -> None:
    table = report.markdown(REPORTS, {"batch_size": "throughput"})
    assert "- machine: a machine" in table and "- commit: abc" in table
    assert "| figure | 1 | 10 |" in table
    assert (
        "| `steps_per_s` | 1\u202f000 (900.0 – 1\u202f100) | 10\u202f000 (9\u202f000 – 11\u202f000) |"
        in table
    )
    assert "`steps`" not in table, "the size of a run is a setting"
    assert "(worker native, runs 2)" in table


def test_what_runs_under_load_shares_one_table() -> None:
    figures_of = {"steps_per_s": one(1000.0), "wal_bytes_per_step": one(2400.0), "change_percent": one(2.0)}
    beside = {**figures_of, "product_to_floor": one(0.6), "wal_to_floor": one(1.2)}
    reports: list[dict[str, Any]] = [
        {"workload": "chain4", "environment": {}, "runs": 5, "results": beside},
        {"workload": "fanout", "environment": {}, "cases": {"1 → 10 → 1": figures_of}},
    ]
    table = report.markdown(reports, {})
    rows = [line for line in table.splitlines() if line.startswith("| **")]
    assert len(rows) == 2 and len({row.count("|") for row in rows}) == 1
    assert rows[0].startswith("| **chain4** (runs 5) | 1\u202f000 (900.0 – 1\u202f100) | 0.600 / 1.20 |")
    assert rows[1].startswith("| **fanout** 1 → 10 → 1 | 1\u202f000")
    assert "| 2\u202f400 / – |" in rows[0]
    assert "| `change_percent` | 2.00 (1.80 – 2.20) |" in table, "what has no column stands below"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0423, "0.042"), (0.00012, "0.0001"), (1.5, "1.50"), (123.4, "123.4")]
)
def test_numbers_keep_the_digits_that_matter(value: float, text: str) -> None:
    assert report.number(value) == text
