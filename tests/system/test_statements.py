"""A migrated database can plan every statement that C++ sends: a wrong name fails here, not at a start."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.support.procs import ROOT

STATEMENTS = sorted((ROOT / "orchestrator").glob("*/sql/**/*.sql"))
# A statement that makes tables cannot be prepared. The frame is prepared with each of the checks inside it.
FRAME = ROOT / "orchestrator/api/sql/check_frame.sql"
NOT_ALONE = {ROOT / "orchestrator/postgres/sql/migrations_create.sql", FRAME}


def test_there_are_statements_in_every_module_that_speaks_sql():
    modules = {path.relative_to(ROOT / "orchestrator").parts[0] for path in STATEMENTS}
    assert modules == {"api", "postgres", "store"} and NOT_ALONE <= set(STATEMENTS)


@pytest.mark.parametrize(
    "path",
    [path for path in STATEMENTS if path not in NOT_ALONE],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_the_statement_can_be_planned(database_url: str, path: Path):
    text = path.read_text(encoding="utf-8")
    if path.parent.name == "checks":
        text = FRAME.read_text(encoding="utf-8").replace(":check", text)
    with psycopg.connect(database_url) as connection:
        connection.execute(f"PREPARE statement AS {text}".encode())
