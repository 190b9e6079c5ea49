"""The SDK's version, announced in `hello`: that of the whole project, which stands in a file of one line.

A checkout has the file VERSION at its root. A wheel has a copy of it beside this module, made when the wheel
was built (setup.py).
"""

from pathlib import Path

LANGUAGE = "python"
PROTOCOL_VERSION = "1.0"


def _read() -> str:
    here = Path(__file__).resolve().parent
    baked = here / "VERSION"
    return (baked if baked.exists() else here.parents[2] / "VERSION").read_text(encoding="ascii").strip()


SDK_VERSION = _read()
