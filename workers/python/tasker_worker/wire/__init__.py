"""The wire, version "1.0" (protocol/SPEC.md): messages, their validation, and frames."""

from .codec import (
    decode_orchestrator_message,
    decode_worker_message,
    encode,
    make_frame,
    split_frame,
    to_dict,
)
from .errors import DecodeError

__all__ = [
    "DecodeError",
    "decode_orchestrator_message",
    "decode_worker_message",
    "encode",
    "make_frame",
    "split_frame",
    "to_dict",
]
