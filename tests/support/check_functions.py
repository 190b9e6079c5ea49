"""Checks that no function is longer than 70 lines, in any language, SQL included.

A function is counted from the line of its head to the line of its end. Those that stay longer stand, with the
reason, in a table of docs/architecture.md ("Functions over 70 lines"). A row that is not needed is a fault.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LINES_MAX = 70
# What PostgreSQL prints of the functions that stand in files of their own.
MADE = "migrations/schema.sql"
ARCHITECTURE = ROOT / "docs/architecture.md"


@dataclass(frozen=True)
class Function:
    path: str
    name: str
    line: int
    lines: int


def python_functions(path: str, text: str) -> Iterator[Function]:
    for item in ast.walk(ast.parse(text)):
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield Function(path, item.name, item.lineno, (item.end_lineno or item.lineno) - item.lineno + 1)


def ruby_functions(path: str, text: str) -> Iterator[Function]:
    """Methods by their indentation: `def` and the `end` in the same column (rubocop keeps it so)."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        match = re.match(r"( *)(?:private |protected |private_class_method )*def ([\w.?!=\[\]<>+]+)", line)
        if not match or re.search(r"\)? = ", line):
            continue
        end = next((n for n in range(number + 1, len(lines)) if lines[n] == match.group(1) + "end"), number)
        yield Function(path, match.group(2), number + 1, end - number + 1)


def shell_functions(path: str, text: str) -> Iterator[Function]:
    lines = text.splitlines()
    for number, line in enumerate(lines):
        match = re.match(r"(\w+)\(\) \{(?!.*\}$)", line)
        if match:
            end = next((n for n in range(number + 1, len(lines)) if lines[n] == "}"), number)
            yield Function(path, match.group(1), number + 1, end - number + 1)


def sql_functions(path: str, text: str) -> Iterator[Function]:
    """From CREATE … FUNCTION to the line that ends it: `$$;`, or a semicolon behind the closing quotes."""
    lines = text.splitlines()
    head = re.compile(r"CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE|VIEW|AGGREGATE) (\w+)", re.I)
    for number, line in enumerate(lines):
        match = head.match(line)
        if match:
            end = next(
                (
                    n
                    for n in range(number, len(lines))
                    if lines[n].rstrip().endswith(";") and (is_view(line) or closes(lines[n]))
                ),
                len(lines) - 1,
            )
            yield Function(path, match.group(1), number + 1, end - number + 1)


def is_view(line: str) -> bool:
    return bool(re.search(r"\bVIEW\b", line, re.I))


def closes(line: str) -> bool:
    """Whether this line ends a function: the closing quotes stand at its beginning or end."""
    return bool(re.search(r"\$\w*\$(?: [^;]*)?;$", line.rstrip()))


LAMBDA = re.compile(r"=\s*\{|\[[&=\w, *]*\]\s*[({]")
FLOW = re.compile(r"^(?:if|for|while|switch|catch|else|do|try|namespace|struct|class|enum|union|extern)\b")


def _gtest_name(words: str) -> str:
    match = re.match(r"TEST(?:_F|_P)?\((\w+), (\w+)\)", words)
    return f"{match.group(1)}.{match.group(2)}" if match else ""


def cpp_functions(path: str, text: str) -> Iterator[Function]:
    """Blocks at the indentation of declarations (clang-format keeps it) whose head holds parameters."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if not line.endswith("{") or line.lstrip().startswith(("//", "}")):
            continue
        head = number
        while (
            head > 0 and lines[head - 1].strip() and not re.search(r"[;{}:]$|^\s*//|^\s*#", lines[head - 1])
        ):
            head -= 1
        indent = len(lines[head]) - len(lines[head].lstrip())
        if indent > 4:
            continue
        words = " ".join(part.strip() for part in lines[head : number + 1])
        name = re.search(r"([\w:~]+|operator\S+)\s*\(", words)
        if FLOW.match(words) or not name or LAMBDA.search(words):
            continue
        end = next(
            (n for n in range(number + 1, len(lines)) if re.match(r" {%d}\}" % indent, lines[n])), number
        )
        yield Function(path, _gtest_name(words) or name.group(1), head + 1, end - head + 1)


READERS = {
    ".py": python_functions,
    ".rb": ruby_functions,
    ".sql": sql_functions,
    ".sh": shell_functions,
    ".cpp": cpp_functions,
    ".hpp": cpp_functions,
}


def functions_of(path: str, text: str) -> list[Function]:
    """All functions of a file; empty for a language that is not known."""
    suffix = Path(path).suffix
    if not suffix and text.startswith("#!"):
        suffix = (
            ".sh" if "bash" in text.split("\n", 1)[0] else ".py" if "python" in text.split("\n", 1)[0] else ""
        )
    reader = READERS.get(suffix)
    return list(reader(path, text)) if reader else []


def excused(architecture: str) -> set[str]:
    """The names in the table below the heading "Functions over 70 lines"."""
    match = re.search(rf"^#+ Functions over {LINES_MAX} lines\n(.*?)(?=^#|\Z)", architecture, re.M | re.S)
    return set(re.findall(r"^\| `([^`]+)` \|", match.group(1), re.M)) if match else set()


def main() -> int:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    functions: list[Function] = []
    for path in files.stdout.splitlines():
        full = ROOT / path
        if path == MADE:
            continue
        if full.is_file() and (full.suffix in READERS or path.startswith(("bin/", ".ci/"))):
            functions += functions_of(path, full.read_text(encoding="utf-8"))
    known = excused(ARCHITECTURE.read_text(encoding="utf-8"))
    long = [item for item in functions if item.lines > LINES_MAX]
    faults = [
        f"{item.path}:{item.line}: {item.name} has {item.lines} lines, more than {LINES_MAX}"
        for item in sorted(long, key=lambda item: -item.lines)
        if item.name not in known
    ]
    faults += [
        f"docs/architecture.md: {name} is not longer than {LINES_MAX} lines any more"
        for name in sorted(known - {item.name for item in long})
    ]
    print("\n".join(faults) if faults else f"{len(functions)} functions are in order")
    return 1 if faults or not functions else 0


if __name__ == "__main__":
    sys.exit(main())
