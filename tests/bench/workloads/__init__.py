"""Every workload by name; `bin/bench --help` shows their lines."""

from tests.bench.workloads import (
    backlog,
    batches,
    chains,
    fanout,
    floor,
    latency,
    load,
    orders,
    sessions,
    soak,
)

_ALL = [
    *chains.WORKLOADS,
    *fanout.WORKLOADS,
    *orders.WORKLOADS,
    *latency.WORKLOADS,
    *batches.WORKLOADS,
    *load.WORKLOADS,
    *sessions.WORKLOADS,
    *backlog.WORKLOADS,
    *soak.WORKLOADS,
    *floor.WORKLOADS,
]
WORKLOADS = {workload.name: workload for workload in _ALL}
LINES = {name: workload.line for name, workload in WORKLOADS.items()}
