"""The SQL that C++ sends stands in files (orchestrator/*/sql), to be read, searched and run by hand.

`postgres/` is the exception: it knows the catalogue and no task. BEGIN, SET and LISTEN may stay in C++.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RAW = re.compile(r'R"(?P<tag>\w*)\((?P<text>.*?)\)(?P=tag)"', re.DOTALL)
PLAIN = re.compile(r'"(?:[^"\\\n]|\\.)*"')
COMMENT = re.compile(r"//[^\n]*")
STATEMENT = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\s")


def sql_literals(source: str) -> list[str]:
    """The string literals of a C++ source that hold a statement."""
    raw = [match["text"] for match in RAW.finditer(source)]
    rest = COMMENT.sub("", RAW.sub("", source))
    return [text for text in raw + PLAIN.findall(rest) if STATEMENT.search(text)]


def test_finds_what_it_looks_for():
    assert sql_literals('query("SELECT 1 FROM x", 1)')
    assert sql_literals('constexpr const char* kFind = R"(\n    SELECT 1\n)";')
    assert sql_literals('execute("WITH a AS (DELETE FROM b " + more)')
    assert sql_literals('f("\\"", "UPDATE tasker_tasks SET state")')
    assert not sql_literals(
        'std::getenv("NO_COLOR"); // a comment says "SELECT 1"\nquery(sql::find, "WORKER")'
    )


def test_no_source_outside_of_postgres_holds_sql():
    sources = [
        path
        for path in sorted((ROOT / "orchestrator").rglob("*.[ch]pp"))
        if "postgres" not in path.relative_to(ROOT / "orchestrator").parts[:1]
    ]
    assert len(sources) > 100
    found = {str(path.relative_to(ROOT)): sql_literals(path.read_text()) for path in sources}
    assert {path: literals for path, literals in found.items() if literals} == {}


def test_every_file_is_one_statement_that_says_what_it_is_for():
    files = sorted((ROOT / "orchestrator").glob("*/sql/**/*.sql"))
    assert len(files) > 50
    for path in files:
        text = path.read_text()
        assert text.startswith("-- "), path
        if path.parent.parent.name == "postgres":
            continue
        code = re.sub(r"--[^\n]*", "", text)
        assert ";" not in code, f"{path} holds more than one statement"


def test_every_file_is_sent():
    """A constant that nobody names would be a statement without a caller."""
    for folder in sorted((ROOT / "orchestrator").glob("*/sql")):
        sources = "\n".join(path.read_text() for path in folder.parent.rglob("*.[ch]pp"))
        for path in sorted(folder.rglob("*.sql")):
            name = "::".join(("sql", *path.relative_to(folder).with_suffix("").parts))
            assert re.search(rf"\b{name}\b", sources), f"{path.relative_to(ROOT)} has no caller"
