"""Every fault by name: how often it comes, how its parameters are drawn, and what it does to the world.

A fault begins at once and returns for how many seconds it lasts; what ends it goes on the world's timeline,
and World.heal() ends everything anyway. Parameters come from the plan alone, so a seed replays them.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Callable

from tests.chaos.world import WORKERS, World

Parameters = dict[str, Any]
Draw = Callable[[Random], Parameters]
Begin = Callable[[World, Parameters], float]


@dataclass(frozen=True)
class Fault:
    name: str
    weight: float
    draw: Draw
    begin: Begin


FAULTS: dict[str, Fault] = {}


def fault(weight: float, draw: Draw) -> Callable[[Begin], Begin]:
    """Registers a function as the fault of its name."""

    def register(begin: Begin) -> Begin:
        FAULTS[begin.__name__] = Fault(begin.__name__, weight, draw, begin)
        return begin

    return register


def seconds(low: float, high: float) -> Draw:
    return lambda rng: {"seconds": round(rng.uniform(low, high), 2)}


def any_worker(rng: Random) -> Parameters:
    return {"worker": rng.choice(list(WORKERS))}
