"""What a reader must know beside the figures: machine, commit, versions, settings."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from tests.bench.server import SETTINGS
from tests.support import pg, procs


def _output(*command: str | Path) -> str:
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def describe() -> dict[str, Any]:
    commit = _output("git", "-C", procs.ROOT, "rev-parse", "--short", "HEAD") or "unknown"
    if _output("git", "-C", procs.ROOT, "status", "--porcelain", "--untracked-files=no"):
        commit += " with changes"
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} × {_processor()}, {_memory_gb():.0f} GB, "
        f"{platform.system()} {platform.release()}",
        "load before": f"{os.getloadavg()[0]:.2f} in the last minute",
        "commit": commit,
        "PostgreSQL": f"{_output(pg.find_server() / 'postgres', '--version')}; "
        + ", ".join(f"{name}={value}" for name, value in SETTINGS.items()),
        "versions": f"Python {platform.python_version()}, psycopg {psycopg.__version__}, "
        f"{' '.join(_output('ruby', '--version').split()[:2])}",
    }
