import logging
import os
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture(autouse=True)
def logging_as_before():
    """The command line configures the log of the whole process; the next test must not find it so."""
    root = logging.getLogger()
    before = list(root.handlers), root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)


@pytest.fixture
def folder():
    """A short path: a unix socket's is limited to 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tw-") as path:
        yield path
