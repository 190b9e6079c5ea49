import json
import logging

import pytest

from tasker_worker import logs
from tasker_worker.testing import run_step


def line(message, fields=None, **fixed):
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, message, (), None)
    record.fields = fields or {}
    return logs.LogfmtFormatter(**fixed).format(record)


def test_a_line_is_key_value_pairs():
    text = line("step failed", {"task_id": 7, "none": None, "note": 'a "b"'}, worker="w-1")
    assert text.startswith("time=") and "level=warn" in text
    assert 'msg="step failed"' in text and " worker=w-1 task_id=7 " in text
    assert "none" not in text and text.endswith('note="a \\"b\\""')
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("value", ["a b", "a=b", "", "line\nbreak", "ü"])
def test_values_that_need_it_are_quoted(value):
    text = line("m", {"v": value})
    assert json.loads(text.split(" v=", 1)[1]) == value
    assert "\n" not in text


def test_what_a_handler_logs_names_its_step(capsys, monkeypatch):
    """The pool sets the fields; here the place of the pool is taken."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging.getLogger(), "level", logging.INFO)
    logs.configure("info", worker="w-1")
    monkeypatch.setattr(logs.current, "fields", {"task_id": 1, "step_id": 2, "attempt": 3}, raising=False)

    def process(task, sequence, step):
        logging.getLogger("shop").info("charging %s", "card")

    assert run_step(process).status == "completed"
    text = capsys.readouterr().err
    assert 'msg="charging card" worker=w-1 task_id=1 step_id=2 attempt=3' in text
