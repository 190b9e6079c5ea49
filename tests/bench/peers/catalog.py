"""What is compared: each peer with its store, its settings and why, and what of its work is durable."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORKLOADS = {
    "chain4": "N tasks of 4 chained no-op steps, each with a result of 200 bytes that the next one gets",
    "fanout": "N tasks of 1 → 10 → 1 no-op steps; the last one gets all ten results",
    "latency": "an idle system, one single-step task at a time, from submitting it to knowing it complete",
}


@dataclass(frozen=True)
class Peer:
    """`settings` go to the driver as they are; those named after a workload apply to that one only.

    `tasks` gives each throughput workload its number of tasks, so that a run lasts two to five seconds on an
    idle machine; a workload that is neither there nor "latency" this peer cannot express: `lacks` says why.
    """

    name: str
    title: str
    language: str  # node, python, ruby
    script: str
    package: str  # whose version the table shows: from npm for Node, else from Debian
    store: str  # postgres, redis, restate
    store_text: str
    settings: dict
    tuning: str
    durable: str
    tasks: dict[str, int]
    lacks: str = ""
    redis_fsync: str = "everysec"
    debian: tuple[str, ...] = ()
    for_workload: dict[str, dict] = field(default_factory=dict)

    def can(self, workload: str) -> bool:
        return workload == "latency" or workload in self.tasks

    def settings_of(self, workload: str) -> dict:
        return {**self.settings, **self.for_workload.get(workload, {})}


POSTGRES_TEXT = "PostgreSQL 15; fsync and synchronous_commit on"
REDIS_TEXT = "Redis 7, append-only file, fsync every second"
ALWAYS_TEXT = "Redis 7, append-only file, fsync before each answer"

BULLMQ_TASKS = {"chain4": 8000, "fanout": 2000}
BULLMQ_TUNING = (
    "Concurrency is steps in flight in the one process: they hide the round trips to Redis. Completed jobs"
    " are kept, as they are by default"
)
BULLMQ_STALLED = "A crashed worker's running step runs again after its lock's 30 s (once; then it fails)."

PEERS = (
    Peer(
        name="graphile-worker",
        title="graphile-worker",
        language="node",
        script="node/graphile.mjs",
        package="graphile-worker",
        store="postgres",
        store_text=POSTGRES_TEXT,
        settings={"concurrency": 100, "local_queue": 2000, "complete_batch_ms": 50, "pool": 20},
        for_workload={"latency": {"concurrency": 10, "local_queue": 0, "complete_batch_ms": -1, "pool": 12}},
        tuning="Jobs are fetched ahead (local_queue) and completed together (complete_batch_ms), in one"
        " statement for many. For latency its defaults: nothing fetched ahead or held back",
        durable="Jobs: yes, at commit. Results: not kept (a finished job's row is deleted). The next step is"
        " added before this one's completion is recorded: a crash between runs both again. A crashed worker's"
        " running steps and those fetched ahead run again after 4 hours.",
        tasks={"chain4": 2000},
        lacks="it has no dependencies between jobs, so nothing can join",
    ),
    Peer(
        name="pg-boss",
        title="pg-boss",
        language="node",
        script="node/pgboss.mjs",
        package="pg-boss",
        store="postgres",
        store_text=POSTGRES_TEXT,
        settings={"batch_size": 500, "local_concurrency": 1, "pool": 10},
        tuning="A batch is fetched in one statement and completed in one, the next one at once after a full"
        " one; LISTEN/NOTIFY on. For latency one job at a time",
        durable="Jobs and results: yes, at commit, kept for 7 days. chain4: the next steps are added in a"
        " transaction of their own, so a crash between runs steps twice. A crashed worker's running steps run"
        " again after 15 minutes.",
        tasks={"chain4": 5000, "fanout": 800},
    ),
    Peer(
        name="dbos",
        title="DBOS Transact",
        language="node",
        script="node/dbos.mjs",
        package="@dbos-inc/dbos-sdk",
        store="postgres",
        store_text=POSTGRES_TEXT,
        settings={"concurrency": 100, "pool": 20},
        tuning="Workflows at a time, and connections for them. They are started directly, without one of its"
        " queues between, so submitting is within the time",
        durable="Workflow, its input and every step's result: yes, at commit, kept. After a crash a workflow"
        " resumes behind its last recorded step when its process is started again.",
        tasks={"chain4": 1500, "fanout": 400},
    ),
    Peer(
        name="bullmq",
        title="BullMQ",
        language="node",
        script="node/bullmq.mjs",
        package="bullmq",
        store="redis",
        store_text=REDIS_TEXT,
        settings={"concurrency": 200},
        tuning=BULLMQ_TUNING,
        durable="Jobs and results: kept, but a power cut loses up to a second of both. " + BULLMQ_STALLED,
        tasks=BULLMQ_TASKS,
    ),
    Peer(
        name="bullmq-always",
        title="BullMQ, fsync always",
        language="node",
        script="node/bullmq.mjs",
        package="bullmq",
        store="redis",
        store_text=ALWAYS_TEXT,
        redis_fsync="always",
        settings={"concurrency": 200},
        tuning=BULLMQ_TUNING,
        durable="Jobs and results: yes, before Redis answers; kept. " + BULLMQ_STALLED,
        tasks=BULLMQ_TASKS,
    ),
    Peer(
        name="celery",
        title="Celery",
        language="python",
        script="celery_peer/driver.py",
        package="python3-celery",
        debian=("celery", "python3-celery", "python3-redis"),
        store="redis",
        store_text=REDIS_TEXT,
        settings={"concurrency": 2, "pool": "prefork", "prefetch": 64},
        tuning="A process per processor of the machine it was tuned on, messages fetched ahead for each"
        " (prefetch); no gossip, mingle, heartbeat or events",
        durable="Results: kept for a day, but a power cut loses up to a second of them and of messages. A"
        " crashed worker's running steps are lost (acknowledged when they start, its default); those fetched"
        " ahead return after an hour.",
        tasks={"chain4": 1500, "fanout": 300},
    ),
    Peer(
        name="sidekiq",
        title="Sidekiq",
        language="ruby",
        script="sidekiq_peer/driver.rb",
        package="ruby-sidekiq",
        debian=("ruby-sidekiq",),
        store="redis",
        store_text=REDIS_TEXT,
        settings={"concurrency": 10},
        tuning="Threads, its default number: more only wait for Ruby's lock",
        durable="Results: not kept. A power cut loses up to a second of jobs. A crashed worker's running"
        " steps are lost (reliable fetching is in a paid edition).",
        tasks={"chain4": 5000},
        lacks="batches and workflows are in its paid editions",
    ),
    Peer(
        name="restate",
        title="Restate",
        language="node",
        script="node/restate.mjs",
        package="@restatedev/restate-server",
        store="restate",
        store_text="its own server (log and RocksDB), write-ahead log with fsync (its default)",
        settings={"concurrency": 200, "partitions": 24},
        tuning="Invocations at a time; partitions as by default. Submitting is within the time",
        durable="Invocation and every step's result: yes, before the next step starts; kept for a day. After"
        " a crash of the worker its invocations resume behind their last recorded step.",
        tasks={"chain4": 4000, "fanout": 1500},
    ),
)
BY_NAME = {peer.name: peer for peer in PEERS}
