"""The wheel: built without network from a copy, installed into a folder, and run from there."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.worker_process import PACKAGE_ROOT

PYTHON = "/usr/bin/python3"
# Another version than that of the checkout, so that nothing can come from there.
VERSION = "9.8.7"


def run(*command, **environment):
    """What the command writes to its standard output; it must end with code 0."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "TASKER_"))}
    done = subprocess.run(command, cwd="/", env={**clean, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "copy" / "workers" / "python"
    shutil.copytree(PACKAGE_ROOT, copy, ignore=shutil.ignore_patterns("tests", "__pycache__", ".*"))
    (folder / "copy" / "VERSION").write_text(VERSION + "\n")
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir")
    run(*pip, "wheel", "--no-index", "--no-build-isolation", "--no-deps", "-w", str(folder), str(copy))
    shutil.rmtree(folder / "copy")
    (built,) = folder.glob("*.whl")
    run(*pip, "install", "--no-index", "--no-deps", "--target", str(folder / "target"), str(built))
    return built


def test_the_wheel_holds_the_library_its_types_and_its_version(wheel):
    assert wheel.name == f"tasker_worker-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"tasker_worker-{VERSION}.dist-info/METADATA").decode()
    modules = {
        str(path.relative_to(PACKAGE_ROOT)) for path in (Path(PACKAGE_ROOT) / "tasker_worker").rglob("*.py")
    }
    assert modules | {"tasker_worker/py.typed", "tasker_worker/VERSION"} == {
        name for name in names if ".dist-info/" not in name
    }
    assert f"\nVersion: {VERSION}\n" in metadata and "\nRequires-Dist: pyzmq" in metadata


def test_what_is_installed_runs_from_its_folder(wheel):
    target = wheel.parent / "target"
    said = f"tasker-worker {VERSION}\n"
    assert run(PYTHON, "-m", "tasker_worker", "--version", PYTHONPATH=str(target)) == said
    assert run(str(target / "bin" / "tasker-worker"), "--version", PYTHONPATH=str(target)) == said
    program = "import tasker_worker as t; print(t.__version__, t.__file__, t.StepHandler.__name__)"
    where = str(target / "tasker_worker" / "__init__.py")
    assert run(PYTHON, "-c", program, PYTHONPATH=str(target)) == f"{VERSION} {where} StepHandler\n"
