"""Which tests bin/test --filter and --changed are about.

A name is looked for in the sources of all suites: a GoogleTest `Suite.Name` (both may hold `*`), a pytest
function, or the text of an RSpec example. A change is followed from its files to the test programs that are
built from them (ninja knows the sources and headers of each) and to the suites that read them.
"""

from __future__ import annotations

import fnmatch
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.procs import ROOT

GTEST = re.compile(r"\b(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)")
PYTEST = re.compile(r"^\s*(?:async )?def (test_\w+)\(", re.M)
RSPEC = re.compile(r"""^\s*it (?:'((?:[^'\\]|\\.)+)'|"((?:[^"\\]|\\.)+)")""", re.M)

# All that the suites of Python run, and what they install: no test program among it.
PROGRAMS = (
    "tasker",
    "tasker-orchestrator",
    "tasker-orchestrator-crash",
    "protocol-conformance",
    "tasker-bench-worker",
    "tasker-bench-floor",
    "man",
    "completions",
)
# Suites of Python that run none of our programs.
SCRIPTS_ONLY = {"python", "support"}
PYTHON_WORKER = ROOT / "workers/python"
RUBY_WORKER = ROOT / "workers/ruby"
# Documents that tests/conformance compares with the programs.
DOCUMENTS = {"protocol/SPEC.md", "workers/README.md"}
# What tests/support reads besides documents: scripts, presets, and every source that holds or names SQL.
READ_BY_SUPPORT = ("tests/support/", "bin/", "migrations/", "orchestrator/", "CMakePresets.json")


@dataclass
class Selection:
    """What to run: test programs of ctest, paths of Python tests by stage, files of RSpec."""

    programs: dict[str, str] = field(default_factory=dict)  # test program -> filter of GoogleTest
    python: dict[str, list[str]] = field(default_factory=dict)  # stage -> pytest node ids
    ruby: list[str] = field(default_factory=list)  # spec files
    ruby_example: str = ""

    def __bool__(self) -> bool:
        return bool(self.programs or self.python or self.ruby)

    def targets(self) -> list[str]:
        """What has to be built before: the test programs, the programs that suites start, or nothing."""
        if any(stage not in SCRIPTS_ONLY for stage in self.python):
            return [*PROGRAMS]
        return sorted(self.programs)


def python_stage(path: Path) -> str:
    """The stage that runs a Python test file."""
    if path.is_relative_to(PYTHON_WORKER):
        return "python"
    return path.relative_to(ROOT / "tests").parts[0]


def programs_of(sources: Iterable[Path], cmake_files: Iterable[Path]) -> dict[Path, list[str]]:
    """The test programs that each C++ test source is compiled into, read from the CMake files of tests/."""
    wanted = {source.resolve() for source in sources}
    found: dict[Path, list[str]] = {source: [] for source in wanted}
    for cmake in cmake_files:
        text = re.sub(r"#[^\n]*", "", cmake.read_text())
        for call in re.finditer(r"tasker_test\(\s*(\w+)([^)]*)\)", text):
            for word in call.group(2).split():
                source = (cmake.parent / word).resolve()
                if source in wanted:
                    found[source].append(call.group(1))
    return found


def _matches(pattern: str, name: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern)


def _gtest_hits(pattern: str) -> dict[str, str]:
    hits: dict[Path, None] = {}
    for path in (ROOT / "tests").rglob("*.cpp"):
        if any(_matches(pattern, f"{suite}.{name}") for suite, name in GTEST.findall(path.read_text())):
            hits[path] = None
    programs = programs_of(hits, (ROOT / "tests").rglob("CMakeLists.txt"))
    # Tests with parameters are called Prefix/Suite.Name/0.
    wanted = ":".join(f"{before}{pattern}{after}" for before in ("", "*/") for after in ("", "/*"))
    return {program: wanted for names in programs.values() for program in names}


def _pytest_hits(pattern: str) -> dict[str, list[str]]:
    hits: dict[str, list[str]] = {}
    folders = [ROOT / "tests", PYTHON_WORKER / "tests"]
    for path in sorted(path for folder in folders for path in folder.rglob("test_*.py")):
        names = sorted({name for name in PYTEST.findall(path.read_text()) if _matches(pattern, name)})
        hits.setdefault(python_stage(path), []).extend(f"{path}::{name}" for name in names)
    return {stage: ids for stage, ids in hits.items() if ids}


def by_name(pattern: str) -> Selection:
    """All tests that this name fits; an empty selection when none does."""
    selection = Selection()
    if "." in pattern:
        selection.programs = _gtest_hits(pattern)
    else:
        selection.python = _pytest_hits(pattern)
    if not selection:
        for path in sorted((RUBY_WORKER / "spec").rglob("*_spec.rb")):
            examples = [single or double for single, double in RSPEC.findall(path.read_text())]
            if pattern in examples:
                selection.ruby.append(str(path))
                selection.ruby_example = pattern
    return selection


def changed_files(base: str) -> list[str]:
    """Paths from the root that differ from `base` or are new."""
    lines: list[str] = []
    for command in (
        ["git", "diff", "--name-only", "--diff-filter=d", base],
        ["git", "ls-files", "--others", "--exclude-standard"],
    ):
        lines += subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.splitlines()
    return sorted(set(lines))


def _object_headers(build: Path) -> dict[str, set[str]]:
    """object file -> what it was compiled from, headers included, as paths from the root."""
    text = subprocess.run(
        ["ninja", "-C", str(build), "-t", "deps"], check=True, capture_output=True, text=True
    ).stdout
    objects: dict[str, set[str]] = {}
    current: set[str] = set()
    for line in text.splitlines():
        if line and not line.startswith(" "):
            current = objects.setdefault(line.split(":")[0], set())
        elif line.strip():
            path = (build / line.strip()).resolve()
            if path.is_relative_to(ROOT):
                current.add(path.relative_to(ROOT).as_posix())
    return objects


def _inputs(build: Path, program: str) -> set[str]:
    text = subprocess.run(
        ["ninja", "-C", str(build), "-t", "inputs", f"bin/{program}"],
        check=False,
        capture_output=True,
        text=True,
    ).stdout
    return set(text.splitlines())


def by_change(build: Path, base: str, programs: Iterable[str]) -> Selection:
    """The tests that the files which differ from `base` can break: test programs, and suites of scripts."""
    changed = changed_files(base)
    selection = Selection()
    headers = _object_headers(build)
    changed_set = set(changed)
    dirty = {name for name, sources in headers.items() if sources & changed_set}
    absolute = {str(ROOT / path) for path in changed}
    for program in programs:
        inputs = _inputs(build, program)
        named = {str((build / name).resolve()) for name in inputs if not name.endswith((".o", ".a"))}
        if inputs & dirty or named & absolute:
            selection.programs[program] = "*"
    for path in changed:
        full = ROOT / path
        if path.startswith("workers/python/"):
            selection.python["python"] = []
        elif path.startswith("workers/ruby/"):
            selection.ruby = ["spec"]
        elif path in DOCUMENTS or path.startswith(
            ("workers/conformance/", "protocol/vectors/", "protocol/schema/")
        ):
            selection.python["conformance"] = [str(ROOT / "tests/conformance")]
        elif path.startswith("tests/") and full.name.startswith("test_") and full.suffix == ".py":
            selection.python.setdefault(python_stage(full), []).append(str(full))
        if full.suffix == ".md" or path.startswith(READ_BY_SUPPORT):
            selection.python["support"] = [str(ROOT / "tests/support")]
    return selection
