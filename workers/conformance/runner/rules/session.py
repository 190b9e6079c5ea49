"""Chapter "A session's life", continued: probes, heartbeats, inventories."""

import statistics

from ..frames import inventory
from ..rulebook import rule
from ..trial import Trial, refs, require
from .hello import LIFE, gaps

BEATS = "Heartbeats and restarts"


@rule(LIFE)
def every_probe_answered(trial: Trial) -> str:
    """The worker answers every probe with a ready that echoes its nonce, at any time."""
    orchestrator, _worker = trial.session()
    batch = orchestrator.batch([trial.step(1, until=trial.gate())])
    trial.wait_for_start(orchestrator, 1)
    since = orchestrator.mark()
    nonces = ["1-a", "ü ✓", "x" * 100, "1-b"]
    for nonce in nonces:
        orchestrator.probe(nonce)
    orchestrator.get("ready", since, count=len(nonces))
    echoed = [message.body.get("nonce") for message in orchestrator.of("ready", since)]
    require(echoed == nonces, f"probes {nonces} were answered with {echoed}")
    trial.open_gate()
    orchestrator.final(batch, 1)
    return f"{len(nonces)} probes in a row, while a handler ran"


@rule(BEATS)
def heartbeat_interval(trial: Trial) -> str:
    """The worker sends worker_heartbeat every heartbeat_ms of the welcome."""
    seen = []
    for interval in (200, 450):
        orchestrator, worker = trial.session(heartbeat_ms=interval)
        since = orchestrator.mark()
        orchestrator.get("worker_heartbeat", since, count=5)
        middle = statistics.median(gaps(orchestrator.of("worker_heartbeat", since))) * 1000
        low, high = 0.7 * interval, 1.5 * interval * trial.setup.patience
        require(low <= middle <= high, f"heartbeat_ms {interval}, but it sent one each {middle:.0f} ms")
        seen.append(f"{middle:.0f} ms for {interval}")
        worker.kill()
    return ", ".join(seen)


@rule(BEATS)
def heartbeat_while_busy(trial: Trial) -> str:
    """Heartbeats go on while a handler computes without a pause."""
    orchestrator, _worker = trial.session(heartbeat_ms=250)
    batch = orchestrator.batch([trial.step(1, busy_ms=2000)])
    trial.wait_for_start(orchestrator, 1)
    since = orchestrator.mark()
    orchestrator.final(batch, 1)
    beats = orchestrator.of("worker_heartbeat", since)
    require(len(beats) >= 3, f"{len(beats)} heartbeats while a handler computed for 2 s; heartbeat_ms is 250")
    longest = max(gaps(beats))
    require(longest < 1.2 * trial.setup.patience, f"{longest * 1000:.0f} ms without a heartbeat")
    return f"{len(beats)} heartbeats in 2 s, the longest pause {longest * 1000:.0f} ms"


@rule(BEATS)
def seen_n_follows(trial: Trial) -> str:
    """seen_n is 0 before the first heartbeat, then the n of the last one that was processed, never ahead of
    it."""
    orchestrator = trial.orchestrator(heartbeat_ms=200)
    orchestrator.beats = False
    trial.start(orchestrator)
    trial.hello(orchestrator)
    orchestrator.ready("first")
    seen = [orchestrator.beat_of_now().body["seen_n"]]
    require(seen[0] == 0, f"seen_n is {seen[0]} before the first heartbeat")
    for n in (7, 123_456_789_012):
        orchestrator.heartbeat(n)
        seen.append(orchestrator.beat_of_now().body["seen_n"])
        require(seen[-1] == n, f"after the heartbeat with n {n} seen_n is {seen[-1]}")
    return f"{seen[0]}, then {seen[1]}, then {seen[2]}"


@rule(LIFE, needs=("capacity",))
def inventories_complete(trial: Trial) -> str:
    """hello, ready and worker_heartbeat list each attempt in exactly one of held, running and unacked, with
    the age of what runs and of the oldest report."""
    orchestrator, _worker = trial.session(capacity=1, heartbeat_ms=200)
    orchestrator.acks = False
    done = orchestrator.batch([trial.step(1)])
    orchestrator.get("batch_completion", batch_id=done)
    open_ = orchestrator.batch([trial.step(2, attempt=3, until=trial.gate()), trial.step(3)])
    trial.wait_for_start(orchestrator, 2)
    orchestrator.get("batch_accepted", batch_id=open_)
    wanted = {"held": refs((open_, 3, 1)), "running": refs((open_, 2, 3)), "unacked": refs((done, 1, 1))}
    beat = orchestrator.beat_of_now()
    ready = orchestrator.ready("inventory")
    since = orchestrator.mark()
    orchestrator.epoch += 1
    orchestrator.heartbeat()
    for message in (beat, ready, orchestrator.get("hello", since)):
        for name, expected in wanted.items():
            listed = sorted(inventory(message, name))
            require(
                listed == expected,
                f"{message.kind} lists {name} {listed} instead of {expected} (batch, step, attempt)",
            )
    require(beat.body["running"][0]["age_ms"] > 0, "age_ms of a running step is 0")
    require(beat.body["oldest_unacked_ms"] > 0, "oldest_unacked_ms is 0 while a report waits")
    orchestrator.ready("next epoch")
    orchestrator.ack(*orchestrator.of("partial_result", step_id=1), *orchestrator.of("batch_completion"))
    empty = orchestrator.beat_of_now()
    require(inventory(empty, "unacked") == [], "unacked still lists a step whose report was acked")
    require(empty.body["oldest_unacked_ms"] == 0, "oldest_unacked_ms is not 0 when all is acked")
    return "held, running and unacked are right in heartbeat, ready and hello"


@rule(LIFE)
def inventory_after_batch(trial: Trial) -> str:
    """An inventory is taken after everything that came earlier: a probe right behind a batch finds it
    there."""
    orchestrator, _worker = trial.session(heartbeat_ms=100)
    for number in range(1, 6):
        since = orchestrator.mark()
        batch = orchestrator.batch([trial.step(number, until=trial.gate(f"gate-{number}"))])
        orchestrator.probe(f"behind-{number}")
        ready = orchestrator.get("ready", since, nonce=f"behind-{number}")
        listed = [one for name in ("held", "running", "unacked") for one in inventory(ready, name)]
        require(
            listed == [(batch, number, 1)], f"the ready behind a batch lists {listed}; the batch is {batch}"
        )
        trial.open_gate(f"gate-{number}")
        orchestrator.final(batch, number)
        orchestrator.wait("acked report", lambda: not inventory(orchestrator.beat_of_now(), "unacked"))
    return "5 batches, each with a probe right behind it"
