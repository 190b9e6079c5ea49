"""Checks that what is in force in the database is what stands in the files of migrations/.

The numbered files hold tables and types. The layer migrations/functions/ holds one function, procedure,
aggregate or view a file, named as the file, or types only. Nobody builds SQL from the text of what is in
force.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
KINDS = "FUNCTION|PROCEDURE|AGGREGATE|VIEW|TYPE|TABLE|INDEX|UNIQUE INDEX|SEQUENCE|DOMAIN"
OBJECT = re.compile(rf"^CREATE (OR REPLACE )?({KINDS})\s+(\w+)", re.M | re.I)
CODE = {"FUNCTION", "PROCEDURE", "AGGREGATE", "VIEW"}
PATCHING = re.compile(r"pg_get_(functiondef|viewdef)|\breplace\(\s*prosrc", re.I)


def without_comments(text: str) -> str:
    return re.sub(r"--[^\n]*", "", text)


def layer_faults(path: str, text: str) -> list[str]:
    """What is wrong with one file of the function layer."""
    faults = []
    objects = [
        (match.group(2).upper(), match.group(3), bool(match.group(1))) for match in OBJECT.finditer(text)
    ]
    code = [item for item in objects if item[0] in CODE]
    stem = Path(path).stem
    if stem == "types":
        if not objects or any(kind not in {"TYPE", "DOMAIN"} for kind, _name, _replace in objects):
            faults.append(f"{path}: types.sql holds types, and nothing else")
    elif len(code) != 1 or len(objects) != 1:
        faults.append(
            f"{path}: one function, procedure, aggregate or view a file; this one has {len(objects)} objects"
        )
    elif code[0][1] != stem:
        faults.append(f"{path}: holds {code[0][1]}; the file is named as what it holds")
    elif code[0][0] != "AGGREGATE" and not code[0][2]:
        faults.append(f"{path}: CREATE OR REPLACE, so that grants stay")
    if not text.lstrip().startswith("--"):
        faults.append(f"{path}: begins with a comment that is its contract")
    return faults


def numbered_faults(path: str, text: str) -> list[str]:
    """What is wrong with one numbered file."""
    return [
        f"{path}: {match.group(3)} belongs into migrations/functions/"
        for match in OBJECT.finditer(text)
        if match.group(2).upper() in CODE
    ]


def faults_of(path: str, text: str) -> list[str]:
    """All faults of one SQL file of migrations/, by its path from the root."""
    faults = [f"{path}: builds on {match.group(0)}" for match in PATCHING.finditer(without_comments(text))]
    if path.startswith("migrations/functions/"):
        return faults + layer_faults(path, text)
    if path.endswith((".up.sql", ".down.sql")):
        return faults + numbered_faults(path, text)
    return faults


def main() -> int:
    paths = sorted((ROOT / "migrations").rglob("*.sql"))
    faults = [
        fault
        for path in paths
        for fault in faults_of(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]
    print("\n".join(faults) if faults else f"{len(paths)} files are in order")
    return 1 if faults or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
