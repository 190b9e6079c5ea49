"""Whether something grows without bound: what a soak decides by."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# Caches and allocators settle; a leak of a few bytes per step shows well above this within minutes.
MEMORY_FACTOR = 1.15
MEMORY_SLACK_MB = 8.0
# PostgreSQL's own rule for when a table is vacuumed, and how often it looks.
VACUUM_THRESHOLD = 50
VACUUM_SCALE = 0.2
VACUUM_NAPTIME_S = 60.0
RATE_SHARE = 0.95


@dataclass(frozen=True)
class Sample:
    """What was seen at one moment; `dead`, `live` and `updates` (so far) are by table."""

    at_s: float
    steps_per_s: float
    memory_mb: dict[str, float]
    live: dict[str, int]
    dead: dict[str, int]
    updates: dict[str, int]


def thirds(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The first and the last third; each has at least one sample of three or more."""
    size = max(1, len(samples) // 3)
    return samples[:size], samples[-size:]


def complaints(samples: Sequence[Sample], offered: float) -> list[str]:
    """What grew without bound, in words; nothing when all is well."""
    if len(samples) < 3:
        return [f"only {len(samples)} samples were taken: too few to tell; let it run longer"]
    first, last = thirds(samples)
    found = []
    for name in first[0].memory_mb:
        before = statistics.median(sample.memory_mb[name] for sample in first)
        after = statistics.median(sample.memory_mb[name] for sample in last)
        if after > before * MEMORY_FACTOR + MEMORY_SLACK_MB:
            found.append(
                f"{name} grew from {before:.0f} to {after:.0f} MB between the first and the last third"
            )
    for table, dead in last[-1].dead.items():
        allowed = dead_rows_allowed(samples, table)
        if dead > allowed:
            found.append(
                f"{table} has {dead} dead rows, more than the {allowed:.0f} that vacuuming should leave"
            )
    rate = statistics.fmean(sample.steps_per_s for sample in last)
    if rate < RATE_SHARE * offered:
        found.append(
            f"{rate:.0f} steps/s were done in the last third, {offered:.0f} offered: the queue grows"
        )
    return found


def dead_rows_allowed(samples: Sequence[Sample], table: str) -> float:
    """Twice what starts a vacuum, and what can come while two looks go by. (A run shorter than those cannot
    exceed it: rows have not had the time to be left behind.)"""
    begin, end = samples[0], samples[-1]
    updates = end.updates.get(table, 0) - begin.updates.get(table, 0)
    per_second = updates / max(end.at_s - begin.at_s, 1e-9)
    threshold = VACUUM_THRESHOLD + VACUUM_SCALE * end.live.get(table, 0)
    return 2 * threshold + per_second * 2 * VACUUM_NAPTIME_S
