"""The table at the end of a run."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from tests.chaos import recovery

if TYPE_CHECKING:
    from tests.chaos.run import Run
    from tests.chaos.world import World

SUMS = """
    SELECT count(*) AS steps, coalesce(sum(attempts), 0) AS attempts,
        coalesce(sum(unstarted_attempts), 0) AS handed_back FROM tasker_workflow_steps"""
STATES = "SELECT state, count(*) AS n FROM tasker_tasks GROUP BY 1 ORDER BY 1"
ORPHANS = "SELECT count(*) FROM tasker_step_execution_batch_steps WHERE final_status = 'orphaned'"
LETTERS = "SELECT reason, count(*) AS n FROM tasker_dead_letters GROUP BY 1 ORDER BY 1"
VERDICTS = """
    SELECT reconciliation_status AS state, count(*) AS n FROM tasker_step_execution_batches
    GROUP BY 1 ORDER BY 1"""
DISPOSITIONS = """
    SELECT disposition AS state, count(*) AS n FROM tasker_step_execution_batch_received_results
    GROUP BY 1 ORDER BY 1"""

TOO_LARGE = "SELECT count(*) FROM tasker_dead_letters WHERE reason = 'request_too_large'"
ENDED = re.compile(r'a connection to the steps endpoint was ended.*?cause="([^"]*)"')
EPOCH = re.compile(r"new epoch\b.*\bepoch=(\d+)")


def _counts(pairs: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(pairs.items())) or "none"


def happened(world: World) -> Counter[str]:
    """What is known of faults that might miss: by the strangers' own words, by logs and by rows."""
    found = Counter(world.proofs)
    for peer in world.peers:
        lines = peer.output().splitlines() if peer.log.exists() else []
        found.update(line.removeprefix("proof: ") for line in lines if line.startswith("proof: "))
    for slot in world.slots:
        text = slot.log.read_text(errors="replace") if slot.log.exists() else ""
        found.update(f"connections ended: {cause}" for cause in ENDED.findall(text))
        epochs = [int(epoch) for epoch in EPOCH.findall(text)]
        found["a worker followed a lower epoch"] += sum(b < a for a, b in zip(epochs, epochs[1:]))
    found["steps too large"] = int(world.database.value(TOO_LARGE))
    return +found


def show(run: Run) -> None:
    """What happened, by kind."""
    world, database = run.world, run.world.database
    sums = database.rows(SUMS)[0]
    states = {row["state"]: row["n"] for row in database.rows(STATES)}
    letters = {row["reason"]: row["n"] for row in database.rows(LETTERS)}
    verdicts = {row["state"]: row["n"] for row in database.rows(VERDICTS)}
    dispositions = {row["state"]: row["n"] for row in database.rows(DISPOSITIONS)}
    exits = Counter(f"{e.slot}: {e.code}" for slot in world.slots for e in slot.exits)
    after = run.footprint()
    lines = [
        ("faults", _counts(Counter(run.begun))),
        ("really happened", _counts(happened(world))),
        ("operators", _counts(run.operators.counts)),
        ("tasks", _counts(states)),
        ("steps", f"{sums['steps']}, attempts {sums['attempts']}, of them handed back {sums['handed_back']}"),
        ("orphans", str(database.value(ORPHANS))),
        ("dead letters", _counts(letters)),
        ("reports", _counts(dispositions)),
        ("batches", _counts(verdicts)),
        ("rejected", str(database.value("SELECT count(*) FROM tasker_rejected_messages"))),
        ("relay", _counts(world.frames.ask("counts"))),
        ("submissions", f"{len(run.load.accepted)} accepted; to be repeated: {_counts(run.load.refused)}"),
        ("PostgreSQL", f"stopped {world.server_stops} times"),
        ("process ends", _counts(exits)),
        ("by themselves", _counts(Counter(e.slot for slot in world.slots for e in slot.exits if e.suicide))),
        ("I11 orchestrator", recovery.describe(run.samples[0], recovery.ORCHESTRATOR_BAR_S)),
        ("I11 worker", recovery.describe(run.samples[1], recovery.WORKER_BAR_S)),
        ("I12 before", str(run.before)),
        ("I12 after", str(after)),
        ("healing", f"{run.healing_s:.1f} s"),
    ]
    print()
    for name, text in lines:
        print(f"  {name:<17} {text}", flush=True)
