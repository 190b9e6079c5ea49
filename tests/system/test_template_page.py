"""docs/templates.md, the schema for editors and the reader of templates have the same keys."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support import procs, template_page
from tests.support.procs import ROOT

FOLDERS = ["config/tasks", "examples", "orchestrator/cli/init/project", "tests", "workers"]
SCHEMA = template_page.schema()


def validator() -> Any:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    return jsonschema.Draft7Validator(SCHEMA)


def samples() -> list[Path]:
    """Every template of the repository that is a file."""
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.y*ml")):
            tree = yaml.safe_load(path.read_text())
            if isinstance(tree, dict) and "step_templates" in tree:
                found.append(path)
    return found


def check(path: Path) -> list[dict[str, Any]]:
    """The errors that `tasker template check` finds."""
    command = [procs.program("tasker"), "template", "check", str(path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return [one for one in json.loads(done.stdout)["problems"] if one["severity"] == "error"]


def test_the_tables_of_the_page_are_those_of_the_schema() -> None:
    page = template_page.PAGE.read_text()
    assert template_page.with_tables(page, SCHEMA) == page, "run tests/support/template_page.py --write"


def test_a_key_that_the_page_lacks_is_found() -> None:
    page = template_page.PAGE.read_text()
    assert template_page.with_tables(page.replace("| `claim_first` |", "| `claim_second` |"), SCHEMA) == page


def test_every_sample_fits_the_schema() -> None:
    found = samples()
    assert len(found) >= 13
    for path in found:
        problems = [
            f"{list(p.path)}: {p.message}" for p in validator().iter_errors(yaml.safe_load(path.read_text()))
        ]
        assert not problems, f"{path}: {problems}"


def test_templates_of_the_pages_fit_the_schema() -> None:
    texts = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    texts += re.findall(r"^```yaml\n(.*?)^```$", template_page.PAGE.read_text(), re.M | re.S)
    templates = [tree for tree in map(yaml.safe_load, texts) if "step_templates" in tree]
    assert len(templates) == 2
    for template in templates:
        validator().validate(template)


def template_with(part: str | None, name: str, value: Any) -> dict[str, Any]:
    """A good template with this key in a map of this kind."""
    step: dict[str, Any] = {"name": "charge", "handler_class": "Orders::ChargeHandler"}
    others: list[dict[str, Any]] = [
        {"name": one, "handler_class": "H"} for one in ("plan", "greet", "reserve", "validate")
    ]
    if name == "results_from":  # the step needs an ancestor: plan → reserve → charge
        others[2]["depends_on_steps"], step["depends_on_steps"] = ["plan"], ["reserve"]
    template: dict[str, Any] = {
        "name": "t",
        "namespace_name": "n",
        "version": "1.0.0",
        "step_templates": [*others, step],
    }
    override: dict[str, Any] = {"name": "charge"}
    places: dict[str | None, dict[str, Any]] = {
        None: template,
        "step": step,
        "backoff": step.setdefault("retry_backoff", {}) if part == "backoff" else {},
        "environment": {},
        "listed_override": override,
        "mapped_override": {},
    }
    places[part][name] = value
    if part == "environment":
        template["environments"] = {"test": places[part]}
    if part == "listed_override":
        template["environments"] = {"test": {"step_templates": [override]}}
    if part == "mapped_override":
        template["environments"] = {"test": {"step_overrides": {"charge": places[part]}}}
    return template


KEYS = [
    (part, name)
    for part in [None, "step", "backoff", "environment", "listed_override", "mapped_override"]
    for name in template_page.keys_of(SCHEMA, part)
]


@pytest.mark.parametrize(("part", "name"), KEYS)
def test_each_key_takes_its_example_and_its_default(tmp_path: Path, part: str | None, name: str) -> None:
    key = template_page.keys_of(SCHEMA, part)[name]
    values = [*key.get("examples", []), *([key["default"]] if "default" in key else [])]
    assert values or key["deprecated"]
    for value in values:
        template = template_with(part, name, value)
        validator().validate(template)
        file = tmp_path / "t.yaml"
        file.write_text(json.dumps(template))
        assert check(file) == []


WRONG = [
    {"timeout_seconds": 0},
    {"timeout_seconds": "soon"},
    {"timeout_seconds": 86401},
    {"default_retry_limit": 1001},
    {"default_retry_limit": 1.5},
    {"default_retryable": "maybe"},
    {"on_orphan": "forget"},
    {"handler_class": "no class"},
    {"handler_config": [1]},
    {"depends_on_steps": {"a": 1}},
    {"depends_on_steps": ["reserve", "reserve"]},
    {"retry_backoff": {"jitter": 2}},
    {"retry_backoff": "linear"},
    {"timeout": 3},
]


@pytest.mark.parametrize("keys", WRONG, ids=json.dumps)
def test_wrong_values_are_refused_by_both(tmp_path: Path, keys: dict[str, Any]) -> None:
    [(name, value)] = keys.items()
    template = template_with("step", name, value)
    assert list(validator().iter_errors(template))
    file = tmp_path / "t.yaml"
    file.write_text(json.dumps(template))
    assert check(file) != []
