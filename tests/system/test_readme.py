"""The commands of README.md and docs/templates.md run, in their order, in a folder like a fresh checkout.

A comment before a block of commands says how it is run:
  <!-- not run: why -->                      it is not; its commands and options must exist all the same
  <!-- terminal: NAME; ready: TEXT -->       in the background; the next block waits for TEXT in its output
  none                                       to its end, which must be a success
A block of another language whose first line is `# NAME.EXT` is saved under that name.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from typing import Iterator

import pytest

from parts import ROOT, Process, make_folder
from tests.support import procs

FENCED = re.compile(r"(?:^<!-- (?P<how>[^\n]*) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
FOLLOWED = ["README.md", "docs/templates.md"]  # pages whose commands run
PAGES = [*FOLLOWED, "CONTRIBUTING.md", "docs/architecture.md", "docs/schema.md", "docs/promises.md"]
# What a checkout has, and a command of the page may need. `tasker dev` makes its own .tasker/ beside them.
PARTS = ["bin", "config", "examples", "protocol", "workers"]
LIMIT_S = 40


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    how: str  # of the comment before it, or empty

    @property
    def reason(self) -> str:
        return self.how.removeprefix("not run:").strip() if self.how.startswith("not run:") else ""

    @property
    def terminal(self) -> re.Match[str] | None:
        return re.fullmatch(r"terminal: ([\w-]+); ready: (.+)", self.how)

    @property
    def file_name(self) -> str:
        match = re.match(r"# ([\w-]+\.\w+)\n", self.text)
        return match.group(1) if match and self.language != "sh" else ""


def command(text: str) -> Block:
    return Block("sh", text, "")


def blocks_of(page: str) -> list[Block]:
    return [Block(m["language"], m["text"], m["how"] or "") for m in FENCED.finditer(page)]


class Checkout:
    """A folder with the parts of the checkout, and the shells that are opened in it."""

    def __init__(self) -> None:
        self.folder = make_folder("tasker-st-readme.")
        for part in PARTS:
            # A real folder, as in a clone: whoever reads folders does not follow links.
            shutil.copytree(ROOT / part, self.folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "VERSION", self.folder)
        (self.folder / "build").symlink_to(procs.build_dir())
        self.state = self.folder / ".shell"  # variables that the foreground shell has exported
        self.state.touch()
        self.terminals: list[Process] = []

    def run(self, block: Block) -> str:
        """Runs a block as one who types it would; its output."""
        script = f"set -euo pipefail\nsource {self.state}\n{block.text}\nexport -p >{self.state}\n"
        done = procs.run(
            ["bash", "-c", script], limit=LIMIT_S, check=False, cwd=self.folder, env=self.variables()
        )
        assert (
            done.returncode == 0
        ), f"{block.text}ended with {done.returncode}:\n{done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def open_terminal(self, name: str, block: Block, ready: str) -> None:
        """Starts the last line of the block, after the others, and waits until it has printed `ready`."""
        *before, last = block.text.strip().splitlines()
        script = "\n".join(["set -euo pipefail", *before, f"exec env {last}"])
        variables = self.variables()
        process = Process(
            name, ["bash", "-c", script], self.folder, variables, self.folder, death_signal="TERM"
        )
        self.terminals.append(process)
        process.wait_for_output(ready, LIMIT_S)

    def variables(self) -> dict[str, str]:
        return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}

    def logs(self) -> str:
        return "\n".join(["", *(terminal.tail() for terminal in self.terminals)])

    def close(self) -> None:
        try:
            for terminal in reversed(self.terminals):
                if terminal.running():
                    terminal.stop(60)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    made = Checkout()
    yield made
    made.close()


def follow(page: str, checkout: Checkout) -> list[str]:
    """Does what the page says; the outputs of the blocks that ran to their end."""
    outputs = []
    for block in blocks_of(page):
        if block.file_name:
            (checkout.folder / block.file_name).write_text(block.text)
        elif block.language == "sh" and block.terminal:
            checkout.open_terminal(block.terminal[1], block, block.terminal[2])
        elif block.language == "sh" and not block.reason:
            outputs.append(checkout.run(block))
    return outputs


def test_the_commands_of_the_readme_run_in_their_order(checkout: Checkout) -> None:
    assert len(follow((ROOT / "README.md").read_text(), checkout)) >= 4
    tasks = [json.loads(checkout.run(command(f"tasker task show {number} --json"))) for number in (1, 2)]
    assert [task["state"] for task in tasks] == ["complete", "complete"]
    assert tasks[1]["steps"][-1]["results"] == {"text": "HELLO, ADA"}


def test_the_commands_of_the_page_about_templates_run_in_their_order(checkout: Checkout) -> None:
    *_, loaded, converted = follow((ROOT / "docs/templates.md").read_text(), checkout)
    assert "hello/greeting:1.0.0  is new, with 2 steps" in loaded and "no difference" in loaded
    assert "payments/refund:1.0.0" in converted


def commands_not_run() -> list[str]:
    """Every command line of blocks that are not run, without its comment."""
    lines = [
        line.split(" #")[0].strip()
        for page in PAGES
        for block in blocks_of((ROOT / page).read_text())
        if block.language == "sh" and block.reason
        for line in block.text.splitlines()
    ]
    return [re.sub(r"^(\w+=\S+ )+", "", line) for line in lines if line and not line.startswith("export ")]


def help_of(line: str) -> str:
    """The help of a script of bin/, of a worker, or of a command of the programs."""
    words = line.split()
    if words[0].startswith("bin/"):
        return str(procs.run([ROOT / words[0], "--help"]).stdout)
    if words[1:3] == ["-m", "tasker_worker"]:
        return str(procs.run([*words[:3], "--help"], cwd=ROOT / "workers/python").stdout)
    group = [word for word in words[1:3] if re.fullmatch(r"[a-z]+", word)] if words[0] == "tasker" else []
    return str(procs.run([procs.program(words[0]), *group, "--help"]).stdout)


def test_commands_that_are_not_run_exist_with_their_options() -> None:
    commands = commands_not_run()
    assert len(commands) > 10
    for line in commands:
        shown = help_of(line)
        for option in re.findall(r"(?<=\s)(--[a-z-]+)", line):
            assert option in shown, line


def test_every_block_that_is_not_run_says_why() -> None:
    for page in PAGES:
        for block in blocks_of((ROOT / page).read_text()):
            known = not block.how or block.reason or block.terminal
            assert known, f"{page}: <!-- {block.how} -->"
            assert page in FOLLOWED or block.language != "sh" or block.reason, f"{page}:\n{block.text}"


def test_a_command_that_fails_is_found(checkout: Checkout) -> None:
    with pytest.raises(AssertionError, match="ended with 3"):
        follow("```sh\nexport A=3\n```\n\n```sh\n(exit $A)\necho no\n```\n", checkout)


def test_a_terminal_that_ends_early_is_found(checkout: Checkout) -> None:
    with pytest.raises(AssertionError, match="ended without 'ready'"):
        follow("<!-- terminal: t; ready: ready -->\n```sh\nA=1\nB=2 false # comment\n```\n", checkout)


def test_files_of_the_page_are_saved(checkout: Checkout) -> None:
    assert follow("```yaml\n# one.yaml\na: 1\n```\n\n```sh\ncat one.yaml\n```\n", checkout) == [
        "# one.yaml\na: 1\n"
    ]
