"""What is to happen when, in one thread: a heap of (time, action)."""

from __future__ import annotations

import heapq
import itertools
import time
from typing import Callable


class Timeline:
    """Actions run in the order of their times, by whoever calls run_due()."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._numbers), action))

    def run_due(self) -> None:
        while self._heap and self._heap[0][0] <= time.monotonic():
            heapq.heappop(self._heap)[2]()

    def seconds_to_next(self, limit: float) -> float:
        if not self._heap:
            return limit
        return min(limit, max(0.0, self._heap[0][0] - time.monotonic()))

    def clear(self) -> None:
        self._heap.clear()
