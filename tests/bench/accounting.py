"""What is too dear to count while time is taken: statements and rows of a run that is not timed."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from tests.bench import figures
from tests.bench.server import Server
from tests.bench.system import System

RowCounts = dict[str, dict[str, int]]


def row_counts(server: Server, database: str, *writers: psycopg.Connection) -> RowCounts:
    """Rows inserted, updated (how many of them HOT) and deleted so far, by table. What connections still keep
    to themselves is not in it, except of these `writers`."""
    for writer in writers:
        writer.execute("SELECT pg_stat_force_next_flush()")
    with server.connect(database) as connection:
        rows = connection.execute(
            # Partitions count as the table that they are part of.
            "SELECT coalesce(pg_partition_root(relid), relid)::regclass::text, sum(n_tup_ins)::bigint,"
            " sum(n_tup_upd)::bigint, sum(n_tup_hot_upd)::bigint, sum(n_tup_del)::bigint"
            " FROM pg_stat_user_tables GROUP BY 1"
        ).fetchall()
    return {
        name: {"inserted": inserted, "updated": updated, "hot": hot, "deleted": deleted}
        for name, inserted, updated, hot, deleted in rows
    }


def difference(before: RowCounts, after: RowCounts) -> RowCounts:
    """What was written in between; tables without a change are left out."""
    found = {}
    for name, counts in after.items():
        change = {kind: count - before.get(name, {}).get(kind, 0) for kind, count in counts.items()}
        if any(change.values()):
            found[name] = change
    return found


def written(change: RowCounts) -> int:
    return sum(count["inserted"] + count["updated"] + count["deleted"] for count in change.values())


def _statements(server: Server, database: str) -> int:
    """Statements that the product sent: each is a round trip of its own (pipelines aside)."""
    with server.connect("postgres") as connection:  # where the extension is
        row = connection.execute(
            "SELECT coalesce(sum(s.calls), 0)::bigint FROM pg_stat_statements s"
            " JOIN pg_roles r ON r.oid = s.userid JOIN pg_database d ON d.oid = s.dbid"
            " WHERE r.rolname = 'postgres' AND d.datname = %s",
            (database,),
        ).fetchone()
    assert row is not None
    return row[0]


def account(system: System, run: Callable[[], figures.Figures]) -> tuple[figures.Figures, RowCounts]:
    """Rows and round trips per step of one run, with a fresh orchestrator that is stopped at its end: an
    ended connection has published all it counted."""
    server = system.server
    system.stop_orchestrator()
    server.count_statements(True)
    try:
        system.start_orchestrator()
        before = row_counts(server, system.database, system.connection)
        steps = run()["steps"]
        system.stop_orchestrator()
        change = difference(before, row_counts(server, system.database))
        calls = _statements(server, system.database)
    finally:
        server.count_statements(False)
    return {"rows_written_per_step": written(change) / steps, "round_trips_per_step": calls / steps}, change
