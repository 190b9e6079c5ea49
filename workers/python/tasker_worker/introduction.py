"""What a hello may hold: names go into lists, logs and commands of the orchestrator."""

import re
from typing import List

from .errors import ConfigurationError

NAME_CHARACTERS_MAX = 255
# All namespaces and handlers together.
NAMES_BYTES_MAX = 256 * 1024
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def check(worker_id: str, namespaces: List[str], handlers: List[str]) -> None:
    """Raises ConfigurationError for names that no orchestrator takes."""
    for name in (worker_id, *namespaces, *handlers):
        if len(name) > NAME_CHARACTERS_MAX:
            raise ConfigurationError(
                f"a name has {len(name)} characters, at most {NAME_CHARACTERS_MAX} are allowed:"
                f" {name[:64]!r}…"
            )
        if _CONTROL.search(name):
            raise ConfigurationError(f"a name holds a control character: {name[:64]!r}")
    size = sum(len(name.encode()) for name in (*namespaces, *handlers))
    if size > NAMES_BYTES_MAX:
        raise ConfigurationError(
            f"the names of {len(handlers)} handlers and {len(namespaces)} namespaces have {size} bytes,"
            f" at most {NAMES_BYTES_MAX} fit into a hello: serve fewer (--handlers), or with several workers"
        )
