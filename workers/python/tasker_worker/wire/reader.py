"""Reads what the orchestrator sends, within the limits that it has announced."""

from typing import Tuple

from .codec import BATCH_BYTES_MAX, DEPTH_MAX, decode_orchestrator_message
from .errors import DecodeError
from .messages import OrchestratorMessage, StepBatchRequest


class Reader:
    """A batch over a limit is read all the same, up to twice the limit, so that its steps can be handed back
    as too_large. The limit that is doubled is the announced one, or the default when that is larger."""

    def __init__(self) -> None:
        self._batch_bytes = BATCH_BYTES_MAX
        self._depth = DEPTH_MAX

    def announce(self, batch_bytes: int, depth: int) -> None:
        """Takes over the limits of a `welcome`: bytes of a batch's JSON, nesting of a whole message."""
        self._batch_bytes = batch_bytes
        self._depth = depth

    def read(self, body: bytes) -> Tuple[OrchestratorMessage, bool]:
        """(the message of a frame without its topic, whether it is a batch over a limit).

        Raises DecodeError, also for any other message over a limit, and nothing else.
        """
        bytes_max = 2 * max(self._batch_bytes, BATCH_BYTES_MAX)
        try:
            message = decode_orchestrator_message(body, bytes_max, self._depth)
        except DecodeError as error:
            if error.code != "too_deep":
                raise
            # A second reading costs only those who exceed the limit.
            message = decode_orchestrator_message(body, bytes_max, 2 * max(self._depth, DEPTH_MAX))
            if not isinstance(message, StepBatchRequest):
                raise
            return message, True
        over = len(body) > self._batch_bytes
        if over and not isinstance(message, StepBatchRequest):
            raise DecodeError("too_large", f"{len(body)} bytes; the limit is {self._batch_bytes}")
        return message, over
