"""Every line of this SDK stands in the catalogue that all SDKs share, with its level and its fields."""

import ast
import json
import subprocess
import sys
from pathlib import Path

from tests.support.worker_process import PACKAGE_ROOT

CATALOGUE = Path(PACKAGE_ROOT).parent / "log_events.json"
# Of a step; attempt.log_fields() gives them.
STEP = ["task_id", "step_id", "attempt", "step_name", "batch_id"]


def logged():
    """(event, level, fields) of every call of a log in the sources."""
    for path in sorted((Path(PACKAGE_ROOT) / "tasker_worker").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in ("debug", "info", "warn", "error") and ast.unparse(node.func.value) == "log":
                yield ast.literal_eval(node.args[0]), node.func.attr, fields_of(node, path)


def fields_of(node, path):
    fields = []
    for keyword in node.keywords:
        if keyword.arg is None:
            assert ast.unparse(keyword.value) == "attempt.log_fields()", f"{path}:{node.lineno}"
        fields += STEP if keyword.arg is None else [keyword.arg]
    return fields


def test_every_line_is_one_of_the_catalogue():
    catalogue = {event["event"]: event for event in json.loads(CATALOGUE.read_text(encoding="utf-8"))}
    seen = set()
    for event, level, fields in logged():
        assert event in catalogue, f"{event!r} is not in {CATALOGUE.name}"
        known = catalogue[event]
        assert level == known["level"], event
        assert sorted(fields) == sorted(known["fields"] + known.get("optional", [])), event
        seen.add(event)
    assert seen == set(catalogue)


def test_what_a_handler_prints_is_seen_at_once(tmp_path):
    """Through a pipe, too: while the process goes on."""
    (tmp_path / "printing.py").write_text("import sys\nprint('here')\nsys.stdin.read()\n")
    command = [sys.executable, "-m", "tasker_worker", "--import", str(tmp_path / "printing.py")]
    with subprocess.Popen(
        command, cwd=PACKAGE_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout.readline() == b"here\n"
            assert process.poll() is None
        finally:
            process.communicate(timeout=30)
