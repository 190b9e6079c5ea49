"""How the ends of processes are judged."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.chaos.slots import Exit, Slot
from tests.chaos.world import World

KILL, TERM = signal.SIGKILL, signal.SIGTERM


@pytest.fixture
def world(tmp_path: Path):
    made = World(tmp_path, "1")
    yield made
    made.server.remove()
    made.context.destroy()


@pytest.mark.parametrize(
    "ended",
    [
        Exit("active", -KILL, KILL, 0),
        Exit("active", 0, TERM, 0),
        Exit("active", 5, 0, 0),
        Exit("active", -KILL, 0, 0, armed=True),
        Exit("ruby-1", -KILL, KILL, 0),
        Exit("ruby-1", 0, TERM, 0),
        Exit("python-1", 4, TERM, 0),
    ],
)
def test_ends_that_were_asked_for_are_no_violation(world: World, ended: Exit):
    world._judge(ended)
    assert world.unexpected == []


@pytest.mark.parametrize(
    "ended",
    [
        Exit("active", -KILL, 0, 0),
        Exit("active", -signal.SIGSEGV, 0, 0),
        Exit("active", -signal.SIGABRT, TERM, 0),
        Exit("active", 1, 0, 0),
        Exit("active", 0, 0, 0),
        Exit("active", 1, TERM, 0),
        Exit("ruby-1", -KILL, 0, 0),
        Exit("ruby-1", 0, 0, 0),
        Exit("ruby-1", 1, 0, 0),
        Exit("python-1", 3, TERM, 0),
        Exit("python-1", 128 + TERM, TERM, 0),
        Exit("ruby-1", 1, TERM, 0),
        Exit("python-1", 4, 0, 0),
    ],
)
def test_other_ends_are_violations(world: World, ended: Exit):
    world._judge(ended)
    assert len(world.unexpected) == 1


def test_handlers_may_kill_their_worker_only_where_that_is_wanted(world: World):
    world.handlers_crash = True
    world._judge(Exit("ruby-1", -KILL, 0, 0))
    assert world.unexpected == []
    world._judge(Exit("active", -KILL, 0, 0))
    assert len(world.unexpected) == 1


def test_a_drain_by_an_operator_may_end_a_worker_for_a_while(world: World):
    world.drained["ruby-1"] = time.time()
    world._judge(Exit("ruby-1", 0, 0, 0))
    assert world.unexpected == []
    world.drained["ruby-1"] = time.time() - 3600
    world._judge(Exit("ruby-1", 0, 0, 0))
    assert len(world.unexpected) == 1


def test_after_a_kill_no_other_signal_explains_the_end(tmp_path: Path):
    slot = Slot("sleeper", ["sleep", "600"], tmp_path, dict)
    slot.start()
    try:
        slot.signal(KILL)
        slot.signal(TERM)  # both at the same moment: the process may be there or not
        assert slot.told == KILL
    finally:
        slot.kill()


def test_a_slot_starts_again_what_has_ended_and_tells_the_end_once(tmp_path: Path):
    slot = Slot("sleeper", ["sleep", "600"], tmp_path, dict)
    slot.once = {"TASKER_CRASH_POINT": "x"}
    slot.start()
    try:
        first = slot.pid
        assert slot.armed and slot.tend(lambda: 0.0) is None
        slot.signal(KILL)
        assert slot.process and slot.process.wait(10) == -KILL
        ended = slot.tend(lambda: 0.0)
        assert ended is not None and (ended.code, ended.told, ended.armed) == (-KILL, KILL, True)
        assert slot.tend(lambda: 0.0) is None and slot.pid not in (None, first)
        assert not slot.armed, "a crash point is for one start only"
    finally:
        slot.kill()
