"""The private PostgreSQL of a benchmark: durable, as in production, and ended with the benchmark."""

from __future__ import annotations

import signal

import psycopg

from tests.support import pg

# Whoever reads a figure must know these; they stand in every report.
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "max_connections": "60",
    "autovacuum": "on",
    # Counts nothing until a run that is not timed switches it on: see accounting.py.
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "none",
}


class Server:
    """One cluster for one workload. The product connects as `postgres`, the benchmark itself as `bench`."""

    def __init__(self) -> None:
        self.cluster = pg.Cluster(SETTINGS)

    def __enter__(self) -> Server:
        self.cluster.__enter__()
        with self.connect("postgres", "postgres") as connection:
            # A role of its own keeps what we ask out of the product's statement counts.
            connection.execute("CREATE ROLE bench SUPERUSER LOGIN")
            connection.execute("CREATE EXTENSION pg_stat_statements")
        return self

    def __exit__(self, *_exception: object) -> None:
        # Nobody reads this data again: no reason to write it out.
        self.cluster.stop(signal.SIGQUIT)
        self.cluster.remove()

    @property
    def pid(self) -> int:
        assert self.cluster.process is not None
        return self.cluster.process.pid

    def url(self, database: str, user: str = "postgres") -> str:
        return self.cluster.url(database).replace("//postgres@", f"//{user}@")

    def connect(self, database: str, user: str = "bench") -> psycopg.Connection:
        return psycopg.connect(self.url(database, user), autocommit=True)

    def create_database(self, name: str) -> None:
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())

    def count_statements(self, counted: bool) -> None:
        """Switches pg_stat_statements for connections that the product makes afterwards."""
        with self.connect("postgres") as connection:
            level = "top" if counted else "none"
            connection.execute(f"ALTER ROLE postgres SET pg_stat_statements.track = '{level}'".encode())
            connection.execute("SELECT pg_stat_statements_reset()")
