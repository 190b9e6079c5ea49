"""`async def process`: awaited on one event loop, cancelled with its step."""

import asyncio
import threading
import time

import pytest

from tasker_worker import PermanentError, StepHandler
from tasker_worker.outcome import Limits, run_handler
from tasker_worker.registry import HandlerEntry
from tasker_worker.testing import run_step
from tasker_worker.values import CancelFlag
from tasker_worker.wire.orchestrator_messages import StepRequest
from tasker_worker.wire.schema import read_record
from tests.support.fake_orchestrator import a_step

LIMIT_S = 10


class Later(StepHandler):
    async def process(self, task, sequence, step):
        await asyncio.sleep(0)
        return {"value": task.context["value"], "thread": threading.current_thread().name}

    async def process_results(self, step, output, initial_results):
        await asyncio.sleep(0)
        return {**output, "shaped": True}


def test_a_coroutine_is_awaited_on_the_loop_of_the_worker():
    result = run_step(Later, context={"value": 7})
    assert result.output == {"value": 7, "thread": "event-loop", "shaped": True}


def test_what_a_coroutine_raises_is_its_report():
    async def process(task, sequence, step):
        raise PermanentError("no", error_code="x")

    result = run_step(process)
    assert (result.status, result.error["message"], result.error["error_code"]) == ("error", "no", "x")
    assert result.error["backtrace"][0].endswith("in process")


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_what_ends_other_programs_ends_only_the_step(raised):
    async def process(task, sequence, step):
        raise raised

    assert run_step(process).status == "failed"
    assert run_step(Later, context={"value": 1}).completed


def test_a_coroutine_that_stops_the_loop_stops_nobody_else():
    async def process(task, sequence, step):
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0.001)
        return "went on"

    assert run_step(process).output == "went on"


class Running:
    """A coroutine in a thread of its own, as the pool runs it."""

    def __init__(self, process):
        self.flag = CancelFlag()
        self.outcome = None
        self.thread = threading.Thread(target=self._run, args=(process,))
        self.thread.start()

    def _run(self, process):
        request = read_record(StepRequest, a_step(1, "X"))
        self.outcome = run_handler(HandlerEntry("X", process), request, self.flag, Limits())

    def end(self):
        self.thread.join(LIMIT_S)
        assert not self.thread.is_alive()
        return self.outcome


def test_coroutines_wait_side_by_side_and_are_cancelled_with_their_step():
    inside = threading.Semaphore(0)

    async def process(task, sequence, step):
        inside.release()
        await asyncio.sleep(LIMIT_S * 3)

    running = [Running(process) for _ in range(5)]
    for _ in running:
        assert inside.acquire(timeout=LIMIT_S)
    began = time.monotonic()
    for one in running:
        one.flag.set("operator says so")
    for one in running:
        outcome = one.end()
        assert (outcome.status, outcome.error["message"]) == ("failed", "stopped: operator says so")
    assert time.monotonic() - began < LIMIT_S


def test_a_coroutine_that_ignores_its_cancel_has_not_stopped():
    inside, gate = threading.Event(), threading.Event()

    async def process(task, sequence, step):
        while True:
            try:
                inside.set()
                while not gate.is_set():
                    await asyncio.sleep(0.005)
                return step.cancel_reason
            except asyncio.CancelledError:
                pass

    one = Running(process)
    assert inside.wait(LIMIT_S)
    one.flag.set("first")
    one.thread.join(0.1)
    assert one.thread.is_alive()
    gate.set()
    assert one.end().output_json == '"first"'


def test_a_step_that_was_cancelled_before_its_coroutine_began_ends():
    async def process(task, sequence, step):
        await asyncio.sleep(LIMIT_S * 3)

    assert run_step(process, cancelled=True).error["message"] == "stopped: test"
