"""Submits a task and waits until it is done, as a caller would who stays connected."""

from __future__ import annotations

import json
import time

from tests.bench import templates
from tests.bench.server import Server


class Submitter:
    """Context manager. It listens on a connection of its own: on one that also runs queries, a notification
    that arrives together with a query's answer can be overlooked."""

    def __init__(self, server: Server, database: str):
        self._submitting = server.connect(database)
        self._listening = server.connect(database)
        self._listening.execute("LISTEN tasker_done")

    def __enter__(self) -> Submitter:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._submitting.close()
        self._listening.close()

    def run(self, name: str) -> float:
        """Milliseconds from the submit call on an open connection to the completion notification."""
        request = [{"namespace": templates.NAMESPACE, "name": name, "version": "1.0.0", "context": {}}]
        text = json.dumps(request)
        started = time.perf_counter()
        row = self._submitting.execute(
            "SELECT task_id FROM tasker_create_tasks(%s::jsonb)", (text,)
        ).fetchone()
        assert row is not None
        for notification in self._listening.notifies():
            if notification.payload == str(row[0]):
                return (time.perf_counter() - started) * 1000
        raise SystemExit("the connection to the database was lost")
