"""Faults of connections (by the byte relay) and of single messages (by the frame relay)."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.chaos.fault_registry import Parameters, fault, seconds
from tests.chaos.world import WORKERS, World

RELAYED = [name for name in WORKERS if name != "near"]


def _paths(world: World, worker: str) -> list[str]:
    return [path for path in world.paths if path.startswith(f"{worker}.")]


def _relayed(rng: Random) -> Parameters:
    return {"worker": rng.choice(RELAYED)}


@fault(3, _relayed)
def cut_connections(world: World, parameters: Parameters) -> float:
    """All connections of one worker are reset; it may connect again at once."""
    world.bytes.ask("cut", paths=_paths(world, parameters["worker"]))
    return 0.5


def _bytes_mode(world: World, worker: str, seconds: float, cut_after: bool = False, **mode: Any) -> float:
    paths = _paths(world, worker)
    world.bytes.ask("mode", paths=paths, mode=mode)

    def end() -> None:
        world.bytes.ask("mode", paths=paths, mode={})
        if cut_after:
            world.bytes.ask("cut", paths=paths)

    world.timeline.after(seconds, end)
    return seconds


@fault(2, lambda rng: {**_relayed(rng), **seconds(0.5, 12)(rng)})
def stall_network(world: World, parameters: Parameters) -> float:
    """Nothing gets through to or from one worker for a while, and then everything does."""
    seconds = parameters["seconds"]
    return _bytes_mode(world, parameters["worker"], seconds, stall_up=True, stall_down=True)


@fault(2, lambda rng: {**_relayed(rng), **seconds(0.5, 10)(rng), "up": rng.random() < 0.5})
def stall_one_way(world: World, parameters: Parameters) -> float:
    up = parameters["up"]
    return _bytes_mode(world, parameters["worker"], parameters["seconds"], stall_up=up, stall_down=not up)


@fault(1.5, lambda rng: {**_relayed(rng), **seconds(0.5, 10)(rng)})
def half_open(world: World, parameters: Parameters) -> float:
    """Both ends believe in connections that carry nothing; in the end they are reset."""
    return _bytes_mode(world, parameters["worker"], parameters["seconds"], cut_after=True, swallow=True)


@fault(1.5, lambda rng: {**_relayed(rng), **seconds(2, 10)(rng), "refuse_s": round(rng.uniform(0.5, 10), 2)})
def cut_network(world: World, parameters: Parameters) -> float:
    """Cut, and no way to connect again for a while."""
    seconds = _bytes_mode(world, parameters["worker"], parameters["refuse_s"], refuse=True)
    world.bytes.ask("cut", paths=_paths(world, parameters["worker"]))
    return seconds


@fault(2, lambda rng: {**_relayed(rng), **seconds(2, 8)(rng), "delay_ms": rng.choice([20, 200, 600])})
def slow_network(world: World, parameters: Parameters) -> float:
    return _bytes_mode(world, parameters["worker"], parameters["seconds"], delay_ms=parameters["delay_ms"])


@fault(1, lambda rng: {**_relayed(rng), **seconds(2, 6)(rng), "bytes_per_second": rng.choice([2000, 20000])})
def narrow_network(world: World, parameters: Parameters) -> float:
    """A subscriber that takes only so much."""
    rate = parameters["bytes_per_second"]
    return _bytes_mode(world, parameters["worker"], parameters["seconds"], bytes_per_second=rate)


# ---------------------------------------------------------------------- single messages


def _rule(world: World, parameters: Parameters, **rule: Any) -> float:
    links = [link for link in world.links if link.endswith(parameters["direction"])]
    world.frames.ask("rule", links=links, rule={**rule, "only": parameters.get("only", "")})
    world.timeline.after(parameters["seconds"], lambda: world.frames.ask("rule", links=links, rule={}))
    return float(parameters["seconds"])


def _messages(rng: Random) -> Parameters:
    return {
        "direction": rng.choice(["steps", "results"]),
        "chance": round(rng.choice([0.05, 0.3, rng.uniform(0, 1)]), 3),
        **seconds(1, 5)(rng),
    }


@fault(4, _messages)
def drop_messages(world: World, parameters: Parameters) -> float:
    return _rule(world, parameters, drop=parameters["chance"])


@fault(1.5, lambda rng: {**_messages(rng), "direction": "results", "only": "batch_completion", "chance": 1.0})
def drop_completions(world: World, parameters: Parameters) -> float:
    return _rule(world, parameters, drop=parameters["chance"])


@fault(1.5, lambda rng: {**_messages(rng), "direction": "results", "only": "partial_result"})
def drop_partials(world: World, parameters: Parameters) -> float:
    """Completions arrive before their partial results, or alone."""
    return _rule(world, parameters, drop=parameters["chance"])


@fault(1.5, lambda rng: {**_messages(rng), "direction": "steps", "only": '"ack"'})
def drop_acks(world: World, parameters: Parameters) -> float:
    return _rule(world, parameters, drop=parameters["chance"])


@fault(3, _messages)
def duplicate_messages(world: World, parameters: Parameters) -> float:
    return _rule(world, parameters, duplicate=parameters["chance"])


@fault(3, lambda rng: {**_messages(rng), "delay_ms": [1, rng.choice([50, 500, 4000])]})
def delay_messages(world: World, parameters: Parameters) -> float:
    """Single messages come late, behind many that were sent after them."""
    return _rule(world, parameters, delay=parameters["chance"], delay_ms=parameters["delay_ms"])


@fault(3, _messages)
def reorder_messages(world: World, parameters: Parameters) -> float:
    return _rule(world, parameters, reorder=parameters["chance"])
