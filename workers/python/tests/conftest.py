import os
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def folder():
    """A short path: a unix socket's is limited to 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tw-") as path:
        yield path
