"""What pyproject.toml cannot say: the version is the project's, from the file VERSION at the root.

The wheel gets a copy of that file, since it has no root.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

VERSION_FILE = Path(__file__).resolve().parents[2] / "VERSION"


class BuildWithVersion(build_py):
    """Puts VERSION beside the modules."""

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file(str(VERSION_FILE), str(Path(self.build_lib) / "tasker_worker" / "VERSION"))


setup(version=VERSION_FILE.read_text(encoding="ascii").strip(), cmdclass={"build_py": BuildWithVersion})
