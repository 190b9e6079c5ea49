"""Reads the golden vectors with this SDK's codec and prints what it made of each, one JSON line per vector.

    /usr/bin/python3 -m tasker_worker.conformance protocol/vectors

{"name", "accept": true, "canonical": {…}} holds the message written again from the decoded object;
{"name", "accept": false, "code"} says why it was refused.
"""

import base64
import json
import os
import sys
from typing import Any, Dict, List

from .wire import codec
from .wire.errors import DecodeError
from .wire.messages import MESSAGE_TYPES


def judge(vector: Dict[str, Any]) -> Dict[str, Any]:
    """The line for one vector."""
    if "frame_base64" in vector:
        frame = base64.b64decode(vector["frame_base64"])
    else:
        frame = vector["frame"].encode("utf-8", "surrogatepass")
    try:
        message = decode(frame, to_worker=vector["direction"] == "to_worker")
    except DecodeError as error:
        return {"name": vector["name"], "accept": False, "code": error.code}
    return {"name": vector["name"], "accept": True, "canonical": codec.to_dict(message)}


def decode(frame: bytes, to_worker: bool) -> Any:
    """A frame's message, which must belong on the frame's topic."""
    topic, body = codec.split_frame(frame)
    kind = codec.topic_kind(topic)
    if (kind in ("steps", "control", "plain")) != to_worker or kind == "":
        raise DecodeError("bad_frame", "no topic of this direction")
    message = codec.decode_orchestrator_message(body) if to_worker else codec.decode_worker_message(body)
    if not codec.belongs_on(kind, MESSAGE_TYPES[type(message)]):
        raise DecodeError("bad_frame", "the message does not belong on this topic")
    return message


def vectors_in(folder: str) -> List[Dict[str, Any]]:
    found: List[Dict[str, Any]] = []
    for name in sorted(os.listdir(folder)):
        if name.endswith(".json"):
            with open(os.path.join(folder, name), encoding="utf-8") as stream:
                found.extend(json.load(stream))
    return found


def main(argv: List[str]) -> int:
    if len(argv) != 1 or not os.path.isdir(argv[0]):
        print("usage: python3 -m tasker_worker.conformance VECTORS_DIR", file=sys.stderr)
        return 2
    for vector in vectors_in(argv[0]):
        print(json.dumps(judge(vector), allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
