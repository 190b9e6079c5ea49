"""The checks of bin/lint that are our own find what they are for."""

from __future__ import annotations

import pytest

from tests.support import check_functions, check_sql

LONG = check_functions.LINES_MAX
BODIES = {
    "long.py": "def long():\n" + "    x = 1\n" * LONG,
    "long.rb": "  def long\n" + "    x\n" * LONG + "  end\n",
    "long.sh": "long() { # A\n" + "  true\n" * LONG + "}\n",
    "long.cpp": "namespace a {\nint long(int x,\n         int y) {\n" + "    x += y;\n" * LONG + "}\n}\n",
    "long.sql": "CREATE OR REPLACE FUNCTION long()\n" + "-- x\n" * LONG + "END $$;\n",
}


@pytest.mark.parametrize("path", BODIES)
def test_a_long_function_is_found_in_every_language(path: str):
    found = check_functions.functions_of(path, BODIES[path])
    assert [item.name for item in found if item.lines > LONG] == ["long"]


@pytest.mark.parametrize("path", BODIES)
def test_a_shorter_function_is_none(path: str):
    lines = BODIES[path].splitlines(keepends=True)
    short = "".join(lines[: len(lines) // 2] + lines[-3:])
    assert not [item for item in check_functions.functions_of(path, short) if item.lines > LONG]


def test_a_test_case_is_named_by_suite_and_name():
    body = "TEST_F(Suite, Case) {\n    run();\n}\n"
    assert [item.name for item in check_functions.functions_of("a.cpp", body)] == ["Suite.Case"]


def test_the_table_of_long_functions_is_read():
    table = "| function | lines |\n|---|---|\n| `f` | 80 |\n"
    text = f"## Functions over 70 lines\n\n{table}\n## Next\n\n| `g` | 1 |\n"
    assert check_functions.excused(text) == {"f"}


@pytest.mark.parametrize(
    "path, text",
    [
        (
            "migrations/functions/turn/f.sql",
            "-- F.\nCREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;",
        ),
        ("migrations/functions/turn/f.sql", "-- F.\nCREATE OR REPLACE FUNCTION g() RETURNS int AS $$ $$;"),
        ("migrations/functions/turn/f.sql", "CREATE OR REPLACE FUNCTION f() RETURNS int AS $$ $$;"),
        (
            "migrations/functions/turn/f.sql",
            "-- F.\nCREATE OR REPLACE FUNCTION f() AS $$ $$;\nCREATE OR REPLACE FUNCTION f(int) AS $$ $$;",
        ),
        ("migrations/functions/turn/types.sql", "-- T.\nCREATE OR REPLACE VIEW v AS SELECT 1;"),
        ("migrations/001_a.up.sql", "CREATE OR REPLACE FUNCTION f() RETURNS int AS $$ $$;"),
        (
            "migrations/001_a.up.sql",
            "DO $$ BEGIN EXECUTE replace(pg_get_functiondef('f'::regproc), 'a', 'b'); END $$;",
        ),
    ],
)
def test_sql_that_breaks_the_layer_is_found(path: str, text: str):
    assert check_sql.faults_of(path, text)


@pytest.mark.parametrize(
    "path, text",
    [
        (
            "migrations/functions/turn/f.sql",
            "-- F: pg_get_functiondef is not used.\nCREATE OR REPLACE FUNCTION f() AS $$ $$;",
        ),
        (
            "migrations/functions/turn/types.sql",
            "-- T.\nCREATE TYPE a AS (x int);\nCREATE TYPE b AS (y int);",
        ),
        ("migrations/001_a.up.sql", "CREATE TABLE a (x int);"),
    ],
)
def test_sql_in_order_passes(path: str, text: str):
    assert check_sql.faults_of(path, text) == []
