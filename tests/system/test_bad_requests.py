"""What people get wrong on the command line: exit code, clear message, unchanged database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator

import pytest

from checks import TABLES, assert_unchanged, snapshot
from parts import System, SystemFactory, tasker

DEFINITIONS = (
    "tasker_task_namespaces",
    "tasker_named_tasks",
    "tasker_task_templates",
    "tasker_named_steps",
    "tasker_task_template_steps",
    "tasker_handler_keys",
)
USAGE = 2
NOT_FOUND = 4


@pytest.fixture(scope="module")
def system(make_shared_system: SystemFactory) -> System:
    """Without an orchestrator: the command line works on the database alone."""
    return make_shared_system(start=False)


@pytest.fixture(autouse=True)
def nothing_changes(system: System) -> Iterator[None]:
    """Not a row of a task, and not a row of a definition, whatever the test asked for."""
    before, definitions = snapshot(system), definition_rows(system)
    yield
    assert_unchanged(system, before)
    assert definition_rows(system) == definitions


def definition_rows(system: System) -> dict[str, Any]:
    return {table: system.rows(f"SELECT * FROM {table} t ORDER BY t::text") for table in DEFINITIONS}


def steps(*lines: str) -> str:
    head = "name: broken\nnamespace_name: tests\nversion: 1.0.0\nstep_templates:\n"
    return head + "".join(f"  - {line}\n" for line in lines)


BROKEN_TEMPLATES = {
    "cycle": (
        steps(
            "{ name: a, handler_class: H, depends_on_steps: [c] }",
            "{ name: b, handler_class: H, depends_on_steps: [a] }",
            "{ name: c, handler_class: H, depends_on_steps: [b] }",
        ),
        ["cycle", "a", "b", "c"],
    ),
    "typo_in_a_dependency": (
        steps(
            "{ name: prepare, handler_class: H }",
            "{ name: b, handler_class: H, depends_on_steps: [prepaer] }",
        ),
        ["prepaer", "prepare", ":6:"],
    ),
    "duplicate_step": (
        steps("{ name: a, handler_class: H }", "{ name: a, handler_class: H }"),
        ["'a'", ":6:"],
    ),
    "unknown_key": (steps("{ name: a, handler_class: H, retires: 3 }"), ["retires", ":5:"]),
    "retry_limit_of_zero": (
        steps("{ name: a, handler_class: H, default_retry_limit: 0 }"),
        ["default_retry_limit", ":5:"],
    ),
    "missing_handler": (steps("{ name: a }"), ["handler_class", ":5:"]),
    "broken_yaml": ("name: [unclosed\n", ["broken_yaml.yaml"]),
}


@pytest.mark.parametrize("fault", BROKEN_TEMPLATES)
def test_a_broken_template_is_not_loaded_and_neither_are_its_neighbours(
    system: System, tmp_path: Path, fault: str
) -> None:
    text, words = BROKEN_TEMPLATES[fault]
    (tmp_path / f"{fault}.yaml").write_text(text)
    good = steps("{ name: a, handler_class: H }").replace("broken", "good")
    (tmp_path / "a_good_one.yaml").write_text(good)
    for command, code in (("check", 1), ("load", USAGE)):
        done = tasker(system.url, "template", command, str(tmp_path), code=code)
        said = done.stdout + done.stderr
        missing = [word for word in [f"{fault}.yaml", *words] if word not in said]
        assert not missing, f"the message does not name {missing}:\n{said}"


def submit(system: System, *arguments: str, code: int) -> str:
    done = tasker(system.url, "task", "submit", *arguments, code=code)
    return done.stdout + done.stderr


def test_a_context_that_breaks_the_schema_is_refused_with_its_field(system: System) -> None:
    said = submit(system, "patterns/diamond", "--context", '{"value": "six"}', code=USAGE)
    assert "value" in said and "number" in said
    said = submit(system, "patterns/diamond", "--context", "{}", code=USAGE)
    assert "value" in said


def test_a_context_file_names_the_field_inside(system: System, tmp_path: Path) -> None:
    order = json.loads((Path(__file__).resolve().parents[2] / "examples/orders.json").read_text())[1]
    order["items"][1]["quantity"] = "3"
    path = tmp_path / "order.json"
    path.write_text(json.dumps(order))
    said = submit(system, "fulfillment/order_fulfillment", "--context", f"@{path}", code=USAGE)
    assert "items[1].quantity" in said.replace("/", ".").replace(".1.", "[1].")


def test_one_bad_context_among_many_keeps_all_of_them_out(system: System, tmp_path: Path) -> None:
    path = tmp_path / "many.json"
    path.write_text(json.dumps([{"value": 1}, {"value": None}, {"value": 3}]))
    said = submit(system, "patterns/diamond", "--many", f"@{path}", code=USAGE)
    assert "value" in said and "2" in said, "the message says which entry it is"


def test_a_context_that_is_no_json_is_refused(system: System) -> None:
    said = submit(system, "patterns/diamond", "--context", '{"value": 6', code=USAGE)
    assert "context" in said and "JSON" in said


def test_a_key_given_twice_in_a_context_is_refused_with_its_place(system: System) -> None:
    said = submit(
        system, "patterns/permanent_failure", "--context", '{"to": {"iban": 1, "iban": 2}}', code=USAGE
    )
    assert "$.to" in said and "iban" in said


def test_a_nul_character_in_the_context_is_refused(system: System) -> None:
    said = submit(system, "patterns/permanent_failure", "--context", '{"text": "a\\u0000b"}', code=USAGE)
    assert "u0000" in said.lower() or "nul" in said.lower() or "U+0000" in said


def test_half_a_surrogate_pair_in_the_context_is_refused(system: System) -> None:
    submit(system, "patterns/permanent_failure", "--context", '{"text": "\\ud800"}', code=USAGE)


def test_an_unknown_task_or_namespace_does_not_exist(system: System) -> None:
    for name in ("patterns/diamant", "nowhere/diamond", "patterns/diamond:9.9.9"):
        assert name.partition(":")[0] in submit(system, name, "--context", '{"value": 1}', code=NOT_FOUND)


def test_a_name_without_a_namespace_is_bad_usage(system: System) -> None:
    assert "diamond" in submit(system, "diamond", "--context", '{"value": 1}', code=USAGE)


def test_unknown_ids_do_not_exist(system: System) -> None:
    for command in (("task", "show", "99999"), ("task", "wait", "99999"), ("batch", "show", "99999")):
        done = tasker(system.url, *command, code=NOT_FOUND)
        assert "99999" in done.stderr


def test_bad_arguments_are_bad_usage(system: System) -> None:
    for command in (
        ("task", "show", "twelve"),
        ("task", "list", "--state", "finished"),
        ("task", "submit", "patterns/diamond", "--context", '{"value": 1}', "--priority", "much"),
        ("surprise",),
    ):
        assert tasker(system.url, *command, code=USAGE).stderr


def test_the_command_line_says_when_no_database_answers() -> None:
    done = tasker("postgresql://nobody:geheim@127.0.0.1:9/none", "task", "list", code=3)
    assert "127.0.0.1" in done.stderr and "geheim" not in done.stderr
    assert "TASKER_DATABASE_URL" in tasker(None, "task", "list", code=3).stderr


def test_the_command_line_names_the_command_that_mends_a_missing_schema(make_system: SystemFactory) -> None:
    bare = make_system(start=False, empty=True)
    assert "tasker migrate up" in tasker(bare.url, "task", "list", code=5).stderr
    tasker(bare.url, "migrate", "up")
    tasker(bare.url, "task", "list")


def test_every_table_the_snapshots_watch_exists(system: System) -> None:
    assert set(TABLES) <= {row["tablename"] for row in system.rows("SELECT tablename FROM pg_tables")}
