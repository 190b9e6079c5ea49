"""Which tests a name or a change selects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import selection
from tests.support.procs import ROOT


def test_a_gtest_name_is_found_with_its_program():
    chosen = selection.by_name("ConnectionTest.*") or selection.by_name("*Connection*.*")
    assert "store_migrator_test" in chosen.programs
    assert chosen.targets() == sorted(chosen.programs)


def test_a_pytest_function_is_found_with_its_file():
    chosen = selection.by_name("test_a_pytest_function_is_found_with_its_file")
    assert chosen.python == {"support": [f"{Path(__file__).resolve()}::{chosen_name()}"]}
    assert chosen.targets() == []


def chosen_name() -> str:
    return "test_a_pytest_function_is_found_with_its_file"


@pytest.mark.parametrize("name", ["Nothing.IsCalledSo", "test_nothing_is_called_so", "no such example"])
def test_a_name_that_fits_nothing_selects_nothing(name: str):
    assert not selection.by_name(name)


def test_a_suite_that_runs_programs_needs_all_of_them():
    chosen = selection.Selection(python={"system": ["tests/system/test_start.py"]})
    assert chosen.targets() == [*selection.PROGRAMS]


def test_sources_are_traced_to_every_program_that_compiles_them(tmp_path: Path):
    (tmp_path / "CMakeLists.txt").write_text(
        "# tasker_test(not_this SOURCES a_test.cpp)\n"
        "tasker_test(one SOURCES a_test.cpp b.cpp LINK x LABEL unit)\n"
        "tasker_test(\n  two\n  SOURCES sub/../a_test.cpp)\n"
    )
    source = tmp_path / "a_test.cpp"
    found = selection.programs_of([source], [tmp_path / "CMakeLists.txt"])
    assert found == {source.resolve(): ["one", "two"]}


CHANGES = [
    ("orchestrator/store/sql/begin_epoch.sql", {"support"}),
    ("orchestrator/cli/main.cpp", {"support"}),
    ("docs/schema.md", {"support"}),
    ("workers/python/README.md", {"python", "support"}),
    ("workers/README.md", {"conformance", "support"}),
    ("workers/python/tasker_worker/work.py", {"python"}),
    ("protocol/vectors/hello.json", {"conformance"}),
    ("tests/system/test_start.py", {"system"}),
    ("tests/support/test_links.py", {"support"}),
    ("LICENCE", set()),
]


@pytest.mark.parametrize("path, stages", CHANGES, ids=[path for path, _stages in CHANGES])
def test_a_change_selects_the_suites_that_read_it(
    path: str, stages: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(selection, "changed_files", lambda _base: [path])
    monkeypatch.setattr(selection, "_object_headers", lambda _build: {})
    chosen = selection.by_change(tmp_path, "HEAD", [])
    assert set(chosen.python) == stages and not chosen.ruby and not chosen.programs


def test_a_change_selects_the_programs_that_are_built_from_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(selection, "changed_files", lambda _base: ["tests/a.cpp", "migrations/b.sql"])
    monkeypatch.setattr(selection, "_object_headers", lambda _build: {"a.o": {"tests/a.cpp"}, "c.o": set()})
    inputs = {"one": {"a.o"}, "two": {"c.o"}, "three": {str(ROOT / "migrations/b.sql")}}
    monkeypatch.setattr(selection, "_inputs", lambda _build, program: inputs[program])
    assert set(selection.by_change(tmp_path, "HEAD", list(inputs)).programs) == {"one", "three"}


def test_every_test_source_of_the_project_belongs_to_a_program():
    sources = sorted((ROOT / "tests").glob("unit/**/*_test.cpp")) + sorted(
        (ROOT / "tests").glob("store/**/*_test.cpp")
    )
    found = selection.programs_of(sources, (ROOT / "tests").rglob("CMakeLists.txt"))
    assert sources and [str(path) for path, programs in found.items() if not programs] == []
