"""A worker as a real process, with its log in a file that a test can wait on."""

import os
import signal
import subprocess
import sys
import time
from typing import Any, Dict, List, Optional

PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STOP_LIMIT_S = 15.0


class WorkerProcess:
    """`python3 -m tasker_worker …`; ends with the `with` block whatever happens."""

    def __init__(
        self, folder: str, arguments: List[str], env: Optional[Dict[str, str]] = None, stderr: Any = None
    ) -> None:
        self.log_path = os.path.join(folder, f"worker-{time.monotonic_ns()}.log")
        clean = {key: value for key, value in os.environ.items() if not key.startswith("TASKER_")}
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tasker_worker", *arguments],
                stderr=log if stderr is None else stderr,
                stdin=subprocess.DEVNULL,
                env={**clean, "PYTHONPATH": PACKAGE_ROOT, **(env or {})},
                cwd=folder,
            )

    def __enter__(self) -> "WorkerProcess":
        return self

    def __exit__(self, *_: Any) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def exit_code(self) -> int:
        """Waits for the end."""
        return self.process.wait(STOP_LIMIT_S)

    def log(self) -> str:
        with open(self.log_path, encoding="utf-8") as stream:
            return stream.read()
