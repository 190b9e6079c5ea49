"""Submits tasks at a constant rate from a thread of its own, whatever the system makes of them."""

from __future__ import annotations

import threading
import time

from tests.bench import templates
from tests.bench.server import Server

TICK_S = 0.01


class Feeder:
    """Context manager; ends its thread when left. `ids` grows while it runs, ascending."""

    def __init__(self, server: Server, database: str, name: str, tasks_per_s: float):
        self.ids: list[int] = []
        self._name = name
        self._tasks_per_s = tasks_per_s
        self._connection = server.connect(database)
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._feed, name="feeder")

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def _feed(self) -> None:
        started = time.monotonic()
        try:
            # Due times follow from the start: what a slow submit delays is made up for, and the rate holds.
            while not self._stop.wait(TICK_S):
                due = int((time.monotonic() - started) * self._tasks_per_s) - len(self.ids)
                if due > 0:
                    self.ids += templates.submit(self._connection, self._name, due)
        except Exception as error:  # told to the measuring thread, which would wait for tasks for ever
            self._failure = error

    def check(self) -> None:
        if self._failure:
            raise SystemExit(f"tasks could not be submitted: {self._failure}")

    def span(self) -> tuple[int, int]:
        """The first and the last task; SystemExit when the rate was too low for a single one."""
        if not self.ids:
            raise SystemExit("no task was due in that time: raise --rate, or measure longer")
        return self.ids[0], self.ids[-1]

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._connection.close()
        self.check()
