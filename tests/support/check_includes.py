"""Checks which module of the C++ code includes which: the arrows of the architecture.

Every folder below orchestrator/ is a module with a level. A module may include itself, the codec of the wire,
and what its line in ALLOWED names; that is always something on its own level or below. A folder without a
line here is a fault, and so is a C++ file outside of all folders. `core` stays free of I/O.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# From the bottom to the top. An arrow never points upwards; within a level it may.
LEVELS: list[set[str]] = [
    {"util", "core"},
    {"options", "ports", "postgres", "templates"},
    {"security", "store", "transport"},
    {"engine", "api"},
    {"http", "abi", "cli", "daemon"},
]
# module: modules of orchestrator/ that it may include besides itself
ALLOWED: dict[str, set[str]] = {
    "util": set(),
    "core": set(),
    "options": {"util"},
    "ports": {"core"},
    "postgres": {"util"},
    "templates": {"core", "options", "util"},
    "security": {"core", "options", "ports", "util"},
    "store": {"core", "ports", "postgres", "util"},
    "transport": {"core", "ports", "util"},
    "engine": {"core", "options", "ports", "transport", "util"},
    "api": {"core", "options", "postgres", "templates", "util"},
    "http": {"api", "core", "options", "postgres", "util"},
    "abi": {"api", "core", "engine", "options", "ports", "postgres", "store", "transport", "util"},
    "cli": {"api", "core", "options", "ports", "postgres", "store", "templates", "util"},
    "daemon": {"api", "cli", "core", "engine", "options", "ports", "postgres", "store", "transport", "util"},
}
# Modules that need the wire's message types.
SPEAKS_PROTOCOL = {"ports", "store", "transport", "engine", "abi"}
# Libraries that only the modules named may use.
LIBRARIES: dict[str, set[str]] = {
    r"pqxx|libpq": {"postgres"},
    r"zmq": {"transport", "engine", "daemon", "cli"},
    r"spdlog": {"util"},
    r"yaml-cpp": {"options"},
    r"simdjson": {"protocol/cpp"},
    r"CLI/": {"cli", "daemon"},
}
# `core` decides from what it is given: no clock, no threads, no files, no sockets.
PURE = {"core"}
IMPURE = re.compile(
    r"^(thread|mutex|shared_mutex|condition_variable|future|atomic|filesystem|fstream|iostream|ctime)$"
)

CODEC = "protocol/cpp"
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
MODULE = re.compile(r"^(?:(protocol/cpp)|orchestrator/([a-z_]+))/")


def level_of(module: str) -> int | None:
    """The place of a module in LEVELS, or nothing when it stands in none."""
    return next((place for place, modules in enumerate(LEVELS) if module in modules), None)


def module_of(path: str) -> str | None:
    """The module a file belongs to, by its path from the root, or nothing."""
    match = MODULE.match(path)
    return (match.group(1) or match.group(2)) if match else None


def _own_fault(module: str, own: str) -> str | None:
    if own.startswith("tests/"):
        return "the product may not include tests"
    target = module_of(own)
    if target is None:
        return f"{own} lies in no module"
    if target == module or (target == CODEC and module in SPEAKS_PROTOCOL):
        return None
    if target not in ALLOWED.get(module, set()):
        return f"{module} may not include {target}"
    return None


def fault_of(module: str, own: str, library: str) -> str | None:
    """Why `module` may not include this file of ours or this library, or nothing."""
    if own:
        return _own_fault(module, own)
    for pattern, users in LIBRARIES.items():
        if re.match(pattern, library) and module not in users:
            return f"<{library}> belongs to {' and '.join(sorted(users))}"
    if module in PURE and (IMPURE.match(library) or library.startswith(("sys/", "unistd"))):
        return f"{module} is pure: no <{library}>"
    return None


def file_faults(path: str, text: str) -> list[str]:
    """Every fault of one file, as lines "path:number: why"."""
    module = module_of(path)
    if module is None:
        return [f"{path}:1: lies in no module: move it into a folder of orchestrator/"]
    if module != CODEC and (module not in ALLOWED or level_of(module) is None):
        return [f"{path}:1: module {module} has no line in tests/support/check_includes.py"]
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        fault = match and fault_of(module, match.group(1) or "", match.group(2) or "")
        if fault:
            faults.append(f"{path}:{number}: {fault}")
    return faults


def main() -> int:
    paths = [path for folder in (CODEC, "orchestrator") for path in sorted((ROOT / folder).rglob("*.[ch]pp"))]
    faults = [
        fault for path in paths for fault in file_faults(path.relative_to(ROOT).as_posix(), path.read_text())
    ]
    print("\n".join(faults) if faults else f"{len(paths)} files are in order")
    return 1 if faults or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
