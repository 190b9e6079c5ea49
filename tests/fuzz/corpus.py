"""Seed inputs of the fuzz targets, taken from what the project has anyway: vectors, templates, settings."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

CONTEXTS = [
    b'{"id": 1}',
    b'{"id": 2.0, "kind": "a", "name": "ab", "when": "2026-03-01T12:00:00Z", "items": [{"items": []}]}',
    b'{"id": 3, "x_1": null, "day": "2026-03-01", "at": "12:00:00Z", "link": "http://a/b", "one": 1.5}',
    b'{"id": 0, "name": "toolong", "items": [{}, {}], "kind": [1.0], "aaa": 7, "one": true}',
]
JSON_TEXTS = [
    b"null",
    b'[1, -0.5e+3, 1e400, 0, true, false, {"a": "\\u00e9\\ud83d\\ude00\\u0000\\ud800"}]',
    b'{"k": [[[[]]]], "\\n": "\xc3\xa9"}',
    b"\xef\xbb\xbf{}",
]
REQUESTS = [
    b'{"order_id": "A-1", "items": [1, 2.5]}',
    b"2026-03-01T12:00:00.5+02:00",
    b'{"a": "\\u0000"}',
    b"[]",
]
WAKES = [b"keys:1,22,333", b"templates", b"", b"keys:", b"keys:1;2", b"scan"]


def _frames() -> Iterator[tuple[str, bytes]]:
    for file in sorted((ROOT / "protocol/vectors").glob("*.json")):
        for vector in json.loads(file.read_text()):
            if "frame" in vector:
                yield vector["direction"], vector["frame"].encode()
            else:
                yield vector["direction"], base64.b64decode(vector["frame_base64"])


def _bodies(direction: str) -> list[bytes]:
    return [frame.partition(b" ")[2] for way, frame in _frames() if way == direction]


def _files(pattern: str) -> list[bytes]:
    return [file.read_bytes() for file in sorted(ROOT.glob(pattern))]


def seeds(target: str) -> list[bytes]:
    """The seed inputs of one target; a target without seeds is a mistake here."""
    found = {
        "worker_message": lambda: _bodies("to_orchestrator"),
        "orchestrator_message": lambda: _bodies("to_worker"),
        "frame": lambda: [frame for _way, frame in _frames()],
        "json_text": lambda: JSON_TEXTS + _bodies("to_worker")[:20],
        "template": lambda: _files("config/tasks/*.yaml"),
        "options": lambda: _files("config/*.yaml"),
        "context": lambda: CONTEXTS + JSON_TEXTS,
        "request": lambda: REQUESTS + JSON_TEXTS,
        "wake": lambda: WAKES,
    }[target]()
    if not found:
        raise ValueError(f"no seeds for the fuzz target {target}")
    return found


def write_seeds(target: str, folder: Path) -> None:
    """Writes each seed into a file of its own in `folder`, which must exist."""
    for number, seed in enumerate(seeds(target)):
        (folder / f"seed-{number:03}").write_bytes(seed)
