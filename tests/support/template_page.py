"""The tables of docs/templates.md, made from `tasker template schema`; --write puts them into the page."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support import procs  # noqa: E402
from tests.support.procs import ROOT  # noqa: E402

PAGE = ROOT / "docs/templates.md"
# The word of the marker in the page, and the part of the schema whose keys stand there.
PARTS = {
    "template": None,
    "step": "step",
    "retry_backoff": "backoff",
    "environment": "environment",
    "override": "listed_override",
}
TYPES = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "map",
    "array": "list",
}
Schema = dict[str, Any]


def schema() -> Schema:
    """What the program prints for editors."""
    done = subprocess.run(
        [procs.program("tasker"), "template", "schema"], check=True, capture_output=True, text=True
    )
    printed: Schema = json.loads(done.stdout)
    return printed


def keys_of(whole: Schema, part: str | None) -> dict[str, Schema]:
    """The keys of one kind of map, by name."""
    keys: dict[str, Schema] = (whole if part is None else whole["definitions"][part])["properties"]
    return keys


def inline(value: Any) -> str:
    """A value as one would write it in YAML on one line."""
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{key}: {inline(inner)}" for key, inner in value.items()) + " }"
            if value
            else "{}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(inline(inner) for inner in value) + "]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) and value else json.dumps(value)


def bounds(value: Schema) -> str:
    """The limits of a value, or nothing."""
    if "minimum" in value:
        return f"{inline(value['minimum'])} to {inline(value['maximum'])}"
    if "maxLength" in value:
        return f"{value['minLength']} to {value['maxLength']} bytes"
    if "maxItems" in value:
        return f"{value['minItems']} to {value['maxItems']}"
    length = re.search(r"\{1,(\d+)\}", value.get("pattern", ""))
    return f"1 to {length.group(1)} characters of {letters(value['pattern'])}" if length else ""


def letters(pattern: str) -> str:
    """The letters that a pattern of names allows, as text."""
    inside = re.findall(r"\[([^\]]*)\]", pattern)[-1]
    extra = " ".join(f"`{one}`" for one in inside.replace("A-Za-z0-9", ""))
    return f"A–Z a–z 0–9 {extra}"


def takes(value: Schema) -> str:
    """The type of a value and its limits."""
    for form in value.get("anyOf", []):
        if "enum" in form and "$ref" not in json.dumps(value):
            return "one of " + ", ".join(f"`{word}`" for word in form["enum"])
    if "anyOf" in value:
        return "map, or `exponential`"
    types = value["type"] if isinstance(value["type"], list) else [value["type"]]
    words = "list of names, or one name" if types == ["array", "string"] else TYPES.get(types[0], "text")
    limits = bounds(value)
    return f"{words}, {limits}" if limits else words


def row(name: str, value: Schema, required: bool) -> str:
    """One key as a row of the table."""
    if value.get("deprecated"):
        return f"| `{name}` | anything | | {value['description']} | |"
    default = "**required**" if required else f"`{inline(value['default'])}`" if "default" in value else ""
    example = f"`{name}: {inline(value['examples'][0])}`"
    return f"| `{name}` | {takes(value)} | {default} | {value['description']} | {example} |"


def table(whole: Schema, part: str | None) -> str:
    """All keys of one kind of map."""
    required = (whole if part is None else whole["definitions"][part]).get("required", [])
    head = "| key | takes | default | meaning | example |\n|---|---|---|---|---|\n"
    rows = [row(name, value, name in required) for name, value in keys_of(whole, part).items()]
    return head + "\n".join(rows) + "\n"


def with_tables(page: str, whole: Schema) -> str:
    """The page with each table between its markers made anew."""
    for word, part in PARTS.items():
        begin, end = f"<!-- keys of {word} -->\n", f"<!-- end of {word} -->\n"
        before, rest = page.split(begin)
        _, after = rest.split(end)
        page = before + begin + "\n" + table(whole, part) + "\n" + end + after
    return page


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the page instead of comparing it")
    arguments = parser.parse_args()
    page = PAGE.read_text()
    made = with_tables(page, schema())
    if arguments.write:
        PAGE.write_text(made)
        return 0
    if made != page:
        print(
            "docs/templates.md is stale; write its tables anew with: tests/support/template_page.py --write"
        )
    return int(made != page)


if __name__ == "__main__":
    sys.exit(main())
