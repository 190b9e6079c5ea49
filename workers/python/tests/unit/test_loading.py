"""What --import answers when a file cannot be loaded, or holds nothing that is served."""

import subprocess
import sys

import pytest

from tasker_worker import cli, handlers
from tests.support.worker_process import PACKAGE_ROOT


@pytest.fixture(autouse=True)
def nothing_declared(monkeypatch, tmp_path):
    monkeypatch.setattr(handlers, "_registered", {})
    monkeypatch.setattr(handlers, "_loaded", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.chdir(tmp_path)


def complaint(capsys, *arguments):
    """The one line with which a start ends."""
    assert cli.main(list(arguments)) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


UNDECLARED = """
from tasker_worker import StepHandler
class Unrelated: pass

class ShoutHandler(StepHandler):
    def process(self, task, sequence, step): return {}

class Plain:
    def __init__(self, config): pass
    def process(self, task, sequence, step): return {}
"""


def test_classes_without_the_decorator_are_named_with_the_line_to_add(tmp_path, capsys):
    (tmp_path / "load_hello.py").write_text(UNDECLARED)
    text = complaint(capsys, "--import", "./load_hello.py")
    assert "there is no handler to serve: ./load_hello.py declares none; write @handler" in text
    assert '@handler("LoadHello::ShoutHandler"), with the handler_class of your template' in text
    assert "above class ShoutHandler (load_hello.py:5); " in text
    assert "above class Plain (load_hello.py:8)" in text and "Unrelated" not in text
    assert "above class ShoutHandler" in complaint(
        capsys, "--import", "./load_hello.py", "--handlers", "Hello::ShoutHandler"
    )


def test_only_the_first_three_are_shown(tmp_path, capsys):
    one = "class H{}:\n    def process(self, task, sequence, step): pass\n"
    (tmp_path / "load_many.py").write_text("".join(one.format(number) for number in range(5)))
    text = complaint(capsys, "--import", "./load_many.py")
    assert "class H2 (" in text and "class H3" not in text and "and so for 2 more" in text


def test_a_file_without_any_such_class_is_named(tmp_path, capsys):
    (tmp_path / "load_empty.py").write_text("from tasker_worker import StepHandler\n")
    text = complaint(capsys, "--import", "./load_empty.py")
    assert "./load_empty.py has no class with a method process(self, task, sequence, step)" in text


@pytest.mark.parametrize("target", ["./load_hello.rb", "load_hello.rb"])
def test_a_file_of_another_language_is_no_python_file(tmp_path, capsys, target):
    (tmp_path / "load_hello.rb").write_text("module Hello\nend\n")
    assert f"--import {target}: it is no Python file" in complaint(capsys, "--import", target)


def test_a_folder_is_no_file(tmp_path, capsys):
    (tmp_path / "handlers.d").mkdir()
    assert "it is a folder" in complaint(capsys, "--import", "./handlers.d")


@pytest.mark.parametrize(
    "source, where",
    [
        ("x = 1\ndef broken(:\n", "SyntaxError: invalid syntax (load_bad.py:2)"),
        ("def f():\nreturn 1\n", "(load_bad.py:2)"),
        ("import no_such_library\n", "No module named 'no_such_library' (load_bad.py:1)"),
        ("\nraise ValueError('x')\n", "ValueError: x (load_bad.py:2)"),
        ("import load_inner\n", "SyntaxError: invalid syntax (load_inner.py:1)"),
    ],
)
def test_the_place_is_that_of_the_users_code(tmp_path, capsys, source, where):
    (tmp_path / "load_bad.py").write_text(source)
    (tmp_path / "load_inner.py").write_text("def (:\n")
    for target in ("./load_bad.py", "load_bad"):
        text = complaint(capsys, "--import", target)
        assert where in text and "frozen" not in text


def test_a_module_that_does_not_exist_has_no_place(capsys):
    assert "No module named 'no_such_handlers'\n" in complaint(capsys, "--import", "no_such_handlers")


def test_a_module_that_only_the_working_directory_has_is_named_as_a_file(tmp_path, capsys, monkeypatch):
    (tmp_path / "load_here.py").write_text("")
    monkeypatch.setattr(sys, "path", [part for part in sys.path if part])
    assert "; did you mean --import load_here.py?" in complaint(capsys, "--import", "load_here")


@pytest.mark.parametrize("asked", ["Hello::Shout", "Shout", "Hello::ShoutHandlers", "hello.ShoutHandler"])
def test_a_handler_class_that_is_nearly_named_is_suggested(tmp_path, capsys, asked):
    source = "from tasker_worker import handler, StepHandler\n"
    source += (
        '@handler("Hello::ShoutHandler")\n@handler("Hello::GreetHandler")\nclass Shout(StepHandler): pass\n'
    )
    (tmp_path / "load_shout.py").write_text(source)
    text = complaint(capsys, "--import", "./load_shout.py", "--handlers", asked)
    assert "did you mean Hello::ShoutHandler?" in text


@pytest.mark.parametrize(
    "arguments, meant",
    [
        (["--improt", "x.py"], "--import"),
        (["--improt=x.py"], "--import"),
        (["--capasity", "3"], "--capacity"),
        (["--worker_id", "a"], "--worker-id"),
        (["./load_it.py"], "--import ./load_it.py"),
    ],
)
def test_a_misspelt_option_is_answered_with_what_was_meant(tmp_path, capsys, arguments, meant):
    (tmp_path / "load_it.py").write_text("")
    text = complaint(capsys, *arguments)
    assert "unrecognized arguments" in text and f"; did you mean {meant}?" in text
    assert "did you mean" not in complaint(capsys, "--nothing-like-it")


@pytest.mark.parametrize("library, package", [("zmq", "python3-zmq"), ("yaml", "python3-yaml")])
def test_an_interpreter_without_a_library_is_named(tmp_path, library, package):
    (tmp_path / f"{library}.py").write_text(f"raise ModuleNotFoundError('no', name={library!r})\n")
    for arguments in ([], ["--help"]):
        ended = subprocess.run(
            [sys.executable, "-m", "tasker_worker", *arguments],
            env={"PYTHONPATH": f"{tmp_path}:{PACKAGE_ROOT}"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 2 and ended.stdout == ""
        assert ended.stderr.startswith(f"tasker-worker: {sys.executable} has no module {library}: ")
        assert package in ended.stderr and ended.stderr.count("\n") == 1
