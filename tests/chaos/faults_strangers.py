"""Peers that are no workers of the system: they stop reading, greet at the borders, or flood."""

from __future__ import annotations

import time
from functools import partial

from tests.chaos.database import Away
from tests.chaos.fault_registry import Parameters, fault, seconds
from tests.chaos.slots import Slot
from tests.chaos.world import World
from tests.support.procs import PATIENCE

# "steps" without its space is that of an old plain worker; the others are disconnected at once.
TOPICS = ("", "steps", "steps.", "c")
BORDERS = ("capacity", "handlers", "numbers", "names")
# The one that served stays away until its flooded standby serves, which must be so after this time.
TAKE_OVER_LIMIT_S = 12.0
WATCH_S = 0.2
FLOOD_FIRST_S = 1.0


@fault(2, lambda rng: {"topic": rng.choice(TOPICS), **seconds(3, 10)(rng)})
def stopped_subscriber(world: World, parameters: Parameters) -> float:
    """A foreign subscriber reads nothing any more: nobody's messages may wait for it."""
    return _stranger(world, world.serving(), "stop_reading", parameters)


@fault(
    2,
    lambda rng: {"kind": rng.choice(BORDERS), "session": f"{rng.getrandbits(64):016x}", **seconds(3, 8)(rng)},
)
def border_hello(world: World, parameters: Parameters) -> float:
    """A session that announces and reports as much as the schema allows, or a name that it forbids."""
    return _stranger(world, world.serving(), "greet", parameters)


def _stranger(world: World, slot: Slot | None, role: str, parameters: Parameters) -> float:
    if slot is None:
        return 0.0
    world.start_stranger(slot, role, parameters)
    return float(parameters["seconds"])


@fault(1, lambda rng: {"topics": rng.choice([2000, 9000, 30_000])})
def flood_standby(world: World, parameters: Parameters) -> float:
    """Subscriptions without end on the one that waits; then the one that serves dies and stays away."""
    serving = world.serving()
    waiting = [slot for slot in world.orchestrators if slot is not serving and slot.pid and not slot.frozen]
    if serving is None or not waiting:
        return 0.0
    lasts = FLOOD_FIRST_S + TAKE_OVER_LIMIT_S
    world.start_stranger(waiting[0], "flood", {**parameters, "seconds": lasts})
    world.timeline.after(FLOOD_FIRST_S, partial(_kill_beside, world, serving, waiting[0]))
    return lasts


def _kill_beside(world: World, serving: Slot, standby: Slot) -> None:
    if _rules(world, serving) and serving.stay_away(TAKE_OVER_LIMIT_S * PATIENCE):
        watch = Watch(world, serving, standby)
        world.timeline.after(WATCH_S, watch.look)


def _rules(world: World, slot: Slot) -> bool:
    try:
        pid = world.database.value("SELECT pid FROM tasker_orchestrators ORDER BY epoch DESC LIMIT 1")
    except Away:
        return False
    return slot.pid is not None and slot.pid == pid


def _undisturbed(world: World, standby: Slot) -> tuple[object, ...]:
    """Differs as soon as another fault meets the standby or its database."""
    return standby.pid, standby.signals, world.server_stops


class Watch:
    """Looks until the flooded one has taken over, another fault meets it, or the time is over."""

    def __init__(self, world: World, killed: Slot, standby: Slot) -> None:
        self.world, self.killed, self.standby = world, killed, standby
        self.before = _undisturbed(world, standby)
        self.until = time.monotonic() + TAKE_OVER_LIMIT_S * PATIENCE

    def look(self) -> None:
        if _rules(self.world, self.standby):
            self._end("a flooded standby took over")
        elif _undisturbed(self.world, self.standby) != self.before:
            self._end("another fault met a flooded standby")
        elif time.monotonic() < self.until:
            self.world.timeline.after(WATCH_S, self.look)
        else:
            name = self.standby.name
            text = f"{name}, flooded with subscriptions, did not take over in {TAKE_OVER_LIMIT_S:.0f} s"
            self.world.unexpected.append(text)

    def _end(self, proof: str) -> None:
        self.world.proofs[proof] += 1
        self.killed.away_until = self.killed.due = 0.0
