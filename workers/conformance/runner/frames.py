"""What a worker's frame must look like, judged by protocol/schema and by SPEC's rules for every message."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Tuple

import jsonschema

SCHEMAS = Path(__file__).resolve().parents[3] / "protocol" / "schema"
TOPICS = {
    "hello": "workers",
    "ready": "workers",
    "worker_heartbeat": "workers",
    "batch_accepted": "workers",
    "batch_rejected": "workers",
    "start_request": "workers",
    "goodbye": "workers",
    "partial_result": "results",
    "batch_completion": "results",
    "step_batch_response": "results",
}
INVENTORIES = ("hello", "ready", "worker_heartbeat")
# What a frame body may exceed limits.result_bytes by (SPEC, "Limits").
FRAME_EXTRA_BYTES = 256 * 1024
DEFAULT_RESULT_BYTES = 1024 * 1024
DEPTH_MAX = 64


@dataclass
class Received:
    """One message of a worker: its object, its bytes, when it was read (monotonic seconds), and its
    faults."""

    topic: str
    body: Dict[str, Any]
    frame: bytes
    at: float
    faults: List[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return str(self.body.get("message_type"))


def _whole_number(_checker: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# Draft 7 takes 37.0 for an integer; the wire does not.
_TYPES = jsonschema.Draft7Validator.TYPE_CHECKER.redefine("integer", _whole_number)
_Validator = jsonschema.validators.extend(jsonschema.Draft7Validator, type_checker=_TYPES)


def _load_validators() -> Dict[str, Any]:
    return {
        kind: _Validator(json.loads((SCHEMAS / f"{kind}.json").read_text(encoding="utf-8")))
        for kind in TOPICS
    }


_validators = _load_validators()


def read(frame: bytes, at: float, result_bytes: int = DEFAULT_RESULT_BYTES) -> Received:
    """The message of a frame, with what is wrong with it; a frame without a JSON object has an empty body."""
    topic_bytes, space, body = frame.partition(b" ")
    message = Received(topic_bytes.decode("latin-1"), {}, frame, at)
    if not space:
        message.faults.append("a frame without a space after its topic")
        return message
    try:
        parsed = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        message.faults.append(f"a frame on {message.topic!r} that is not JSON in UTF-8: {error}")
        return message
    if not isinstance(parsed, dict):
        message.faults.append(f"a frame on {message.topic!r} whose JSON is no object")
        return message
    message.body = parsed
    message.faults += _faults(message, len(body), result_bytes)
    return message


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _faults(message: Received, size: int, result_bytes: int) -> List[str]:
    kind, found = message.kind, []
    if kind not in TOPICS:
        return [f"message_type {kind!r}, which no worker sends (writers use snake_case)"]
    if message.topic != TOPICS[kind]:
        found.append(f"{kind} on topic {message.topic!r} instead of {TOPICS[kind]!r}")
    if message.body.get("protocol_version") != "1.0":
        found.append(f"{kind} with protocol_version {message.body.get('protocol_version')!r}")
    for error in _validators[kind].iter_errors(message.body):
        place = ".".join(str(part) for part in error.absolute_path) or "the message"
        found.append(f"{kind}: {place}: {error.message[:160]}")
    if size > result_bytes + FRAME_EXTRA_BYTES:
        found.append(f"{kind} of {size} bytes; at most {result_bytes + FRAME_EXTRA_BYTES} may leave a worker")
    if depth_of(message.body) > DEPTH_MAX:
        found.append(f"{kind} nested deeper than {DEPTH_MAX}")
    for name in ("timestamp", "completed_at"):
        time = message.body.get(name)
        if isinstance(time, str) and not time.endswith(("Z", "z", "+00:00")):
            found.append(f"{kind}: {name} {time} is not in UTC")
    if kind in INVENTORIES and not found:
        found += _listed_twice(message)
    return found


def depth_of(value: Any) -> int:
    """How deep arrays and objects are nested; a plain value has depth 0."""
    depth, layer = 0, [value]
    while layer := [item for item in layer if isinstance(item, (dict, list))]:
        depth += 1
        layer = [below for item in layer for below in (item.values() if isinstance(item, dict) else item)]
    return depth


def _listed_twice(message: Received) -> List[str]:
    refs = [ref for name in ("held", "running", "unacked") for ref in inventory(message, name)]
    return [f"{message.kind} lists {ref} more than once" for ref in sorted(set(refs)) if refs.count(ref) > 1]


Ref = Tuple[str, int, int]


def inventory(message: Received, name: str) -> List[Ref]:
    """One of the lists `held`, `running`, `unacked` as (batch_id, step_id, attempt)."""
    listed = message.body.get(name) or []
    return [(ref["batch_id"], ref["step_id"], ref["attempt"]) for ref in listed]
