import os

import pytest

from tests.support.fake_orchestrator import FakeOrchestrator
from tests.support.worker_process import PACKAGE_ROOT, WorkerProcess

HANDLERS = "Tests::Echo,Tests::WaitForFile,Tests::Busy,Tests::Fail"


@pytest.fixture
def fake(folder):
    orchestrator = FakeOrchestrator(folder)
    yield orchestrator
    orchestrator.close()


@pytest.fixture
def start(folder, fake):
    """start("--capacity", "2", …) starts a worker that is gone when the test ends."""
    workers = []

    def start_worker(*arguments, env=None, handlers=HANDLERS, endpoints=None, stderr=None):
        if endpoints is None:
            endpoints = ("--steps-endpoint", fake.steps_endpoint, "--results-endpoint", fake.results_endpoint)
        worker = WorkerProcess(
            folder,
            [
                *("--import", os.path.join(PACKAGE_ROOT, "tests", "support", "handlers.py")),
                *("--import", os.path.join(PACKAGE_ROOT, "tests", "support", "odd_handlers.py")),
                *("--handlers", handlers),
                *endpoints,
                *("--worker-id", "w-1"),
                *arguments,
            ],
            env,
            stderr,
        )
        workers.append(worker)
        return worker

    yield start_worker
    for worker in workers:
        worker.__exit__()
