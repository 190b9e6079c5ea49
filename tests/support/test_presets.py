"""CMakePresets.json has the build folders and settings of bin/setup and bin/test."""

from __future__ import annotations

import json
import re

from tests.support.procs import ROOT

PRESETS = json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]


def preset(name: str) -> tuple[str, dict[str, str]]:
    """Its build folder and its CMake variables, inherited ones included."""
    found = {each["name"]: each for each in PRESETS}
    own = found[name]
    inherited = found[own["inherits"]]["cacheVariables"]
    return own["binaryDir"].removeprefix("${sourceDir}/"), {**inherited, **own.get("cacheVariables", {})}


def only_match(pattern: str, text: str) -> str:
    found = re.findall(pattern, text, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, pattern
    return found[0]


def script(name: str) -> str:
    return (ROOT / "bin" / name).read_text()


def test_sanitizers_are_those_of_bin_test():
    for name, sanitizer in (("asan", "address"), ("tsan", "thread")):
        line = only_match(rf"^  {sanitizer}\) ([^\n]*)$", script("test"))
        folder, variables = preset(name)
        assert only_match(r"folder:-([\w-]+)", line) == folder
        assert only_match(r"TASKER_SANITIZE=([\w,]+)", line) == variables["TASKER_SANITIZE"]
        assert variables["TASKER_PCH"] == "OFF" and "-DTASKER_PCH=OFF" in script("test")


def test_fuzz_is_built_as_bin_test_builds_it():
    folder, variables = preset("fuzz")
    command = only_match(r"bin/setup --build (build-fuzz.*?) \|\|", script("test"))
    assert command.split()[0] == folder
    passed = dict(re.findall(r"-D(\w+)=(\S+)", command))
    assert passed and passed.items() <= variables.items()


def test_dev_is_built_as_bin_setup_builds_it():
    folder, variables = preset("dev")
    assert f"\nfolder={folder}\n" in script("setup")
    assert f"-DCMAKE_BUILD_TYPE={variables['CMAKE_BUILD_TYPE']}" in script("setup")
    assert variables["TASKER_TESTS"] == "ON" and '"-DTASKER_TESTS=ON"' in script("setup")
