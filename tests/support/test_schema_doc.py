"""docs/schema.md names every table and column of the migrations, and nothing that is not there."""

from __future__ import annotations

import re

from tests.support.procs import ROOT

PAGE = ROOT / "docs/schema.md"
MIGRATIONS = ROOT / "migrations"
Tables = dict[str, set[str]]


def without_comments(sql: str) -> str:
    return re.sub(r"--.*$", "", sql, flags=re.MULTILINE)


def split_at_commas(body: str) -> list[str]:
    """The definitions of a CREATE TABLE: split at the commas that stand in no parentheses."""
    parts, depth, start = [], 0, 0
    for place, char in enumerate(body):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(body[start:place])
            start = place + 1
    return [part.strip() for part in [*parts, body[start:]]]


def body_of(sql: str, start: int) -> str:
    """What stands between the parenthesis before `start` and the one that closes it."""
    depth = 1
    for place in range(start, len(sql)):
        depth += (sql[place] == "(") - (sql[place] == ")")
        if depth == 0:
            return sql[start:place]
    raise AssertionError("a parenthesis is not closed")


def tables_of(sql: str) -> Tables:
    """Tables and their columns, by CREATE TABLE and ALTER TABLE … ADD COLUMN. Partitions are left out."""
    sql = without_comments(sql)
    tables: Tables = {}
    no_column = re.compile(r"(CONSTRAINT|PRIMARY|UNIQUE|CHECK|FOREIGN|EXCLUDE|LIKE)\b", re.IGNORECASE)
    for match in re.finditer(r"^CREATE TABLE (\w+) \(", sql, re.MULTILINE):
        parts = split_at_commas(body_of(sql, match.end()))
        tables[match.group(1)] = {part.split()[0] for part in parts if not no_column.match(part)}
    for name, actions in re.findall(r"^ALTER TABLE (\w+)([^;]*);", sql, re.MULTILINE):
        tables[name] |= set(re.findall(r"\bADD COLUMN (\w+)", actions))
    return tables


def described(page: str) -> Tables:
    """The tables of the page: the first cell of each row below a heading ### `table` names columns."""
    tables: Tables = {}
    parts = re.split(r"^### `(\w+)`$", page, flags=re.MULTILINE)
    for name, text in zip(parts[1::2], parts[2::2]):
        text = re.split(r"^## ", text, flags=re.MULTILINE)[0]
        cells = re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE)
        columns = [column for cell in cells for column in re.findall(r"`(\w+)`", cell)]
        assert len(columns) == len(set(columns)), f"{name} has a column twice"
        tables[name] = set(columns)
    return tables


def numbered_files() -> str:
    return "\n".join(path.read_text() for path in sorted(MIGRATIONS.glob("*.up.sql")))


def all_sql() -> str:
    """What a migrated database is made of, the migrator's own tables included."""
    texts = [numbered_files()]
    texts += [path.read_text() for path in sorted((MIGRATIONS / "functions").rglob("*.sql"))]
    texts += [path.read_text() for path in sorted((ROOT / "orchestrator/postgres/sql").glob("*.sql"))]
    return without_comments("\n".join(texts))


def missing_objects(page: str, sql: str) -> list[str]:
    """Database objects that the page names and the SQL does not create."""
    named = set(re.findall(r"`(tasker_\w+)`", page))
    made = re.findall(
        r"CREATE (?:OR REPLACE )?(?:UNIQUE )?(?:TABLE|FUNCTION|VIEW|INDEX|TYPE)(?: IF NOT EXISTS)? (\w+)", sql
    )
    return sorted(named - set(made))


def writers(page: str) -> list[tuple[str, list[str], str]]:
    """(table, columns, writer) for each function or statement file in the last cell of a column's row."""
    found = []
    parts = re.split(r"^### `(\w+)`$", page, flags=re.MULTILINE)
    for table, text in zip(parts[1::2], parts[2::2]):
        text = re.split(r"^## ", text, flags=re.MULTILINE)[0]
        for first, last in re.findall(r"^\| (`[^|]*`) \|.*\| ([^|]*) \|$", text, re.MULTILINE):
            columns = re.findall(r"`(\w+)`", first)
            found += [(table, columns, name) for name in re.findall(r"`(\w+(?:\.sql)?)`", last)]
    return found


def false_writers(page: str, sources: dict[str, str]) -> list[str]:
    """Writers that the page names and whose text does not write that table and column."""
    wrong = []
    for table, columns, name in writers(page):
        sql = without_comments(sources.get(name.removesuffix(".sql"), ""))
        inserts_all = re.search(rf"\bINSERT INTO {table}\s+SELECT\b", sql)
        if not re.search(rf"\b(INSERT INTO|UPDATE) {table}\b", sql):
            wrong.append(f"{name} does not write {table}")
        elif not inserts_all:
            wrong += [
                f"{name}: {table}.{column}" for column in columns if not re.search(rf"\b{column}\b", sql)
            ]
    return wrong


def statement_files() -> dict[str, str]:
    """Every file of a function or statement by its name without folder and ending."""
    folders = (MIGRATIONS / "functions", ROOT / "orchestrator/store/sql")
    return {path.stem: path.read_text() for folder in folders for path in folder.rglob("*.sql")}


def test_tables_and_columns_are_those_of_the_migrations():
    tables = tables_of(numbered_files())
    assert len(tables) > 20
    assert described(PAGE.read_text()) == tables


def test_every_function_view_and_index_exists():
    assert missing_objects(PAGE.read_text(), all_sql()) == []


def test_whoever_is_said_to_write_a_column_does():
    page = PAGE.read_text()
    assert len(writers(page)) > 100
    assert false_writers(page, statement_files()) == []


def test_every_statement_file_exists():
    named = set(re.findall(r"`(\w+\.sql)`", PAGE.read_text()))
    there = {path.name for path in (ROOT / "orchestrator/store/sql").glob("*.sql")}
    assert named and sorted(named - there) == []


def test_columns_are_told_from_constraints():
    sql = """
        -- CREATE TABLE nothing (a int);
CREATE TABLE one (
    a int PRIMARY KEY DEFAULT greatest(1, 2),
    b varchar(9) NOT NULL, -- c, d
    CONSTRAINT one_b CHECK (b IN ('x', 'y')),
    UNIQUE (a, b)
) PARTITION BY RANGE (a);
CREATE TABLE one_p0 PARTITION OF one FOR VALUES FROM (1) TO (2);
ALTER TABLE one ADD COLUMN e int, ADD CONSTRAINT one_e CHECK (e > 0);
"""
    assert tables_of(sql) == {"one": {"a", "b", "e"}}


def test_a_column_that_is_not_described_is_found():
    page = "### `one`\n\n| column | what |\n|---|---|\n| `a`, `b` | x |\n\n## Next\n\n| `no` | x |\n"
    assert described(page) == {"one": {"a", "b"}}


def test_an_object_that_is_not_made_is_found():
    sql = "CREATE OR REPLACE FUNCTION tasker_one(a int)\nCREATE UNIQUE INDEX tasker_two ON t (a);"
    assert missing_objects("`tasker_one` `tasker_two` `tasker_three`", sql) == ["tasker_three"]


def test_a_writer_that_does_not_write_is_found():
    page = "### `one`\n\n| `a`, `b` | what | `tasker_x`, `y.sql` |\n| `c` | what | `tasker_z` |\n"
    sources = {
        "tasker_x": "UPDATE one SET a = 1 -- b",
        "y": "INSERT INTO one (a, b)",
        "tasker_z": "UPDATE two SET c",
    }
    assert false_writers(page, sources) == ["tasker_x: one.b", "tasker_z does not write one"]
