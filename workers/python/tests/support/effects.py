"""The lines of a side-effects log."""

import json
import os


def effects_in(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]
