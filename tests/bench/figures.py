"""The arithmetic of measurements: percentiles, and medians with their spread over several runs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

Figures = dict[str, float]
Summary = dict[str, dict[str, float]]
Buckets = Sequence[Sequence[float]]

SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the sorted values do not exceed (nearest rank)."""
    if not ordered:
        raise ValueError("a percentile needs at least one value")
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, min(len(ordered), int(rank)) - 1)]


def percentiles(values: Iterable[float], prefix: str) -> Figures:
    """`{prefix}_p50_ms` … of values in milliseconds; nothing when there are none."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {f"{prefix}_{name}_ms": percentile(ordered, share) for name, share in SHARES.items()}


def merge_buckets(histograms: Iterable[Buckets]) -> list[tuple[float, int]]:
    """Adds up histograms of [lower edge, count] pairs with the same edges."""
    total: dict[float, int] = {}
    for histogram in histograms:
        for edge, count in histogram:
            total[edge] = total.get(edge, 0) + int(count)
    return sorted(total.items())


def bucket_percentiles(buckets: Buckets, prefix: str) -> Figures:
    """As percentiles(), from a histogram in microseconds. A bucket stands for its geometric middle."""
    count = sum(int(number) for _edge, number in buckets)
    if count == 0:
        return {}
    middle = 2 ** (1 / 32)
    figures = {}
    for name, share in SHARES.items():
        rank = max(1, -(-count * share // 1))
        seen = 0
        for edge, number in buckets:
            seen += int(number)
            if seen >= rank:
                figures[f"{prefix}_{name}_ms"] = edge * middle / 1000
                break
    return figures


def summarise(runs: Sequence[Mapping[str, float]]) -> Summary:
    """Median, least and greatest of every figure over the runs that have it."""
    names = [name for run in runs for name in run]
    summary: Summary = {}
    for name in dict.fromkeys(names):
        values = [run[name] for run in runs if name in run]
        summary[name] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return summary


def change_percent(now: float, before: float) -> float:
    return (now / before - 1) * 100
