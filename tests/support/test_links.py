"""Links between documents lead somewhere, and the files and folders that documents name exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.procs import ROOT

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
# What a document of the project means by a path; rooms of the orchestrator may stand without their folder.
TOP = "bin|cmake|config|docs|examples|migrations|orchestrator|packaging|protocol|tests|workers"
ROOMS = "api|cli|core|daemon|engine|options|ports|postgres|store|templates|transport|util"
NAMED_PATH = re.compile(rf"`((?:{TOP}|{ROOMS})/[\w./-]*\w)/?`")


def documents(root: Path) -> list[Path]:
    folders = [
        root / name
        for name in ("docs", "migrations", "orchestrator", "packaging", "protocol", "tests", "workers")
    ]
    nested = [path for folder in folders for path in folder.rglob("*.md") if "node_modules" not in path.parts]
    return sorted([*root.glob("*.md"), *nested])


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors_of(text: str) -> set[str]:
    """The anchors that GitHub makes of headings."""
    titles = re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> list[str]:
    broken = []
    for target in LINK.findall(without_code(page.read_text())):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors_of(file.read_text())):
            broken.append(target)
    return broken


def missing_paths(text: str, root: Path) -> list[str]:
    """Paths in the text that name neither a file nor a folder, with or without the ending of C++."""
    missing = []
    for name in NAMED_PATH.findall(without_code(text)):
        places = [root / name, root / "orchestrator" / name]
        endings = ("", ".hpp", ".cpp")
        if not any(place.with_name(place.name + ending).exists() for place in places for ending in endings):
            missing.append(name)
    return missing


def test_every_link_leads_somewhere():
    pages = documents(ROOT)
    assert len(pages) > 10
    assert {str(page.relative_to(ROOT)): broken_links(page) for page in pages if broken_links(page)} == {}


def test_every_named_path_exists():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("README.md")]
    found = {str(page.relative_to(ROOT)): missing_paths(page.read_text(), ROOT) for page in pages}
    assert {page: names for page, names in found.items() if names} == {}


def test_a_broken_link_is_found(tmp_path: Path):
    page = tmp_path / "a.md"
    (tmp_path / "b.md").write_text("# One `two`, three\n")
    links = "[x](b.md#one-two-three) [y](b.md#four) [z](c.md) [w](https://example.com) [v](#a)\n"
    page.write_text(links + "```\n[u](d)\n```\n")
    assert broken_links(page) == ["b.md#four", "c.md", "#a"]


def test_a_path_that_does_not_exist_is_found(tmp_path: Path):
    (tmp_path / "orchestrator/core").mkdir(parents=True)
    (tmp_path / "orchestrator/core/one.hpp").touch()
    text = "`core/one` `core/one.hpp` `core/` `orchestrator/core` `core/two` `tests/x_test.cpp` `tasks/three`"
    assert missing_paths(text, tmp_path) == ["core/two", "tests/x_test.cpp"]
