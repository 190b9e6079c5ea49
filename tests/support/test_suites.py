"""The test runner must not call a broken suite green."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import check_includes, procs, suites


@pytest.fixture
def job(tmp_path: Path) -> suites.Job:
    folder = tmp_path / "suite"
    reports = tmp_path / "reports"
    folder.mkdir()
    reports.mkdir()
    return suites.Job("suite", [], folder, reports, {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, limit=60)


def counts(outcome: suites.Outcome) -> tuple[int, int, int]:
    return outcome.passed, outcome.failed, outcome.skipped


def test_pytest_counts_each_kind(job: suites.Job):
    (job.folder / "test_it.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 'left' == 'right'\n"
        "@pytest.mark.skip(reason='x')\n"
        "def test_skipped(): pass\n"
        "@pytest.fixture\n"
        "def broken(): raise RuntimeError('fixture fault')\n"
        "def test_error(broken): pass\n"
    )
    outcome = suites.run_pytest(job, [])
    assert counts(outcome) == (1, 2, 1)
    texts = dict(outcome.failures)
    assert "left" in texts["test_it.test_bad"]
    assert "fixture fault" in texts["test_it.test_error"]


@pytest.mark.parametrize(
    "content, expected",
    [
        ("", "no tests ran"),
        ("import os\ndef test_dies(): os._exit(0)\n", "no test was run"),
        ("import os\ndef test_dies(): os._exit(3)\n", "ended with code 3"),
        ("syntax error", "test_it"),
    ],
)
def test_pytest_that_runs_nothing_has_failed(job: suites.Job, content: str, expected: str):
    (job.folder / "test_it.py").write_text(content)
    outcome = suites.run_pytest(job, [])
    assert outcome.passed == 0
    assert outcome.failed == 1
    assert expected in "\n".join(outcome.failures[0])


def test_suite_that_never_ends_is_killed_with_all_it_started(job: suites.Job):
    job.limit = 2
    job.command = ["sh", "-c", "sleep 600 & echo $!; wait"]
    code, output = job.run()
    assert code == -9
    assert "did not end within 2 s" in output
    child = int(output.split()[0])
    procs.wait_until(lambda: not Path(f"/proc/{child}").exists(), 10, "the suite's own child is gone")


def test_rspec_counts_and_crashes(job: suites.Job):
    (job.folder / "spec").mkdir()
    spec = job.folder / "spec/it_spec.rb"
    spec.write_text(
        "RSpec.describe 'it' do\n"
        "  it('is good') { }\n"
        "  it('is bad') { expect(1).to eq(2) }\n"
        "  xit('is pending') { }\n"
        "end\n"
    )
    outcome = suites.run_rspec(job)
    assert counts(outcome) == (1, 1, 1)
    assert outcome.failures[0][0] == "it is bad"
    spec.write_text("")
    assert counts(suites.run_rspec(job)) == (0, 1, 0)
    spec.write_text("raise 'broken file'")
    assert counts(suites.run_rspec(job)) == (0, 1, 0)


def add_ctest(build: Path, name: str, script: str) -> None:
    program = build / name
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    with open(build / "CTestTestfile.cmake", "a") as file:
        file.write(f'add_test({name} "{program}")\nset_tests_properties({name} PROPERTIES LABELS "unit")\n')


REPORT = (
    'cat > "${GTEST_OUTPUT#xml:}NAME.xml" <<END\n'
    '<testsuites><testsuite name="S"><testcase name="a" status="run" classname="S"/>\n'
    '<testcase name="b" status="run" classname="S">FAILURE</testcase>\n'
    '<testcase name="c" status="notrun" classname="S"/></testsuite></testsuites>\nEND\n'
)


def test_ctest_counts_the_cases_of_each_program(job: suites.Job):
    add_ctest(job.folder, "good", REPORT.replace("NAME", "good").replace("FAILURE", ""))
    failure = '<failure message="1 is not 2">1 is not 2</failure>'
    add_ctest(job.folder, "bad", REPORT.replace("NAME", "bad").replace("FAILURE", failure) + "exit 1\n")
    outcome = suites.run_ctest(job, job.folder, "unit")
    assert counts(outcome) == (3, 1, 2)
    assert outcome.failures == [("S.b", "1 is not 2")]


def test_ctest_programs_that_crash_or_do_nothing_have_failed(job: suites.Job):
    add_ctest(job.folder, "crashes", "echo last words; kill -ABRT $$\n")
    add_ctest(job.folder, "silent", "exit 0\n")
    # All its cases passed, and then it fell over at its exit.
    report = REPORT.replace("NAME", "late").replace("FAILURE", "")
    add_ctest(job.folder, "late", report + "exit 134\n")
    outcome = suites.run_ctest(job, job.folder, "unit")
    assert (outcome.passed, sorted(name for name, _text in outcome.failures)) == (
        2,
        ["crashes", "late", "silent"],
    )
    assert "last words" in dict(outcome.failures)["crashes"]


def test_ctest_without_tests_has_failed(job: suites.Job):
    add_ctest(job.folder, "good", REPORT.replace("NAME", "good").replace("FAILURE", ""))
    assert counts(suites.run_ctest(job, job.folder, "no-such-label")) == (0, 1, 0)


@pytest.mark.parametrize(
    "module, own, library",
    [
        ("core", "orchestrator/postgres/connection.hpp", ""),
        ("core", "protocol/cpp/messages.hpp", ""),
        ("core", "", "pqxx/pqxx"),
        ("core", "", "zmq.hpp"),
        ("core", "", "thread"),
        ("transport", "", "pqxx/pqxx"),
        ("store", "orchestrator/engine/turns/mailbox.hpp", ""),
        ("store", "orchestrator/templates/template.hpp", ""),
        ("store", "", "pqxx/pqxx"),
        ("store", "tests/support/postgres.hpp", ""),
        ("api", "orchestrator/store/turn_store.hpp", ""),
        ("postgres", "orchestrator/ports/store.hpp", ""),
        ("protocol/cpp", "orchestrator/core/states.hpp", ""),
        ("engine", "orchestrator/loose.hpp", ""),
    ],
)
def test_forbidden_includes_are_found(module: str, own: str, library: str):
    assert check_includes.fault_of(module, own, library)


@pytest.mark.parametrize(
    "module, own, library",
    [
        ("core", "orchestrator/core/sessions/registry.hpp", ""),
        ("core", "", "vector"),
        ("store", "orchestrator/ports/store.hpp", ""),
        ("postgres", "", "pqxx/pqxx"),
        ("api", "orchestrator/templates/template.hpp", ""),
        ("daemon", "orchestrator/engine/io/loop.hpp", ""),
        ("transport", "protocol/cpp/messages.hpp", ""),
    ],
)
def test_allowed_includes_pass(module: str, own: str, library: str):
    assert check_includes.fault_of(module, own, library) is None


def test_no_arrow_of_the_table_points_upwards():
    for module, targets in check_includes.ALLOWED.items():
        own = check_includes.level_of(module)
        assert own is not None, module
        for target in targets:
            level = check_includes.level_of(target)
            assert level is not None and level <= own, f"{module} -> {target}"


@pytest.mark.parametrize("path", ["orchestrator/loose.cpp", "orchestrator/attic/old.cpp"])
def test_files_outside_of_all_modules_are_found(path: str):
    assert check_includes.file_faults(path, "")
