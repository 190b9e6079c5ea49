import asyncio
import json
import logging
import os
import select
import time

import pytest

from tasker_worker import log
from tasker_worker.testing import run_step


def line(message, fields=None, **fixed):
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, message, (), None)
    record.fields = fields or {}
    return log.LogfmtFormatter(**fixed).format(record)


def test_a_line_is_key_value_pairs():
    text = line("step failed", {"task_id": 7, "none": None, "note": 'a "b"'}, worker_id="w-1")
    assert text.startswith("time=") and "level=warn" in text
    assert 'msg="step failed"' in text and " worker_id=w-1 task_id=7 " in text
    assert "none" not in text and text.endswith('note="a \\"b\\""')
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("value", ["a b", "a=b", "", "line\nbreak", "ü", "\u202e\x9b2J\x1b\x7f", "\ud800"])
def test_values_that_need_it_are_quoted(value):
    text = line("m", {"v": value})
    assert json.loads(text.split(" v=", 1)[1]) == value
    assert text.isprintable()


def test_what_a_terminal_can_show_is_not_escaped():
    assert line("m", {"v": "Zoë 42 €"}).endswith(' v="Zoë 42 €"')


def test_what_a_handler_logs_names_its_step(capsys, monkeypatch):
    """The pool sets the fields; here the place of the pool is taken."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging.getLogger(), "level", logging.INFO)
    log.configure("info", worker_id="w-1")
    token = log.current.set({"task_id": 1, "step_id": 2, "attempt": 3})

    def process(task, sequence, step):
        logging.getLogger("shop").info("charging %s", "card")

    async def process_later(task, sequence, step):
        await asyncio.to_thread(logging.getLogger("shop").info, "charging later")

    assert run_step(process).status == run_step(process_later).status == "completed"
    log.current.reset(token)
    logging.getLogger().handlers[0].flush()
    text = capsys.readouterr().err
    assert 'msg="charging card" worker_id=w-1 task_id=1 step_id=2 attempt=3' in text
    assert 'msg="charging later" worker_id=w-1 task_id=1 step_id=2 attempt=3' in text


class Pipe:
    """A pipe that stands for stderr, and the handlers that write into it."""

    def __init__(self):
        self.reader, writer = os.pipe()
        self.stream = os.fdopen(writer, "w")
        self.handlers = []

    def handler(self, **limits):
        made = log.QueueHandler(self.stream, **limits)
        made.setFormatter(log.LogfmtFormatter())
        self.handlers.append(made)
        return made

    def close(self):
        os.close(self.reader)  # whoever is in the middle of a line gets an error, and goes on
        for handler in self.handlers:
            handler.flush()
            assert handler._queue.empty()
        self.stream.close()


@pytest.fixture
def pipe():
    made = Pipe()
    yield made
    made.close()


def logged(handler, text):
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, text, (), None)
    handler.handle(record)


def read_until(descriptor, text, limit_s=10.0):
    end, content = time.monotonic() + limit_s, b""
    while text not in content:
        assert time.monotonic() < end, content[-500:]
        if select.select([descriptor], [], [], 0.1)[0]:
            content += os.read(descriptor, 65536)
    return content.decode()


def test_lines_that_nobody_reads_are_dropped_and_counted(pipe, monkeypatch):
    handler = pipe.handler(bytes_max=100_000)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    began = time.monotonic()
    for number in range(2000):
        logged(handler, f"line-{number}-" + "x" * 1000)
    assert time.monotonic() - began < 5  # nothing waited for a reader
    text = read_until(pipe.reader, b'msg="log lines dropped" lines=')
    kept = text.count("line-")
    text = read_until(pipe.reader, b"\n") if not text.endswith("\n") else text
    assert 60 < kept < 400
    logged(handler, "afterwards")
    read_until(pipe.reader, b"afterwards")


def test_the_number_of_lines_is_bounded_too(pipe):
    handler = pipe.handler(lines_max=5)
    for _ in range(300):
        logged(handler, "x" * 1000)
    assert handler._queue.qsize() <= 5 and handler._dropped > 100
    read_until(pipe.reader, b"xxx")


def test_the_end_waits_for_what_is_read_and_not_for_ever(pipe, monkeypatch):
    handler = pipe.handler()
    logged(handler, "the last words")
    handler.close()
    assert select.select([pipe.reader], [], [], 0)[0]
    read_until(pipe.reader, b"the last words")
    for _ in range(300):
        logged(handler, "x" * 1000)
    with monkeypatch.context() as patch:
        patch.setattr(log, "FLUSH_S", 0.05)
        handler.flush()


def test_a_child_writes_its_lines_itself_and_none_of_its_parent(pipe):
    handler = pipe.handler()
    logged(handler, "parent")
    child = os.fork()
    if child == 0:
        logged(handler, "child")
        os._exit(0)
    os.waitpid(child, 0)
    handler.flush()
    text = read_until(pipe.reader, b"child")
    assert text.count("msg=parent") <= 1 and text.count("msg=child") == 1


def test_a_closed_stderr_stops_nothing(pipe):
    handler = pipe.handler()
    handler._descriptor = 10**6
    logged(handler, "nobody")
    handler.flush()
    assert handler._writer.is_alive()
