"""Checks which module of the C++ code includes which: the arrows of orchestrator/ARCHITECTURE.md.

A module may include itself and what is listed for it; `core` and the codec stay free of I/O libraries.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# module: modules of ours it may include
ALLOWED: dict[str, set[str]] = {
    "protocol/cpp": set(),
    "orchestrator/util": set(),
    "orchestrator/core": set(),
    "orchestrator/ports": {"orchestrator/core", "protocol/cpp"},
    "orchestrator/options": set(),
    "orchestrator/templates": {"orchestrator/core", "orchestrator/options"},
    "orchestrator/store": {
        "orchestrator/ports",
        "orchestrator/core",
        "orchestrator/templates",
        "orchestrator/options",
        "orchestrator/util",
        "protocol/cpp",
    },
    "orchestrator/transport": {
        "orchestrator/ports",
        "orchestrator/core",
        "orchestrator/util",
        "protocol/cpp",
    },
    "orchestrator/engine": {
        "orchestrator/ports",
        "orchestrator/core",
        "orchestrator/transport",
        "orchestrator/templates",
        "orchestrator/util",
        "protocol/cpp",
    },
}
# Libraries that only the modules named may use.
LIBRARIES: dict[str, set[str]] = {
    r"pqxx|libpq": {"orchestrator/store", "orchestrator/cli"},
    r"zmq": {"orchestrator/transport", "orchestrator/cli", "orchestrator/engine"},
    r"spdlog": {"orchestrator/util"},
    r"yaml-cpp": {"orchestrator/options"},
    r"valijson": {"orchestrator/templates"},
}
# `core` decides from what it is given: no clock, no threads, no files, no sockets.
PURE = {"orchestrator/core"}
IMPURE = re.compile(
    r"^(thread|mutex|shared_mutex|condition_variable|future|atomic|filesystem|fstream|iostream|ctime)$"
)

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
MODULE = re.compile(r"^(protocol/cpp|orchestrator/[a-z]+)/")


def _module(path: str) -> str | None:
    match = MODULE.match(path)
    return match.group(1) if match else None


def fault_of(module: str, own: str, library: str) -> str | None:
    """Why `module` may not include this, or nothing."""
    target = _module(own) if own else None
    if target and target != module and target not in ALLOWED.get(module, {target}):
        return f"{module} may not include {target}"
    if own and own.startswith("tests/"):
        return "the product may not include tests"
    for pattern, users in LIBRARIES.items():
        if re.match(pattern, library) and module not in users:
            return f"<{library}> belongs to {' and '.join(sorted(users))}"
    if module in PURE and library and (IMPURE.match(library) or library.startswith(("sys/", "unistd"))):
        return f"{module} is pure: no <{library}>"
    return None


def main() -> int:
    faults = []
    checked = 0
    for folder in ("protocol/cpp", "orchestrator"):
        for path in sorted((ROOT / folder).rglob("*.[ch]pp")):
            relative = path.relative_to(ROOT).as_posix()
            # What lies directly in orchestrator/ puts the modules together and may use all of them.
            module = _module(relative)
            if module is None:
                continue
            checked += 1
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                fault = match and fault_of(module, match.group(1) or "", match.group(2) or "")
                if fault:
                    faults.append(f"{relative}:{number}: {fault}")
    print("\n".join(faults) if faults else f"{checked} files are in order")
    return 1 if faults or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
