"""What `cmake --install` puts into a prefix, and that it works from there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Iterator

import pytest

from parts import make_folder
from tests.support import procs

ROOT = procs.ROOT


def output(*command: str | Path) -> str:
    return procs.run([str(part) for part in command], check=True).stdout


@pytest.fixture(scope="module")
def prefix() -> Iterator[Path]:
    folder = make_folder("tasker-install.")
    for target in ("man", "completions"):
        output("cmake", "--build", procs.build_dir(), "--target", target)
    output("cmake", "--install", procs.build_dir(), "--prefix", folder)
    yield folder
    shutil.rmtree(folder)


def groups(prefix: Path) -> list[str]:
    """The groups of commands, as --help of the installed program lists them."""
    listed = output(prefix / "bin/tasker", "--help").partition("Subcommands:\n")[2].partition("\n\n")[0]
    names = re.findall(r"^  (\w+)", listed, re.MULTILINE)
    return [name for name in names if "Subcommands:" in output(prefix / "bin/tasker", name, "--help")]


def test_the_programs_run_from_there_and_name_version_and_commit(prefix: Path) -> None:
    version = (ROOT / "VERSION").read_text().strip()
    shown = output(prefix / "bin/tasker", "--version").strip()
    match = re.fullmatch(rf"tasker {re.escape(version)} \((unknown|[0-9a-f]{{7,}})\)", shown)
    assert match, shown
    if match[1] != "unknown":
        # Not HEAD: the build may be older than the last commit.
        procs.run(["git", "-C", str(ROOT), "cat-file", "-e", f"{match[1]}^{{commit}}"], check=True)
    orchestrator = output(prefix / "bin/tasker-orchestrator", "--version").strip()
    assert orchestrator == shown.replace("tasker", "tasker-orchestrator", 1)


def test_every_group_of_commands_has_a_page_that_roff_takes(prefix: Path) -> None:
    pages = prefix / "share/man"
    expected = {"tasker.1", *(f"tasker-{group}.1" for group in groups(prefix))}
    assert len(expected) > 8
    assert {page.name for page in (pages / "man1").iterdir()} == expected
    assert (pages / "man8/tasker-orchestrator.8").exists()
    for page in sorted(pages.rglob("*.[18]")):
        text = page.read_text()
        assert text.startswith(".TH ") and "\n.SH NAME\n" in text
        if shutil.which("groff"):
            done = procs.run(["groff", "-man", "-Kutf8", "-Tutf8", "-z", "-ww", str(page)], check=False)
            assert done.returncode == 0 and done.stderr == "", f"{page.name}: {done.stderr}"


def completed(script: Path, line: str) -> list[str]:
    """What bash would offer after `line`."""
    words = line.split(" ")
    program = f"""
      source {script}
      COMP_WORDS=({' '.join(repr(word) for word in words)})
      COMP_CWORD={len(words) - 1}
      compopt() {{ :; }}
      _tasker
      printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return [word for word in output("bash", "-c", program).split("\n") if word]


def test_bash_completes_commands_options_and_files(prefix: Path, tmp_path: Path) -> None:
    script = prefix / "share/bash-completion/completions/tasker"
    assert {"dev", "task", "completion"} <= set(completed(script, "tasker "))
    assert completed(script, "tasker te") == ["template"]
    assert completed(script, "tasker task sub") == ["submit"]
    assert completed(script, "tasker task submit --idem") == ["--idempotency-key"]
    assert completed(script, "tasker --json task submit --da") == [
        "--database"
    ], "global options count everywhere"
    assert completed(script, "tasker --database task task sub") == ["submit"], "a value is no command"
    assert completed(script, "tasker task submit --priority ") == []
    (tmp_path / "order.yaml").touch()
    assert completed(script, f"tasker template load {tmp_path}/or") == [f"{tmp_path}/order.yaml"]
    assert completed(script, f"tasker --config {tmp_path}/or") == [f"{tmp_path}/order.yaml"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_sound(prefix: Path, shell: str) -> None:
    script = {
        "bash": "share/bash-completion/completions/tasker",
        "zsh": "share/zsh/site-functions/_tasker",
        "fish": "share/fish/vendor_completions.d/tasker.fish",
    }[shell]
    text = (prefix / script).read_text()
    assert text == output(prefix / "bin/tasker", "completion", shell)
    assert "@FUNCTION@" not in text and "@PROGRAM@" not in text
    if shutil.which(shell):
        output(shell, "-n", prefix / script)


def test_the_service_runs_the_installed_program_and_is_confined(prefix: Path) -> None:
    unit = prefix / "lib/systemd/system/tasker-orchestrator.service"
    text = unit.read_text()
    assert f"ExecStart={prefix}/bin/tasker-orchestrator --config" in text
    for line in (
        "User=tasker",
        "Restart=always",
        "RestartPreventExitStatus=2 3",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "PrivateTmp=yes",
    ):
        assert f"\n{line}\n" in text
    assert "\nRestrictAddressFamilies=AF_UNIX " in text
    assert (prefix / "lib/sysusers.d/tasker.conf").read_text().count("u tasker ") == 1
    if shutil.which("systemd-analyze"):
        done = procs.run(["systemd-analyze", "verify", "--man=no", str(unit)], check=False)
        about = [line for line in done.stderr.splitlines() if "tasker" in line]
        assert done.returncode == 0 and about == [], done.stderr


def test_examples_and_the_contract_of_the_wire_are_there(prefix: Path) -> None:
    config = prefix / "share/tasker/config"
    assert (config / "orchestrator.yaml").exists() and (config / "zeromq.yaml").exists()
    output(prefix / "bin/tasker", "template", "check", config / "tasks")
    output(prefix / "bin/tasker-orchestrator", "--config", config / "orchestrator.yaml", "--check-config")
    documents = prefix / "share/doc/tasker"
    assert (documents / "protocol/SPEC.md").exists() and (documents / "packaging.md").exists()
    schemas = {path.name for path in (ROOT / "protocol/schema").glob("*.json")}
    assert {path.name for path in (documents / "protocol/schema").iterdir()} == schemas
