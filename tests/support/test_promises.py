"""docs/promises.md names tests and database checks: all exist, and each promise has a test."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.procs import ROOT

PAGE = ROOT / "docs/promises.md"
PROMISES = [f"P{number}" for number in range(1, 12)]
INVARIANTS = [f"I{number}" for number in range(1, 14)]
FOLDERS = ("orchestrator", "protocol", "workers", "tests", "migrations", "config", "examples", "bin", "docs")
NAMED_TEST = re.compile(r"`(tests/[\w./]+)::([\w.]+)`")
CPP_TEST = re.compile(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", re.MULTILINE)


def sections(text: str) -> dict[str, str]:
    """The text below each heading `### P1 …`, by its number."""
    parts = re.split(r"^### ([PI]\d+) .*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def exists(path: Path, name: str) -> bool:
    """Whether a source file defines this pytest function, or this GoogleTest Suite.Name."""
    if not path.is_file():
        return False
    source = path.read_text()
    if path.suffix == ".py":
        return re.search(rf"^def {re.escape(name)}\(", source, re.MULTILINE) is not None
    return any(f"{suite}.{case}" == name for suite, case in CPP_TEST.findall(source))


def missing_tests(text: str, root: Path = ROOT) -> list[str]:
    return [f"{path}::{name}" for path, name in NAMED_TEST.findall(text) if not exists(root / path, name)]


def checks_of_the_program() -> dict[str, str]:
    """Every check of `tasker db check`: its name and its invariant."""
    text = "".join(path.read_text() for path in (ROOT / "orchestrator/api/checks").glob("*.cpp"))
    return dict(re.findall(r'\{"(\w+)",\s*"(I\d+|reference)"', text))


def named_checks(section: str) -> list[str]:
    """The checks of the line `- Checks: …`, which may go on in the next one."""
    line = re.search(r"^- Checks: (.*?)(?=^- |\Z)", section, re.MULTILINE | re.DOTALL)
    return re.findall(r"`(\w+)`", line.group(1)) if line else []


def test_each_promise_and_invariant_stands_there_once_with_a_test():
    found = sections(PAGE.read_text())
    assert list(found) == PROMISES + INVARIANTS
    assert [number for number, text in found.items() if not NAMED_TEST.search(text)] == []


def test_every_named_test_exists():
    assert missing_tests(PAGE.read_text()) == []


def test_every_check_stands_with_its_invariant():
    page = {
        name: number for number, text in sections(PAGE.read_text()).items() for name in named_checks(text)
    }
    program = checks_of_the_program()
    assert len(program) > 30
    assert {name: number for name, number in page.items() if name not in program} == {}
    expected = {name: number for name, number in program.items() if number != "reference"}
    assert {name: number for name, number in page.items() if program[name] != "reference"} == expected


def test_no_source_names_a_number_that_is_not_there():
    unknown = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if (
                path.suffix in {".cpp", ".hpp", ".py", ".rb", ".sql", ".md"}
                and "node_modules" not in path.parts
            ):
                for number in re.findall(r"(?<![\w.])[PI]\d{1,2}(?!\w)", path.read_text(errors="replace")):
                    if number not in PROMISES + INVARIANTS and path != Path(__file__).resolve():
                        unknown.append(f"{path.relative_to(ROOT)}: {number}")
    assert unknown == []


def test_a_test_that_does_not_exist_is_found(tmp_path: Path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text("def test_one():\n    pass\n")
    (tmp_path / "tests/b_test.cpp").write_text("TEST_F(Suite, Case) {}\nTEST(\n")
    page = "`tests/test_a.py::test_one` `tests/test_a.py::test_on` `tests/none.py::test_one`"
    page += " `tests/b_test.cpp::Suite.Case` `tests/b_test.cpp::Suite.Cas`"
    assert missing_tests(page, tmp_path) == [
        "tests/test_a.py::test_on",
        "tests/none.py::test_one",
        "tests/b_test.cpp::Suite.Cas",
    ]
