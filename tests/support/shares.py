"""A pytest plugin: several runs of pytest share one suite, and each test is run by whoever claims it first.

TASKER_TEST_SHARE names an empty folder that all of them know; without it nothing changes. Tests that have a
fixture of their module in common are claimed together. A test marked `alone` runs when nothing else does.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

ALONE = "alone"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{ALONE}: measures time, so it runs beside no other test of its suite"
    )


def _has_module_fixture(item: pytest.Item) -> bool:
    info = getattr(item, "_fixtureinfo", None)
    definitions = info.name2fixturedefs.values() if info else ()
    return any(found and found[-1].scope in ("module", "class", "package") for found in definitions)


def units(items: list[pytest.Item]) -> list[list[pytest.Item]]:
    """What is claimed together, in the order of the suite; tests that run alone come last."""
    whole = {item.nodeid.partition("::")[0] for item in items if _has_module_fixture(item)}
    found: dict[str, list[pytest.Item]] = {}
    for item in items:
        module = item.nodeid.partition("::")[0]
        found.setdefault(module if module in whole else item.nodeid, []).append(item)
    return sorted(found.values(), key=_is_alone)


def _is_alone(unit: list[pytest.Item]) -> bool:
    return any(item.get_closest_marker(ALONE) for item in unit)


def _claim(folder: Path, number: int) -> bool:
    """True for exactly one of all runs: the file is made by whoever comes first."""
    try:
        os.close(os.open(folder / str(number), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    folder = os.environ.get("TASKER_TEST_SHARE")
    if not folder or session.testsfailed or session.config.option.collectonly:
        return None
    with open(Path(folder) / "lock", "a") as lock:
        # All runs number the units alike.
        for number, unit in enumerate(units(session.items)):
            if _claim(Path(folder), number):
                fcntl.flock(lock, fcntl.LOCK_EX if _is_alone(unit) else fcntl.LOCK_SH)
                _run(session, unit)
    return True


def _run(session: pytest.Session, unit: list[pytest.Item]) -> None:
    # Which unit comes next is not known yet. The session as what follows makes pytest keep only its fixtures.
    for item, following in zip(unit, [*unit[1:], session]):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
