"""Keeps migrations/schema.sql: what a fresh, migrated database looks like.

    dump_schema.py            compares the file with a database made for it (needs build/bin/tasker)
    dump_schema.py --write    writes the file anew
    dump_schema.py --url URL  the same, with a migrated database that is there already

Exits with 0 when the file is right, with 1 and the difference when it is stale. Another major version of
PostgreSQL writes some things in other words: then nothing can be compared, and it exits with 2.
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
from tests.support import pg  # noqa: E402
from tests.support.procs import ROOT  # noqa: E402

FILE = ROOT / "migrations/schema.sql"
HEAD = """\
-- A database after `tasker migrate up`, as PostgreSQL {version} prints it: to read, not to run.
-- Made by tests/support/dump_schema.py --write; store_migrator_test fails when it is stale.
"""
NOISE = re.compile(r"--|SET |SELECT pg_catalog\.set_config|\\")
BODY = re.compile(r"AS (\$\w*\$)")


def tidy(dump: str) -> str:
    """Without comments, SET, psql's own lines and runs of empty lines; bodies stay as they are."""
    kept: list[str] = []
    quote = None
    for line in dump.splitlines():
        if quote is None:
            if NOISE.match(line) or (not line and (not kept or not kept[-1])):
                continue
            begun = BODY.search(line)
            if begun and line.count(begun[1]) == 1:
                quote = begun[1]
        elif quote in line:
            quote = None
        kept.append(line.rstrip())
    return "\n".join(kept).strip("\n") + "\n"


def dump(url: str) -> str:
    tool = pg.find_server() / "pg_dump"
    version = subprocess.run([tool, "--version"], check=True, capture_output=True, text=True).stdout
    major = re.search(r"(\d+)", version)
    assert major is not None, version
    options = ["--schema-only", "--no-owner", "--no-privileges", "--no-comments", "--no-publications"]
    options += ["--no-subscriptions", "--no-security-labels", "--no-tablespaces", "--no-table-access-method"]
    done = subprocess.run([tool, *options, f"--dbname={url}"], check=True, capture_output=True, text=True)
    return HEAD.format(version=major[1]) + "\n" + tidy(done.stdout)


def fresh_dump() -> str:
    with pg.Cluster() as cluster:
        server = pg.Server(cluster.url())
        return dump(server.database_url(server.create_database()))


def compare(actual: str) -> int:
    stored = FILE.read_text() if FILE.exists() else ""
    if stored == actual:
        return 0
    if stored and stored.splitlines()[0] != actual.splitlines()[0]:
        print(f"{FILE.name} was made by another version of PostgreSQL")
        return 2
    lines = difflib.unified_diff(
        stored.splitlines(), actual.splitlines(), "migrations/schema.sql", "a migrated database", lineterm=""
    )
    print("\n".join(lines))
    print("migrations/schema.sql is stale; write it anew with: tests/support/dump_schema.py --write")
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", help="a migrated database; default: one made for the purpose")
    parser.add_argument("--write", action="store_true", help="write the file instead of comparing it")
    arguments = parser.parse_args()
    actual = dump(arguments.url) if arguments.url else fresh_dump()
    if arguments.write:
        FILE.write_text(actual)
        return 0
    return compare(actual)


if __name__ == "__main__":
    sys.exit(main())
