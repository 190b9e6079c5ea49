"""docs/json.md names every field that the command line answers with --json, and no other."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from parts import ROOT, System, SystemFactory, tasker, wait_until
from test_operators import BRITTLE, SINGLE, failed_task, wait_for_state
from workers import PYTHON_PATTERNS

PAGE = (ROOT / "docs/json.md").read_text()
FIELD = re.compile(r"`([^`]+)`")


def documented(section: str) -> tuple[set[str], set[str]]:
    """The fields of a section, and those whose content is not listed."""
    found = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/json.md has no section {section}"
    fields: set[str] = set()
    closed: set[str] = set()
    for line in found[1].splitlines():
        if not line.startswith("| `"):
            continue
        for name in FIELD.findall(line.split(" | ")[0]):
            plain = re.sub(r"(\{…\}|\[…\]|\{\*\})$", "", name)
            fields.add(plain)
            if name.endswith("{*}"):
                closed.add(plain)
    assert fields, f"section {section} has no field"
    return fields, closed


def walk(value: Any, path: str, closed: set[str], seen: set[str], open_nodes: set[str]) -> None:
    """Notes each field below `path`, and each object that was looked into."""
    if isinstance(value, dict):
        open_nodes.add(path)
        for key, inner in value.items():
            field = f"{path}.{key}" if path else key
            seen.add(field)
            if field not in closed:
                walk(inner, field, closed, seen, open_nodes)
    elif isinstance(value, list):
        for item in value:
            walk(item, f"{path}[]", closed, seen, open_nodes)


def parent(field: str) -> str:
    return field.rpartition(".")[0]


class Answers:
    def __init__(self, system: System) -> None:
        self.system = system

    def check(self, section: str, *commands: list[str]) -> None:
        fields, closed = documented(section)
        seen: set[str] = set()
        open_nodes: set[str] = set()
        for command in commands:
            code = 1 if command[0] == "attention" else 0
            text = tasker(self.system.url, *command, "--json", code=code).stdout
            walk(json.loads(text), "", closed, seen, open_nodes)
        assert seen, f"{commands} answered nothing"
        assert sorted(seen - fields) == [], f"docs/json.md, section {section}, lacks these fields"
        gone = sorted(field for field in fields - seen if parent(field) in open_nodes)
        assert gone == [], f"docs/json.md, section {section}, names fields that are not there"


@pytest.fixture
def answers(make_system: SystemFactory) -> Answers:
    system = make_system()
    system.load_template(BRITTLE)
    system.load_template(SINGLE)
    system.python_worker("python", PYTHON_PATTERNS)
    return Answers(system)


def test_every_field_of_an_answer_stands_on_the_page(answers: Answers) -> None:
    system = answers.system
    failed, step = failed_task(system, "brittle")
    done = system.submit("tests/single", {})
    wait_for_state(system, done, "complete")
    tasks = [str(failed), str(done)]
    answers.check("task submit", ["task", "submit", "tests/single"])
    answers.check("task list", ["task", "list"])
    answers.check("task wait", ["task", "wait", str(done)])
    answers.check("task show", *(["task", "show", task, "--history"] for task in tasks))
    answers.check("task explain", *(["task", "explain", task] for task in tasks))
    answers.check("step show", ["step", "show", step])
    answers.check("batch list", ["batch", "list"])
    # The orchestrator writes this list about once a second.
    wait_until(lambda: system.value("SELECT count(*) FROM tasker_workers"), "the worker is listed")
    answers.check("worker list", ["worker", "list"])
    answers.check("dlq list", ["dlq", "list"])
    answers.check("attention", ["attention"])
    answers.check("template list", ["template", "list"])
    answers.check("migrate status", ["migrate", "status"])
    answers.check("db check", ["db", "check"])
    answers.check("--show-config", ["--show-config"])
    waiting = system.submit("tests/single", {}, "--not-before", "2099-01-01T00:00:00Z")
    answers.check(
        "step retry, resolve, cancel; task retry, cancel; dlq replay, discard",
        ["step", "retry", step],
        ["task", "cancel", str(waiting)],
    )
