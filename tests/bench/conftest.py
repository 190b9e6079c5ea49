"""What the benchmarks' own tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bench.server import SETTINGS, Server
from tests.bench.workloads import latency


@pytest.fixture(scope="session")
def one_cluster() -> Iterator[None]:
    """All tests of this folder on one server: making one takes longer than a workload in miniature."""
    patch = pytest.MonkeyPatch()
    # Nothing is measured here, and nothing must survive.
    patch.setitem(SETTINGS, "fsync", "off")
    with Server() as shared:
        made: list[str] = []
        create = Server.create_database

        def create_and_note(server: Server, name: str) -> None:
            create(server, name)
            made.append(name)

        def drop_all(_server: Server, *_exception: object) -> None:
            with shared.connect("postgres") as connection:
                for name in made:
                    connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            made.clear()

        cluster = shared.cluster
        patch.setattr(Server, "__init__", lambda server: setattr(server, "cluster", cluster))
        patch.setattr(Server, "__enter__", lambda server: server)
        patch.setattr(Server, "__exit__", drop_all)
        patch.setattr(Server, "create_database", create_and_note)
        patch.setattr(latency, "IDLE_S", 0.1)
        yield
        patch.undo()
