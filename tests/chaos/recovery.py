"""How long it took after a kill until work went on (I11)."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Sequence

# The bars of the design: a killed orchestrator's successor publishes again; a killed worker's steps run
# elsewhere after disconnect_grace_ms and a second. tests/system/test_orphans.py and test_standby.py judge
# them one by one.
ORCHESTRATOR_BAR_S = 2.0
WORKER_BAR_S = 3.0
# One sample may be this many times the bar: the machine runs everything at once. The median may not.
WORST_FACTOR = 3.0
MEDIAN_SAMPLES_MIN = 3  # of fewer it says nothing
QUIET_S = 1.0


@dataclass(frozen=True)
class Kill:
    """`in_hand`: (step, attempt) that a killed worker had not reported. `at` is wall-clock time."""

    slot: str
    at: float
    orchestrator: bool
    in_hand: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Disturbance:
    """A fault's time, from begin to end, on the wall clock."""

    fault: str
    begin: float
    end: float


@dataclass(frozen=True)
class Sample:
    """`seconds` is None when nothing that was waited for happened. `alone`: no other fault lay in the way."""

    kill: Kill
    seconds: float | None
    alone: bool


def is_alone(kill: Kill, seconds: float, disturbances: Sequence[Disturbance]) -> bool:
    """Whether only this kill happened from just before it until recovery."""
    begin, end = kill.at - QUIET_S, kill.at + seconds
    own = [d for d in disturbances if d.begin <= end and d.end >= begin]
    return len(own) <= 1


def describe(samples: Sequence[Sample], bar_s: float) -> str:
    times = sorted(s.seconds for s in samples if s.alone and s.seconds is not None)
    if not times:
        return f"no undisturbed sample of {len(samples)} (bar {bar_s:.0f} s)"
    over = sum(time > bar_s for time in times)
    text = f"p50 {statistics.median(times):.2f} s, max {times[-1]:.2f} s, {len(times)} undisturbed"
    return f"{text} of {len(samples)}, {over} over the bar of {bar_s:.0f} s"


def too_slow(samples: Sequence[Sample], bar_s: float) -> list[str]:
    """What breaks the bar: the median of the undisturbed samples, or one that is far beyond it."""
    alone = [s for s in samples if s.alone and s.seconds is not None]
    times = [s.seconds for s in alone if s.seconds is not None]
    found = []
    if len(times) >= MEDIAN_SAMPLES_MIN and statistics.median(times) > bar_s:
        found.append(
            f"median of {len(times)} recoveries is {statistics.median(times):.2f} s, the bar {bar_s} s"
        )
    for sample in alone:
        if sample.seconds is not None and sample.seconds > bar_s * WORST_FACTOR:
            found.append(f"{sample.kill.slot}, killed at {sample.kill.at:.3f}: {sample.seconds:.2f} s")
    return found
