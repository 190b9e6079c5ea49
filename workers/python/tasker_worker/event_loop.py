"""The event loop on which coroutines of handlers (`async def process`) run: one for the process.

A handler thread hands its coroutine over and waits for its end, so a step keeps its place among the
`--capacity` ones. All coroutines share the loop's one thread, and with it what belongs to a loop (the
connections of a client library). The loop begins with the first coroutine.
"""

import asyncio
import contextvars
import os
import threading
from contextlib import suppress
from typing import Any, Coroutine, List, Optional

from .values import CancelFlag

_lock = threading.Lock()
_loop: Optional[asyncio.AbstractEventLoop] = None
_thread_id = 0


def finish(coroutine: "Coroutine[Any, Any, Any]", flag: CancelFlag) -> Any:
    """Runs a coroutine to its end; returns what it returns, raises what it raises.

    It is cancelled when the step is, and when its time is over.
    """
    loop = _started()
    ended = threading.Event()
    tasks: List["asyncio.Task[Any]"] = []

    def cancel() -> None:
        with suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(tasks[0].cancel)

    def begin() -> None:
        # Begun inside of the thread's context, so that log lines name the step.
        task = loop.create_task(coroutine)
        tasks.append(task)
        task.add_done_callback(lambda _task: ended.set())
        flag.watch(cancel)

    loop.call_soon_threadsafe(begin, context=contextvars.copy_context())
    ended.wait()
    flag.watch(None)
    return tasks[0].result()


def _started() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_serve, args=(_loop,), name="event-loop", daemon=True).start()
        return _loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    global _thread_id
    _thread_id = threading.get_ident()
    asyncio.set_event_loop(loop)
    while not loop.is_closed():
        try:
            loop.run_forever()
        except BaseException:  # a SystemExit leaves its task and the loop; the task's step has it as its end
            pass


def _after_fork() -> None:
    """A child has a copy of the loop with all its tasks; when it awaits something, it would run them."""
    global _loop, _lock
    loop, _loop, _lock = _loop, None, threading.Lock()
    if loop is not None and threading.get_ident() == _thread_id:
        getattr(loop, "_ready", []).clear()
        loop.call_soon(os._exit, 1)


os.register_at_fork(after_in_child=_after_fork)
