"""How the relays are told what to do: one JSON object per line and answer, over a unix socket."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from tests.support.procs import wait_until

ANSWER_LIMIT_S = 20.0


class Control:
    """The asking side. Waits for the relay to listen, and raises RuntimeError when it refuses."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_LIMIT_S)

        def connected() -> bool:
            try:
                self._socket.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            return True

        wait_until(connected, ANSWER_LIMIT_S, f"a relay listens on {path}")
        self._stream = self._socket.makefile("rwb")

    def ask(self, command: str, **arguments: Any) -> Any:
        request = {"command": command, **arguments}
        self._stream.write(json.dumps(request).encode() + b"\n")
        self._stream.flush()
        line = self._stream.readline()
        if not line:
            raise RuntimeError(f"the relay ended before it answered {request}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"the relay refused {request}: {answer['error']}")
        return answer["answer"]

    def close(self) -> None:
        self._stream.close()
        self._socket.close()
