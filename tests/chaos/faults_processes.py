"""Faults of processes: killed, frozen, deployed anew."""

from __future__ import annotations

import signal
from functools import partial

from tests.chaos.fault_registry import Parameters, any_worker, fault, seconds
from tests.chaos.world import World

LEASE_S = 8.0
CRASH_POINTS = (
    "before_claim_commit",
    "after_claim_commit",
    "before_publish",
    "after_publish",
    "before_apply_commit",
    "after_apply_commit",
    "before_ack",
)


@fault(6, lambda rng: {})
def kill_orchestrator(world: World, parameters: Parameters) -> float:
    """kill -9 of the one that serves."""
    slot = world.serving()
    if slot is not None:
        world.note_kill(slot)
        slot.signal(signal.SIGKILL)
    return 0.0


@fault(2, lambda rng: {})
def kill_standby(world: World, parameters: Parameters) -> float:
    """kill -9 of the one that waits."""
    serving = world.serving()
    for slot in world.orchestrators:
        if slot is not serving:
            slot.signal(signal.SIGKILL)
    return 0.0


@fault(3, lambda rng: {"point": rng.choice(CRASH_POINTS), "count": rng.randint(1, 40)})
def crash_point(world: World, parameters: Parameters) -> float:
    """Whichever orchestrator serves next kills itself at a named place; it needs the test executable."""
    if world.crash_points:
        for slot in world.orchestrators:
            slot.once = {"TASKER_CRASH_POINT": f"{parameters['point']}:{parameters['count']}"}
            slot.signal(signal.SIGKILL)
    return 3.0


@fault(2, lambda rng: {"seconds": round(rng.choice([rng.uniform(0.5, 4), rng.uniform(6, 12)]), 2)})
def freeze_orchestrator(world: World, parameters: Parameters) -> float:
    """SIGSTOP, then SIGCONT: to the standby it is dead, and when it wakes up it must not commit."""
    slot = world.serving()
    if slot is not None and slot.signal(signal.SIGSTOP):
        world.timeline.after(parameters["seconds"], partial(slot.signal, signal.SIGCONT))
    return float(parameters["seconds"])


@fault(2, lambda rng: {})
def deploy_orchestrators(world: World, parameters: Parameters) -> float:
    """SIGTERM to both, one after the other."""
    for index, slot in enumerate(world.orchestrators):
        world.timeline.after(3.0 * index, partial(slot.signal, signal.SIGTERM))
    return 4.0


@fault(6, any_worker)
def kill_worker(world: World, parameters: Parameters) -> float:
    slot = world.slot(parameters["worker"])
    if slot.pid:
        world.note_kill(slot)
        slot.signal(signal.SIGKILL)
    return 0.0


@fault(3, lambda rng: {**any_worker(rng), **seconds(0.5, 3)(rng)})
def freeze_worker(world: World, parameters: Parameters) -> float:
    """SIGSTOP for less than a lease."""
    return _freeze(world, parameters)


@fault(1.5, lambda rng: {**any_worker(rng), **seconds(LEASE_S + 1, LEASE_S + 5)(rng)})
def freeze_worker_past_lease(world: World, parameters: Parameters) -> float:
    """SIGSTOP for longer than a lease: its steps are somebody else's when it goes on, unknowing."""
    return _freeze(world, parameters)


def _freeze(world: World, parameters: Parameters) -> float:
    slot = world.slot(parameters["worker"])
    if slot.signal(signal.SIGSTOP):
        world.timeline.after(parameters["seconds"], partial(slot.signal, signal.SIGCONT))
    return float(parameters["seconds"])


@fault(2, lambda rng: {"pause": round(rng.uniform(0.2, 1.5), 2)})
def deploy_workers(world: World, parameters: Parameters) -> float:
    """SIGTERM to every worker, one after the other."""
    for index, slot in enumerate(world.workers):
        world.timeline.after(parameters["pause"] * index, partial(slot.signal, signal.SIGTERM))
    return float(parameters["pause"]) * len(world.workers) + 1.0
