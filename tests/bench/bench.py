#!/usr/bin/python3
"""Benchmarks of the whole system on real parts: private PostgreSQL, orchestrator, workers. See --help."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
from tests.bench import cli  # noqa: E402

if __name__ == "__main__":
    # Python puts the program's own folder first; modules there must not stand in for the library's.
    sys.path = [path for path in sys.path if path != str(Path(__file__).resolve().parent)]
    try:
        sys.exit(cli.main())
    except KeyboardInterrupt:
        sys.exit(130)
    except AssertionError as error:
        raise SystemExit(f"bin/bench: {error}") from error
