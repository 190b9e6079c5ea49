"""The lines of a side-effects log."""

import json
import os


def effects_in(path):
    """Its complete lines: the worker may be in the middle of writing the last one."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as stream:
        return [json.loads(line) for line in stream if line.endswith("\n")]
