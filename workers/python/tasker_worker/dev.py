"""The `tasker dev` that runs in the nearest `.tasker/`: where a worker connects that was given no endpoint.

The folder may have come with a clone or belong to somebody else. It counts only when the folder and its
files are this user's and no links, and when its lock is held, which only a running `tasker dev` does.
"""

import fcntl
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Collection, Mapping, Optional
from urllib.parse import unquote

FOLDER = ".tasker"
STATE_BYTES_MAX = 1024 * 1024
# Where a tasker dev puts its sockets; the variables of `tasker dev --env` outlive it.
SOCKET = re.compile(r"ipc://(/.*/(?:\.tasker/run|tasker-run-[A-Za-z0-9]{6})/[a-z]+)\Z", re.S)
# Where its private PostgreSQL listens, as a URL names it.
SERVER = re.compile(r"/[^?&@]*/(?:\.tasker/run|tasker-run-[A-Za-z0-9]{6})/pg(?=$|[?&/])", re.S)
SERVER_SOCKET = ".s.PGSQL.5432"


@dataclass(frozen=True)
class Running:
    """A `tasker dev` that runs: its folder, its endpoints (`steps`, `results`) and its database."""

    folder: str
    endpoints: Mapping[str, str]
    database_url: str

    def serves(self, endpoints: Collection[str]) -> bool:
        """Whether one of the endpoints is its own."""
        # A worker reads `*` as loopback.
        return any(value.replace("//*", "//127.0.0.1") in endpoints for value in self.endpoints.values())


def running(start: Optional[Path] = None) -> Optional[Running]:
    """The nearest one that runs, in `start` or above it; None when none does."""
    try:
        folder = (start or Path.cwd()).absolute()
    except OSError:  # the working directory was removed
        return None
    for above in (folder, *folder.parents):
        found = _running_in(above / FOLDER)
        if found is not None:
            return found
    return None


def endpoints(start: Optional[Path] = None) -> Mapping[str, str]:
    """`steps` and `results` of the nearest running one, in `start` or above it; empty when none runs."""
    found = running(start)
    return {} if found is None else found.endpoints


def url_left_over(url: str) -> bool:
    """Whether a URL names the PostgreSQL of a `tasker dev` that is gone; commands pass over it too."""
    match = SERVER.search(unquote(url))
    return match is not None and not os.path.exists(os.path.join(match[0], SERVER_SOCKET))


def left_over(value: str) -> bool:
    """Whether an endpoint is the socket of a `tasker dev` that is gone."""
    match = SOCKET.match(value)
    return match is not None and not os.path.exists(match[1])


def _running_in(folder: Path) -> Optional[Running]:
    try:
        inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.fstat(inside).st_uid != os.geteuid() or not _is_locked(inside):
            return None
        state = json.loads(_read(inside, "dev.json"))
        named = state["endpoints"]
        chosen = {part: named[part] for part in ("steps", "results")}
        url = state.get("database_url")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    finally:
        os.close(inside)
    if not all(isinstance(value, str) and value for value in chosen.values()):
        return None
    return Running(str(folder), chosen, url if isinstance(url, str) else "")


def _open(inside: int, name: str) -> int:
    # Without O_NONBLOCK a pipe of that name would stop the worker for ever.
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=inside)
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        os.close(file)
        raise OSError(f"{name} is not ours")
    return file


def _is_locked(inside: int) -> bool:
    file = _open(inside, "lock")
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _read(inside: int, name: str) -> bytes:
    file = _open(inside, name)
    try:
        return os.read(file, STATE_BYTES_MAX)
    finally:
        os.close(file)
