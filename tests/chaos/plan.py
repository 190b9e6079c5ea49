"""From a seed to the list of what happens when. Nothing else decides it, so a seed replays it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Collection

from tests.chaos.faults import FAULTS

WARM_UP_S = 3.0
MEAN_GAP_S = 1.2
# Now and then a kill with quiet before and after it, so that the recovery can be measured by itself.
QUIET_BEFORE_S = 4.0
QUIET_AFTER_S = 5.0
MEASURED = ("kill_orchestrator", "kill_worker")
MEASURE_EVERY_S = 40.0


@dataclass(frozen=True)
class Planned:
    at: float
    fault: str
    parameters: dict[str, Any]
    measured: bool = False


def make_plan(seed: str, seconds: float, chosen: Collection[str]) -> list[Planned]:
    """Faults of the chosen kinds, from WARM_UP_S on: first each kind once, then by weight."""
    rng = random.Random(f"{seed}/plan")
    kinds = sorted(chosen)
    if not kinds:
        return []
    first_round = rng.sample(kinds, len(kinds))
    measured = [name for name in MEASURED if name in kinds]
    plan: list[Planned] = []
    at, next_measure = WARM_UP_S, WARM_UP_S
    while at < seconds:
        if measured and at >= next_measure:
            for name in measured:
                plan.append(Planned(round(at, 2), name, FAULTS[name].draw(rng), measured=True))
                at += QUIET_AFTER_S
            next_measure = at + MEASURE_EVERY_S
            continue
        if first_round:
            name = first_round.pop()
        else:
            name = rng.choices(kinds, [FAULTS[kind].weight for kind in kinds])[0]
        plan.append(Planned(round(at, 2), name, FAULTS[name].draw(rng)))
        at += rng.uniform(0.1, 2 * MEAN_GAP_S)
        if measured and at >= next_measure:
            at += QUIET_BEFORE_S
    return [planned for planned in plan if planned.at < seconds]
