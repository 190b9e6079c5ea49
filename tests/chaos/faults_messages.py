"""Messages that nobody should send."""

from __future__ import annotations

import zmq

from tests.chaos.fault_registry import Parameters, fault
from tests.chaos.world import World


@fault(3, lambda rng: {"count": rng.randint(1, 200), "times": rng.choice([1, 5])})
def repeat_old_reports(world: World, parameters: Parameters) -> float:
    """Reports of any age are said again: duplicates, old attempts, batches long over."""
    world.frames.ask("replay", count=parameters["count"], times=parameters["times"])
    return 0.5


@fault(2, lambda rng: {"count": rng.randint(1, 50), "session": f"{rng.getrandbits(64):016x}"})
def report_for_others(world: World, parameters: Parameters) -> float:
    """Reports of others' batches under a session that never was."""
    world.frames.ask("replay", count=parameters["count"], times=1, session=parameters["session"])
    return 0.5


GARBAGE = (
    b"results ",
    b"results {",
    b"results []",
    b"results \xff\xfe\xfd",
    b'results {"message_type": "partial_result"}',
    b'results {"message_type": "partial_result", "batch_id": 7, "step_id": "x", "status": NaN}',
    b'results {"message_type": "no such type", "protocol_version": "1.0"}',
    b'results {"message_type": "partial_result", "protocol_version": "9.9"}',
    b'workers {"message_type": "hello", "session": "zz"}',
    b'workers {"message_type": "ready", "session": "00ff12ab34cd56ef", "nonce": "\\u0000"}',
    b"workers " + b"[" * 10_000,
    b"results " + b'{"a":' * 5_000,
    b"results " + b"x" * 2_000_000,
    b"nobody {}",
    b"\x00\x01\x02",
)


@fault(2, lambda rng: {"frames": [rng.randrange(len(GARBAGE)) for _ in range(rng.randint(1, 30))]})
def send_garbage(world: World, parameters: Parameters) -> float:
    """Bytes that no worker would send, by somebody who connects, speaks and leaves."""
    slot = world.serving()
    if slot is None:
        return 0.0
    stranger = world.context.socket(zmq.PUB)
    stranger.setsockopt(zmq.LINGER, 2000)
    stranger.connect(f"ipc://{world.folder}/{slot.name}.results")

    def speak() -> None:
        for index in parameters["frames"]:
            stranger.send(GARBAGE[index])
        stranger.send_multipart([b"results ", b"{}", b"three frames"])
        stranger.close()

    # By then it knows the subscriptions; before, a PUB socket drops everything.
    world.timeline.after(0.5, speak)
    world.strangers.append(stranger)
    return 1.0
